"""The kinds that exist in every app, whatever its language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .compound import Ignored, MapOf, Reference, Table
from .entry import CLIENT, HOST, WORKER, Entry
from .fields import Choice, Duration, Flag, Number, Text
from .kinds import Kind
from .problems import Problem
from .registry import Registry


def _check_client(entry: Entry, registry: Registry) -> Iterator[Problem]:
    auth = entry.get("auth", {})
    if auth.get("type") == "api_key" and not any(
        auth.get(key) for key in ("api_key", "api_key_env", "api_key_file")
    ):
        yield entry.problem("`auth` of type api_key needs `api_key`, `api_key_env` or `api_key_file`", "auth")
    if auth.get("type") == "mtls":
        for what in ("cert", "key"):
            if not any(auth.get(f"{what}_{form}") for form in ("file", "pem", "pem_env")):
                yield entry.problem(f"`auth` of type mtls needs `{what}_file` or `{what}_pem`", "auth")
        if entry.get("tls.enabled") is False:
            yield entry.problem("`auth` of type mtls needs TLS, but `tls.enabled` is false", "tls.enabled")


TEMPORAL_CLIENT: Final = Kind(
    CLIENT,
    role="config",
    doc="The connection to a Temporal service.",
    check=_check_client,
    fields={
        "address": Text(default="localhost:7233", doc="host:port."),
        "namespace": Text(default="default", doc="Temporal's namespace."),
        "tq_prefix": Text(doc="A prefix for the name of every task queue."),
        "auth": Table(
            {
                "type": Choice(("none", "api_key", "mtls"), default="none"),
                "api_key": Text(),
                "api_key_env": Text(doc="The environment variable that holds the key."),
                "api_key_file": Text(),
                "cert_file": Text(),
                "cert_pem": Text(),
                "key_file": Text(),
                "key_pem": Text(),
                "key_pem_env": Text(doc="The environment variable that holds the key."),
            }
        ),
        "tls": Table(
            {
                "enabled": Flag(),
                "ca_file": Text(),
                "server_name": Text(doc="The name that the certificate must have."),
                "insecure_skip_verify": Flag(doc="For development only."),
            }
        ),
        "connection_timeout": Duration(positive=True),
        "keep_alive_time": Duration(positive=True),
        "keep_alive_timeout": Duration(positive=True),
        "health_check": Ignored(
            Table({"enabled": Flag(), "interval": Duration()}),
            "Temporal's Python client manages its connection itself",
        ),
        "search_attributes": MapOf(
            Choice(("keyword", "text", "integer", "float", "boolean", "time", "keyword_list")),
            doc="Search attributes that the worker registers: name and type.",
        ),
    },
)

_COUNT: Final = Number(whole=True, least=1)
_RATE: Final = Number(least=0, doc="Per second; 0: no limit.")

_SIZE: Final = Number(whole=True)
_NOT_IN_SDK: Final = "Temporal's SDK for Python has no such option"
_NO_SESSIONS: Final = "there are no worker sessions"

_VERSIONING: Final = {
    "deployment_name": ("build_id",),
    "use_versioning": ("deployment_name", "build_id"),
}

WORKER_OPTIONS: Final = Table(
    {
        "identity": Text(doc="The worker's name in Temporal's UI."),
        "max_concurrent_workflow_task_execution_size": _COUNT,
        "max_concurrent_activity_execution_size": _COUNT,
        "max_concurrent_local_activity_execution_size": _COUNT,
        "max_concurrent_workflow_task_pollers": _COUNT,
        "max_concurrent_activity_task_pollers": _COUNT,
        "max_cached_workflows": Number(whole=True, least=0),
        "worker_activities_per_second": _RATE,
        "task_queue_activities_per_second": _RATE,
        "sticky_schedule_to_start_timeout": Duration(),
        "worker_stop_timeout": Duration(doc="How long running activities may go on after a stop."),
        "max_heartbeat_throttle_interval": Duration(),
        "default_heartbeat_throttle_interval": Duration(),
        "disable_workflow_worker": Flag(),
        "local_activity_worker_only": Flag(),
        "disable_eager_activities": Flag(),
        "max_concurrent_eager_activity_execution_size": Ignored(_SIZE, _NOT_IN_SDK),
        "max_concurrent_session_execution_size": Ignored(_SIZE, _NO_SESSIONS),
        "enable_session_worker": Ignored(Flag(), _NO_SESSIONS),
        "worker_local_activities_per_second": Ignored(_RATE, _NOT_IN_SDK),
        "deadlock_detection_timeout": Ignored(Duration(), "the instruction budget ends a runaway workflow"),
        "enable_logging_in_replay": Ignored(Flag(), "the log is silent during a replay"),
        "disable_registration_aliasing": Ignored(
            Flag(), "`meta.temporal.workflow.name` decides the type name"
        ),
        "deployment_name": Text(),
        "build_id": Text(),
        "build_id_env": Text(doc="The environment variable that holds the build id."),
        "use_versioning": Flag(),
        "default_versioning_behavior": Choice(("pinned", "auto_upgrade")),
    },
    doc="Tuning. Absent keys and durations of 0 mean the backend's defaults.",
)


def _check_worker(entry: Entry, registry: Registry) -> Iterator[Problem]:
    options = entry.get("worker_options", {})
    for key, needs in _VERSIONING.items():
        missing = [f"`{name}`" for name in needs if not (options.get(name) or options.get(f"{name}_env"))]
        if options.get(key) and missing:
            yield entry.problem(
                f"`worker_options.{key}` needs {' and '.join(missing)}", f"worker_options.{key}"
            )
    if options.get("default_versioning_behavior") and not options.get("use_versioning"):
        yield entry.problem(
            "`worker_options.default_versioning_behavior` has no effect without `use_versioning`",
            "worker_options.default_versioning_behavior",
            warning=True,
        )


TEMPORAL_WORKER: Final = Kind(
    WORKER,
    role="service",
    check=_check_worker,
    doc="Runs workflows and activities of one task queue, on every backend.",
    fields={
        "client": Reference(kinds=(CLIENT,), doc="Used on Temporal only; default: the app's only client."),
        "task_queue": Text(doc="Default: the worker's id."),
        "worker_options": WORKER_OPTIONS,
    },
)

PROCESS_HOST: Final = Kind(
    HOST,
    role="service",
    doc="Runs plain processes.",
    fields={
        "host": Table(
            {
                "max_processes": Number(whole=True, least=0, doc="0: without limit."),
                "workers": Number(whole=True, least=1),
            }
        )
    },
)


CORE_KINDS: Final[tuple[Kind, ...]] = (
    TEMPORAL_CLIENT,
    TEMPORAL_WORKER,
    PROCESS_HOST,
)
