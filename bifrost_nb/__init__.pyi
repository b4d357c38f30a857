"""The public names, each once: `__init__.py` loads them from here on first use, and type checkers read them."""

from . import charts as charts, errors as errors, scorers as scorers
from ._admin.api import (
    Admin as Admin,
    gateway_histogram as gateway_histogram,
    gateway_logs as gateway_logs,
    gateway_stats as gateway_stats,
    models as models,
    providers as providers,
    reconcile as reconcile,
    virtual_keys as virtual_keys,
)
from ._admin.doctor import Doctor as Doctor, doctor as doctor
from ._admin.governance import budgets as budgets, rate_limits as rate_limits, routing_rules as routing_rules
from ._admin.mcp import mcp_logs as mcp_logs, mcp_tools as mcp_tools
from ._admin.prompts import Prompt as Prompt, prompt as prompt, prompts as prompts
from ._admin.reconcile import Reconciliation as Reconciliation
from ._batch.comparison import BatchComparison as BatchComparison
from ._client.calls import Timeouts as Timeouts
from ._client.client import Client as Client
from ._client.streams import AsyncStream as AsyncStream, Stream as Stream
from ._compare.compare import compare as compare
from ._compare.comparison import Comparison as Comparison
from ._compare.difference import Difference as Difference, difference as difference
from ._compare.fill import fill as fill
from ._compare.replay import replay as replay
from ._compare.replay_result import Replayed as Replayed
from ._compare.summary import summary as summary
from ._display.evidence import from_notebook as from_notebook
from ._gate.gate import Gate as Gate, gate as gate
from ._launch.launch import LaunchedGateway as LaunchedGateway, launch_gateway as launch_gateway
from ._load.load_curve import LoadCurve as LoadCurve, load_curve as load_curve
from ._nested_loops import allow_nested_loops as allow_nested_loops
from ._notebook.playground.playground import Playground as Playground, playground as playground
from ._report.load_report import load_report as load_report
from ._runs.frame import runs as runs, to_frame as to_frame
from ._runs.log.dataset import export_dataset as export_dataset
from ._runs.log.log import RunLog as RunLog, run_log as run_log
from ._runs.run import Run as Run
from ._sdks.boto3_client import recording_boto3 as recording_boto3
from ._sdks.factory import sdk as sdk
from ._sdks.httpx_clients import recording_async_client as recording_async_client, recording_client as recording_client
from ._simulator.process import LocalGateway as LocalGateway, local_gateway as local_gateway
from ._tracking.mlflow_run import export_mlflow as export_mlflow
from ._tracking.spans import export_spans as export_spans
from .charts.gateway import gateway_chart as gateway_chart
from .errors import (
    AuthenticationFailed as AuthenticationFailed,
    BifrostError as BifrostError,
    BudgetExceeded as BudgetExceeded,
    ConfigurationError as ConfigurationError,
    ConnectionFailed as ConnectionFailed,
    GatewayError as GatewayError,
    LogError as LogError,
    NotFound as NotFound,
    ProtocolError as ProtocolError,
    RateLimited as RateLimited,
    StreamInterrupted as StreamInterrupted,
    TemplateError as TemplateError,
    TimedOut as TimedOut,
)

__all__: list[str]
__version__: str

def load_ipython_extension(shell: object) -> None: ...
def unload_ipython_extension(shell: object) -> None: ...
