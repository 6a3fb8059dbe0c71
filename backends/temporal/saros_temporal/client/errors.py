"""Errors for unreachable servers and refused requests: one sentence, made from the SDK's debug texts."""

from __future__ import annotations

import re
from typing import Final

from temporalio.client import TLSConfig
from temporalio.service import RPCError, RPCStatusCode

from saros.model.errors import INVALID, NOT_FOUND, PERMISSION_DENIED, RATE_LIMITED, UNAVAILABLE, Error

from .target import Target

_STATUS: Final = re.compile(r'Status \{ code: (\w+), message: "((?:[^"\\]|\\.)*)"')
_OS: Final = re.compile(r'Os \{ code: \d+, kind: \w+, message: "([^"]*)" \}')
_LOOKUP: Final = re.compile(r"failed to lookup address information: ([^\"]*)")
_NAMES: Final = re.compile(r"presented: \[(.*?)\] \}")
_NAME: Final = re.compile(r'\w+\(\\?"?([^"\\()]+)\\?"?\)')
_CLOSED: Final = (
    "BrokenPipe",
    "ConnectionReset",
    "UnexpectedEof",
    "CertificateRequired",
    "connection closed",
)

_TLS_HINT: Final = "check `tls` and the certificate files of the temporal.client entry"


def rpc_error(error: RPCError, target: Target, what: str = "") -> Error:
    """Return the error for a refused or failed request."""
    status, text = error.status, error.message
    if status == RPCStatusCode.NOT_FOUND and "amespace" in text:
        return Error(
            f"the Temporal server {target.address} has no namespace {target.namespace}",
            NOT_FOUND,
            retryable=False,
            hint=f"temporal operator namespace create --namespace {target.namespace}",
        )
    if status == RPCStatusCode.NOT_FOUND:
        return Error(f"{what or text} not found", NOT_FOUND, retryable=False)
    if status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return _denied(target, text)
    if status == RPCStatusCode.INVALID_ARGUMENT:
        return Error(text, INVALID, retryable=False)
    if status == RPCStatusCode.RESOURCE_EXHAUSTED:
        return Error(f"the Temporal server {target.address} is overloaded: {text}", RATE_LIMITED)
    return unreachable(target, text)


def _denied(target: Target, text: str) -> Error:
    return Error(
        f"the Temporal server {target.address} refuses this client for the namespace {target.namespace}: {text}",
        PERMISSION_DENIED,
        retryable=False,
        hint="check `auth` of the temporal.client entry",
    )


def no_answer(target: Target) -> Error:
    """Return the error for a server, or a firewall, that does not answer."""
    return unreachable(target, f"no answer within {target.timeout_s:g} s")


def unreachable(target: Target, text: str) -> Error:
    """:param text: the SDK's message."""
    where = f"the Temporal server {target.address} (namespace {target.namespace})"
    status = _STATUS.search(text)
    if status and status[1] in ("PermissionDenied", "Unauthenticated"):
        return _denied(target, status[2])
    found = None if "handshake eof" in text else _certificate(text)
    if found is not None:
        return Error(f"no secure connection to {where}: {found[0]}", UNAVAILABLE, hint=found[1])
    if any(word in text for word in _CLOSED):
        return _closed(target, where)
    reason = _LOOKUP.search(text) or _OS.search(text)
    said = reason[1] if reason else status[2] if status else text
    said = said.lower() if reason else said
    hint = "is it running? temporal server start-dev starts one for development"
    if target.tls is False and not reason:
        hint += "; if it speaks TLS, set tls: {enabled: true} in the temporal.client entry"
    return Error(f"cannot reach {where}: {said}", UNAVAILABLE, hint=hint)


def _certificate(text: str) -> tuple[str, str] | None:
    """Return the problem with the server's certificate, and a hint."""
    if "UnknownIssuer" in text or "BadSignature" in text:
        return (
            "its certificate is from an authority that this client does not trust",
            "set tls.ca_file of the temporal.client entry to the authority's certificate",
        )
    if "NotValidForName" in text:
        listed = _NAMES.search(text)
        names = ", ".join(_NAME.findall(listed[1])) if listed else ""
        return (
            "its certificate is for another name" + (f" ({names})" if names else ""),
            "set tls.server_name of the temporal.client entry to a name in the certificate",
        )
    if "InvalidCertificate(Expired" in text:
        return "its certificate has expired", "renew the server's certificate"
    if "InvalidCertificate(NotValidYet" in text:
        return "its certificate is not valid yet", "check the clocks, and the server's certificate"
    if "InvalidCertificate" in text:
        return f"its certificate is not valid: {text}", _TLS_HINT
    if "corrupt message" in text or "InvalidContentType" in text:
        return "it does not speak TLS", "set tls: {enabled: false} in the temporal.client entry"
    if "AlertReceived" in text or "handshake" in text.lower():
        return f"the TLS handshake failed: {text}", _TLS_HINT
    return None


def _closed(target: Target, where: str) -> Error:
    """Return the error for a closed connection: with TLS 1.3, a server refuses a client's certificate this way."""
    tls = target.tls
    if tls is False:
        hint = (
            "is it a Temporal server? If it speaks TLS, set tls: {enabled: true} in the temporal.client entry"
        )
    elif isinstance(tls, TLSConfig) and tls.client_cert:
        hint = "it may not accept the client certificate: check `auth` of the temporal.client entry"
    else:
        hint = "it may demand a client certificate: set auth: {type: mtls} with cert_file and key_file"
    return Error(f"{where} ends the connection at once", UNAVAILABLE, hint=hint)
