"""The runs of a batch: what came back for each trial, without times, at the batch's price.

Two shapes: OpenAI and Azure give ``response`` with status and body, which is the provider's own answer (of Gemini's the
gateway makes a short one, see `gemini`); Anthropic gives ``result`` with the type ``succeeded``, ``errored``,
``expired`` or ``canceled``, and its own message.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._compare.plan import Plan, Trial
from .._keys import without_keys
from .._runs.cost import Price, add_price_cost
from .._runs.route_collectors import collector_of
from .._runs.run import Run
from .._safe_text import plain
from .._wire.gateway_errors import is_passing
from ..errors import BifrostError, GatewayError, ProtocolError
from .gemini import as_chat
from .ledger import SentJob

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["is_answer", "run_of"]

AGAIN = "Run the cell again to send it."
_ENDS = {"expired": "expired", "cancelled": "was cancelled", "canceled": "was cancelled", "failed": "failed"}
_NO_WORDS = "Gateways leave out why; one call without mode='batch' shows it."
PRICED = (
    "cost_usd is the gateway's list price times {rate:g}, the batch rate that {provider} publishes: the gateway's log "
    "counts nothing of a batch."
)


def is_answer(line: Mapping[str, Any]) -> bool:
    """Whether a line holds an answer, and not a failure; of its form nothing is said."""
    result, response = line.get("result"), line.get("response")
    if isinstance(result, Mapping):
        return result.get("type") == "succeeded"
    return isinstance(response, Mapping) and str(response.get("status_code") or 200)[:1] == "2"


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
        status, body = _answer(line, job)
        if job.provider == "gemini" and status < 300:
            body = as_chat(body)
        collector.headers(status, {})
        if status >= 300:
            raise collector.refusal(body if isinstance(body, dict) else str(body or "").encode())
        collector.take(body)
    except BifrostError as refused:
        error = refused
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as odd:
        error = ProtocolError(f"The batch holds an answer that cannot be read ({type(odd).__name__}).")
    _finish(run, collector, job)
    if error is not None:
        _failed(run, error, client.credentials.secrets)
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


def _failed(run: Run, error: BifrostError, secrets: Iterable[str | None]) -> None:
    if not isinstance(error, GatewayError) or is_passing(error):
        error.hint = AGAIN  # those of single calls name a fallback, or doubt the gateway's address
    run.status, run.error_type, run.error_code = "error", type(error).__name__, None
    run.error_message = plain(without_keys(plain(str(error)), *secrets), 2_000)
    if isinstance(error, GatewayError):
        run.error_type, run.error_code = error.type or run.error_type, error.code


def _answer(line: Mapping[str, Any] | None, job: SentJob) -> tuple[int, Any]:
    """Status and body of one request's answer, in the form of the gateway's."""
    if line is None:
        how = _ENDS.get(str(job.facts.get("status")), "ended")
        raise ProtocolError(f"The batch {how} without an answer to this request.", hint=AGAIN)
    result = line.get("result")
    if isinstance(result, Mapping):
        if result.get("type") == "succeeded":
            return 200, _of_anthropic(result["message"])
        said = (line.get("error") or {}).get("message")
        kind = plain(str(result.get("type")), 40)
        raise GatewayError(
            f"Anthropic's batch says {kind!r} of this request{f': {plain(str(said), 500)}' if said else ''}.",
            hint=AGAIN if said or kind != "errored" else _NO_WORDS,
        )
    response = line.get("response")
    if isinstance(response, Mapping):
        status, body = int(response.get("status_code") or 200), response.get("body")
        return status, body if status >= 300 else dict(body or {})
    raise _refused(line.get("error"))


def _refused(told: Any) -> GatewayError:
    """Of a request that was never sent to a model: the job failed, expired or was stopped before."""
    said = told if isinstance(told, Mapping) else {"message": told}
    words = plain(str(said.get("message") or said.get("code") or "no reason was given"), 500).rstrip(".")
    error = GatewayError(f"The batch gave no answer to this request: {words}.", hint=AGAIN)
    code = said.get("code")
    error.code = plain(code, 80) if isinstance(code, str) and code else None
    return error


def _of_anthropic(message: dict[str, Any]) -> dict[str, Any]:
    from .._sdks.formats.anthropic import MESSAGES

    answer = dict(MESSAGES.answer(message))
    if isinstance(answer.get("usage"), dict):
        answer["usage"] = {name: each for name, each in MESSAGES.usage(answer["usage"]).items() if each is not None}
    return answer
