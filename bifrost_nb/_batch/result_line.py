"""The runs of a batch: what came back for each trial, without times, at the batch's price.

Two shapes: OpenAI and Azure give ``response`` with status and body, which is the provider's own answer (of Gemini's the
gateway makes a short one, see `gemini`); Anthropic gives ``result`` with the type ``succeeded``, ``errored``,
``expired`` or ``canceled``, and its own message.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._compare.plan import Plan, Trial
from .._runs.cost import Price, add_price_cost
from .._runs.route_collectors import collector_of
from .._runs.run import Run
from .._safe_text import plain
from ..errors import BifrostError, GatewayError, ProtocolError
from .gemini import as_chat
from .ledger import SentJob

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["run_of"]

PRICED = (
    "cost_usd is the gateway's list price times {rate:g}, the batch rate that {provider} publishes: the gateway's log "
    "counts nothing of a batch."
)


def run_of(
    client: Client, plan: Plan, trial: Trial, job: SentJob, line: Mapping[str, Any] | None, price: Price | None
) -> Run:
    """The finished run of one trial; `line` None: the job has ended without an answer to it."""
    call = plan.call(client, trial)
    run = call.run
    # The same for whoever collects it: two that do so at once write one row of the log.
    run.run_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{job.job} {trial.trial_id}"))
    run.started_at, run.base_url = job.started_at, client.base_url
    run.params = {**run.params, "batch_id": job.batch_id, "batch_rate": job.rate}
    run.params.pop("stream", None)
    collector = collector_of(call.kind, run, 0.0, client.credentials.secrets, None)
    error: BifrostError | None = None
    try:
        status, body = _answer(line)
        if job.provider == "gemini" and status < 300:
            body = as_chat(body)
        collector.headers(status, {})
        if status >= 300:
            raise collector.refusal(body)
        collector.take(body)
    except BifrostError as refused:
        error = refused
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as odd:
        error = ProtocolError(f"The batch holds an answer that cannot be read ({type(odd).__name__}).")
    _finish(run, collector, job)
    if error is not None:
        _failed(run, error)
        return run
    run.status = "ok"
    if price is not None and run.cost_usd is None:
        scaled = Price(*(None if each is None else each * job.rate for each in price))
        if add_price_cost(run, scaled):
            run.notes.append(PRICED.format(rate=job.rate, provider=job.provider))
    return run


def _finish(run: Run, collector: Any, job: SentJob) -> None:
    collector.finish(0.0)
    told = (run.raw or {}).get("model")
    run.provider, run.model = run.requested_provider, run.requested_model
    run.model_deployment = told if isinstance(told, str) and told else job.model
    run.is_fallback, run.fallback_index = False, 0
    # A batch has no times: how long its job waited says nothing about a deployment.
    run.total_ms = run.ttft_ms = run.latency_ms = run.tokens_per_s = run.queue_ms = None


def _failed(run: Run, error: BifrostError) -> None:
    run.status, run.error_type, run.error_code = "error", type(error).__name__, None
    run.error_message = plain(str(error), 2_000)
    if isinstance(error, GatewayError):
        run.error_type, run.error_code = error.type or run.error_type, error.code


def _answer(line: Mapping[str, Any] | None) -> tuple[int, dict[str, Any]]:
    """Status and body of one request's answer, in the form of the gateway's."""
    if line is None:
        raise ProtocolError("The batch ended without an answer to this request.", hint="Run the cell again to send it.")
    result = line.get("result")
    if isinstance(result, Mapping):
        if result.get("type") == "succeeded":
            return 200, _of_anthropic(result["message"])
        said = (line.get("error") or {}).get("message")
        kind = plain(str(result.get("type")), 40)
        raise GatewayError(
            f"Anthropic's batch says {kind!r} of this request{f': {plain(str(said), 500)}' if said else ''}."
        )
    response = line.get("response")
    if isinstance(response, Mapping):
        return int(response.get("status_code") or 500), dict(response.get("body") or {})
    raise GatewayError(f"The batch gave no answer to this request: {plain(str(line.get('error')), 500)}.")


def _of_anthropic(message: dict[str, Any]) -> dict[str, Any]:
    from .._sdks.formats.anthropic import MESSAGES

    answer = dict(MESSAGES.answer(message))
    if isinstance(answer.get("usage"), dict):
        answer["usage"] = {name: each for name, each in MESSAGES.usage(answer["usage"]).items() if each is not None}
    return answer
