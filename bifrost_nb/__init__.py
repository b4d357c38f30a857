"""Compare language-model deployments behind the Bifrost AI gateway from a notebook: stream, record, measure.

``import bifrost_nb as bf`` loads nothing heavy and sends nothing; each name below is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calls import Timeouts
    from .client import Client
    from .comparing.compare import compare
    from .comparing.comparison import Comparison
    from .comparing.replay import replay
    from .comparing.replayed import Replayed
    from .errors import (
        AuthenticationFailed,
        BifrostError,
        BudgetExceeded,
        ConfigurationError,
        ConnectionFailed,
        GatewayError,
        LogError,
        NotFound,
        ProtocolError,
        RateLimited,
        StreamInterrupted,
        TemplateError,
        TimedOut,
    )
    from .gateway.admin import (
        Admin,
        gateway_histogram,
        gateway_logs,
        gateway_stats,
        models,
        providers,
        reconcile,
        virtual_keys,
    )
    from .gateway.charts import gateway_chart
    from .gateway.doctor import Doctor, doctor
    from .gateway.launch import LaunchedGateway, launch_gateway
    from .gateway.local import LocalGateway, local_gateway
    from .gateway.reconcile import Reconciliation
    from .nested import allow_nested_loops
    from .notebook.playground import Playground, playground
    from .records.evidence import from_notebook
    from .records.frame import runs, to_frame
    from .records.log import RunLog, run_log
    from .records.run import Run
    from .sdks.boto import recording_boto3
    from .sdks.clients import recording_async_client, recording_client
    from .sdks.sdk import sdk
    from .streams import AsyncStream, Stream

_HOMES = {
    "calls": ("Timeouts",),
    "client": ("Client",),
    "comparing.compare": ("compare",),
    "comparing.comparison": ("Comparison",),
    "comparing.replay": ("replay",),
    "comparing.replayed": ("Replayed",),
    "errors": (
        "AuthenticationFailed",
        "BifrostError",
        "BudgetExceeded",
        "ConfigurationError",
        "ConnectionFailed",
        "GatewayError",
        "LogError",
        "NotFound",
        "ProtocolError",
        "RateLimited",
        "StreamInterrupted",
        "TemplateError",
        "TimedOut",
    ),
    "gateway.admin": (
        "Admin",
        "gateway_histogram",
        "gateway_logs",
        "gateway_stats",
        "models",
        "providers",
        "reconcile",
        "virtual_keys",
    ),
    "gateway.charts": ("gateway_chart",),
    "gateway.doctor": (
        "Doctor",
        "doctor",
    ),
    "gateway.launch": (
        "LaunchedGateway",
        "launch_gateway",
    ),
    "gateway.local": (
        "LocalGateway",
        "local_gateway",
    ),
    "gateway.reconcile": ("Reconciliation",),
    "nested": ("allow_nested_loops",),
    "notebook.playground": (
        "Playground",
        "playground",
    ),
    "records.evidence": ("from_notebook",),
    "records.frame": (
        "runs",
        "to_frame",
    ),
    "records.log": (
        "RunLog",
        "run_log",
    ),
    "records.run": ("Run",),
    "sdks.boto": ("recording_boto3",),
    "sdks.clients": (
        "recording_async_client",
        "recording_client",
    ),
    "sdks.sdk": ("sdk",),
    "streams": (
        "AsyncStream",
        "Stream",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "Admin",
    "AsyncStream",
    "AuthenticationFailed",
    "BifrostError",
    "BudgetExceeded",
    "Client",
    "Comparison",
    "ConfigurationError",
    "ConnectionFailed",
    "Doctor",
    "GatewayError",
    "LaunchedGateway",
    "LocalGateway",
    "LogError",
    "NotFound",
    "Playground",
    "ProtocolError",
    "RateLimited",
    "Reconciliation",
    "Replayed",
    "Run",
    "RunLog",
    "Stream",
    "StreamInterrupted",
    "TemplateError",
    "TimedOut",
    "Timeouts",
    "allow_nested_loops",
    "compare",
    "doctor",
    "from_notebook",
    "gateway_chart",
    "gateway_histogram",
    "gateway_logs",
    "gateway_stats",
    "launch_gateway",
    "local_gateway",
    "models",
    "playground",
    "providers",
    "reconcile",
    "recording_async_client",
    "recording_boto3",
    "recording_client",
    "replay",
    "run_log",
    "runs",
    "sdk",
    "to_frame",
    "virtual_keys",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext bifrost_nb``: register ``%%bifrost`` and ``%bifrost``. Sends nothing, prints nothing."""
    from .notebook.magic import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext bifrost_nb``: remove all that loading registered."""
    from .notebook.magic import unload

    unload(shell)
