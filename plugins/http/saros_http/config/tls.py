"""The TLS of a service."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from saros.entries import Choice, Entry, Problem, Table, Text
from saros.model.errors import INVALID, Error

if TYPE_CHECKING:
    from saros import App

_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "request": ssl.CERT_OPTIONAL,  # a certificate that is sent must be valid
    "verify_if_given": ssl.CERT_OPTIONAL,
    "require": ssl.CERT_REQUIRED,
    "require_and_verify": ssl.CERT_REQUIRED,
}


TLS: Final = Table(
    {
        "mode": Text(doc="manual: use the given certificate; none: no TLS."),
        "cert": Text(doc="Certificate chain: PEM, or a file relative to the app directory."),
        "key": Text(doc="Private key: PEM, or a file; default: in cert."),
        "key_password": Text(),
        "client_ca": Text(doc="Certificates of authorities for client certificates: PEM, or a file."),
        "client_auth": Choice(tuple(_VERIFY), doc="Default: require_and_verify with client_ca, else none."),
        "cert_file": Text(doc="As `cert`."),
        "key_file": Text(doc="As `key`."),
        "client_ca_file": Text(doc="As `client_ca`."),
    }
)


def check_tls(entry: Entry) -> Iterator[Problem]:
    tls = entry.get("tls") or {}
    mode = tls.get("mode", "manual")
    if not tls or mode == "none":
        return
    if mode != "manual":
        yield entry.problem(f"`tls.mode` is manual or none, not {mode}", "tls.mode", "give `cert` and `key`")
    if not tls.get("cert") and not tls.get("cert_file"):
        yield entry.problem("`tls` needs `cert_file`", "tls", "give the files of certificate and key")
    for key in ("cert", "key", "client_ca"):
        if tls.get(key) and tls.get(f"{key}_file"):
            yield entry.problem(f"`tls` has both `{key}` and `{key}_file`", f"tls.{key}")
    auth, ca = tls.get("client_auth"), tls.get("client_ca") or tls.get("client_ca_file")
    if auth and auth != "none" and not ca:
        yield entry.problem(f"`tls.client_auth: {auth}` needs `client_ca`", "tls.client_auth")
    if auth == "none" and ca:
        yield entry.problem("`tls.client_auth: none` leaves `client_ca` without effect", "tls.client_auth")


def tls_context(app: App, entry: Entry) -> ssl.SSLContext | None:
    """Return the TLS context of a service, if it uses TLS.

    :raises Error: INVALID, when a certificate or key is missing or damaged.
    """
    tls: dict[str, str] = entry.get("tls") or {}
    if not tls or tls.get("mode") == "none":
        return None

    def given(key: str) -> str | None:
        return tls.get(key) or tls.get(f"{key}_file")

    cert, key, client_ca = given("cert"), given("key"), given("client_ca")
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if client_ca:
            context.load_verify_locations(cadata=_pem(app, client_ca))
        context.verify_mode = _VERIFY[
            tls.get("client_auth") or ("require_and_verify" if client_ca else "none")
        ]
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        chain = _pem(app, cert or "") + ("\n" + _pem(app, key) if key else "")
        _load(context, chain, tls.get("key_password") or "")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        message = f"the certificate or key of {entry.id} cannot be used: {exc}"
        raise Error(message, INVALID, retryable=False, where=entry.where("tls")) from exc
    return context


def _pem(app: App, given: str) -> str:
    """Return a PEM text: the given one, or the content of the file that it names."""
    if given.lstrip().startswith("-----BEGIN"):
        return given
    return Path(app.registry.root, given.removeprefix("file://")).read_text("ascii")


def _load(context: ssl.SSLContext, chain: str, password: str) -> None:
    # The ssl module reads keys from files only. Nobody else can read this file, and it is deleted at once.
    descriptor, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(chain)
        context.load_cert_chain(name, password=password)
    finally:
        os.unlink(name)
