"""Compare language-model deployments behind the Bifrost AI gateway from a notebook: stream, record, measure.

``import bifrost_nb as bf`` loads nothing heavy and sends nothing; each name below is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._admin.api import (
        Admin,
        gateway_histogram,
        gateway_logs,
        gateway_stats,
        models,
        providers,
        reconcile,
        virtual_keys,
    )
    from ._admin.doctor import Doctor, doctor
    from ._admin.reconcile import Reconciliation
    from ._client.calls import Timeouts
    from ._client.client import Client
    from ._client.streams import AsyncStream, Stream
    from ._compare.compare import compare
    from ._compare.comparison import Comparison
    from ._compare.replay import replay
    from ._compare.replay_result import Replayed
    from ._display.evidence import from_notebook
    from ._launch.launch import LaunchedGateway, launch_gateway
    from ._nested import allow_nested_loops
    from ._notebook.playground.playground import Playground, playground
    from ._runs.frame import runs, to_frame
    from ._runs.log.log import RunLog, run_log
    from ._runs.run import Run
    from ._sdks.boto3_client import recording_boto3
    from ._sdks.factory import sdk
    from ._sdks.httpx_clients import recording_async_client, recording_client
    from ._simulator.process import LocalGateway, local_gateway
    from .charts.gateway import gateway_chart
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

_HOMES = {
    "_client.calls": ("Timeouts",),
    "_client.client": ("Client",),
    "_compare.compare": ("compare",),
    "_compare.comparison": ("Comparison",),
    "_compare.replay": ("replay",),
    "_compare.replay_result": ("Replayed",),
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
    "_admin.api": (
        "Admin",
        "gateway_histogram",
        "gateway_logs",
        "gateway_stats",
        "models",
        "providers",
        "reconcile",
        "virtual_keys",
    ),
    "charts.gateway": ("gateway_chart",),
    "_admin.doctor": (
        "Doctor",
        "doctor",
    ),
    "_launch.launch": (
        "LaunchedGateway",
        "launch_gateway",
    ),
    "_simulator.process": (
        "LocalGateway",
        "local_gateway",
    ),
    "_admin.reconcile": ("Reconciliation",),
    "_nested": ("allow_nested_loops",),
    "_notebook.playground.playground": (
        "Playground",
        "playground",
    ),
    "_display.evidence": ("from_notebook",),
    "_runs.frame": (
        "runs",
        "to_frame",
    ),
    "_runs.log.log": (
        "RunLog",
        "run_log",
    ),
    "_runs.run": ("Run",),
    "_sdks.boto3_client": ("recording_boto3",),
    "_sdks.httpx_clients": (
        "recording_async_client",
        "recording_client",
    ),
    "_sdks.factory": ("sdk",),
    "_client.streams": (
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
    from ._notebook.magic.magic import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext bifrost_nb``: remove all that loading registered."""
    from ._notebook.magic.magic import unload

    unload(shell)
