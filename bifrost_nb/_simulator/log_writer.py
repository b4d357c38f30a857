"""What the embedded gateway writes into its log of each attempt, and how late (the times are in `dialects`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .content.answers import seeded
from .content.media import MEDIA, log_facts
from .content.tokens import message_text
from .dialects import Dialect, Route
from .faults import FaultRule
from .governance import virtual_key
from .http.request import SimulatedCall
from .records import LogRow

if TYPE_CHECKING:
    from .state import Simulator

__all__ = ["row_of"]


def row_of(
    simulator: Simulator, call: SimulatedCall, route: Route, *, rule: FaultRule, began: float, status: str, **facts: Any
) -> LogRow:
    """The row of an attempt that began at `began` (monotonic seconds) and ends now; of `facts` those that are known."""
    dialect, now = simulator.dialect, time.monotonic()
    if status == "cancelled" and not dialect.second:
        status = "error"
    key = virtual_key(call.headers, dialect)
    row = {
        "id": route.log_id,
        "parent_request_id": _session(dialect, call.headers)
        or (call.request_id if route.log_id != call.request_id else None),
        "object": route.request_type,
        "provider": route.provider,
        **_names(simulator, route),
        "number_of_retries": 0,
        "fallback_index": route.fallback_index,
        "selected_key_id": f"key-{route.provider}",
        "selected_key_name": route.key,
        "virtual_key_id": key and key["id"],
        "virtual_key_name": key and key["name"],
        **_asked(dialect, call, route),
        "params": _parameters(call, route),
        "latency": (now - began) * 1e3,
        "status": status,
        "stream": call.stream,
        "user_agent": call.headers.get("user-agent", ""),
        **simulator.prompts.facts(call.headers),
        "metadata": _tags(dialect, call.headers),
    }
    if call.kind in MEDIA:
        row |= log_facts(call)
    known = {name: value for name, value in facts.items() if value is not None}
    written_at = _written_at(simulator, rule, route, now)
    return LogRow(written_at=written_at, timestamp=time.time() - (now - began), facts=row | known)


def _written_at(simulator: Simulator, rule: FaultRule, route: Route, now: float) -> float:
    if rule.log_delay_ms is not None:
        return now + rule.log_delay_ms / 1e3
    if simulator.dialect.log_interval_s:
        return simulator.logs.next_batch(now, simulator.dialect.log_interval_s / simulator.speed)
    return now + seeded(simulator.seed, "log", route.log_id).uniform(0.03, 0.15) / simulator.speed


def _tags(dialect: Dialect, headers: Mapping[str, str]) -> dict[str, str]:
    """Measured: 1.4.18 can be asked for them, and keeps none; older ones know nothing of them."""
    if dialect.old:
        return {}
    return {name[9:]: value for name, value in headers.items() if name.startswith("x-bf-dim-")}


def _session(dialect: Dialect, headers: Mapping[str, str]) -> str | None:
    """Measured: from 1.5.1 on the ``session-id`` of a W3C baggage is the parent of each of its calls."""
    if dialect.before(1, 5, 1):
        return None
    members = (member.partition("=") for member in headers.get("baggage", "").split(","))
    found = (value.partition(";")[0].strip() for name, _, value in members if name.strip() == "session-id")
    return next(found, None) or None


def _asked(dialect: Dialect, call: SimulatedCall, route: Route) -> dict[str, Any]:
    """The conversation, as the log keeps it: what an SDK's route turned into a Responses call has its parts."""
    messages = call.messages or [{"role": "user", "content": prompt} for prompt in call.prompts]
    if not route.request_type.startswith("responses"):
        return {"input_history": messages}
    if call.kind == "responses":
        return {"responses_input_history": messages}
    whole = dialect.before(1, 4, 18) and call.route == "anthropic"
    return {"responses_input_history": [item for message in messages for item in _items(message, whole=whole)]}


def _parameters(call: SimulatedCall, route: Route) -> dict[str, Any]:
    told = {name: value for name, value in call.body.items() if name not in _NO_PARAMETERS}
    if route.request_type.startswith("responses") and "max_tokens" in told:
        told["max_output_tokens"] = told.pop("max_tokens")
    return told


def _names(simulator: Simulator, route: Route) -> dict[str, str]:
    """What the log calls the model: measured, from 1.5.1 on the provider's name, and the gateway's is the alias.

    In 2.0 a streamed fallback has the primary's name there.
    """
    if simulator.dialect.old:
        return {"model": route.model}
    if f"{route.provider}/{route.model}" not in simulator.deployments:  # a name that nobody has, or an escaped one
        return {"model": route.model}
    alias = route.primary_model if simulator.dialect.second and route.stream else route.model
    return {"model": route.upstream_model} | ({"alias": alias} if alias != route.upstream_model else {})


def _items(message: dict[str, Any], *, whole: bool) -> Iterator[dict[str, Any]]:
    """A message as items of the Responses API; `whole`: its text is not in a part. Of tools not measured."""
    content = message_text(message)
    if message["role"] == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": message.get("content")}
        return
    for called in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": called["id"], **called["function"]}
    if not content and message.get("tool_calls"):
        return
    parts = content if whole else [{"type": "input_text", "text": content}]
    yield {"type": "message", "role": message["role"], "content": parts}


_NO_PARAMETERS = frozenset(
    ("model", "stream", "prompt", "messages", "input", "file", "fallbacks", "instructions", "contents")
)
"""Fields of a request that the log does not count among its parameters."""
