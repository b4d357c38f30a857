"""What a run learns from the rows that the gateway's log has of it: cost, and who served where the answer did not say.

Rows of one request: the one under its id, and those of its fallbacks, which have ids of their own and it as their
parent. Shapes: measured on gateways 1.3.63 to 2.0.0-prerelease3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .._numbers import version_numbers
from .._wire.metadata import name_of, number_of
from .cost import add_log_cost, logged_usd
from .run import Run

__all__ = [
    "add_log_rows",
    "answered_in",
    "is_one_of_several",
    "learn_version",
    "request_type_of",
    "row_tells_part_of_latency",
    "tells_all_tokens",
    "tells_part_of_latency",
]

Row = Mapping[str, Any]
_COUNTS = (("prompt_tokens", "prompt_tokens"), ("completion_tokens", "completion_tokens"))
_COUNTS_OF_RESPONSES = (("output_tokens", "completion_tokens"),)
"""A count in the answer, and the same in its row."""
_LAST_PARTLY_TIMED = (1, 5, 1)
_FALLBACKS = 1_000_000
"""More than any request has; a larger number is none."""


def answered_in(run: Run, rows: Sequence[Row]) -> bool:
    """Whether `rows` tell how the request ended: of an answered one, a row that was answered is among them."""
    return bool(rows) and (run.status != "ok" or "success" in [row.get("status") for row in rows])


def add_log_rows(run: Run, rows: Sequence[Row], last: Sequence[Row]) -> bool:
    """Into the run what `rows`, of all its attempts, say; `last` are those of the last one. False: no cost of it.

    A retry that broke off, and a primary that failed after it had answered in part, may be billed too, so the costs of
    all rows are added up.
    """
    answered = last[-1]
    if len(last) > 1:
        answered = next((row for row in last if row.get("status") == "success"), answered)
    _add_who(run, answered)
    _add_latency(run, answered)
    others = [row for row in rows if row is not answered] if len(rows) > 1 else ()
    earlier = math.fsum(cost for row in others if (cost := logged_usd(row)) is not None) if others else 0.0
    known = run.cost_usd is not None or (not is_one_of_several(run, answered) and add_log_cost(run, answered))
    if known and earlier:
        run.cost_usd = (run.cost_usd or 0.0) + earlier
        run.input_cost_usd = run.output_cost_usd = None  # no row says how the others are split
    return known


def is_one_of_several(run: Run, row: Row) -> bool:
    """Whether the answer took more calls of the model than `row` tells: the gateway ran tools between them (MCP).

    Measured, 1.4.18 to 2.0.0-prerelease3: each call has a row under an id of its own that nothing links to the
    request, whose row is the first call's. Only the counts of tokens show it.
    """
    usage, logged = run.usage, row.get("token_usage")
    if run.status != "ok" or not isinstance(usage, Mapping) or not isinstance(logged, Mapping):
        return False
    for ours, theirs in _COUNTS_OF_RESPONSES if run.request_type == "responses" else _COUNTS:
        told, counted = usage.get(ours), logged.get(theirs)
        if told != counted:  # nearly never, and making numbers of them takes longer than all else that a row costs
            told, counted = number_of(told), number_of(counted)
            if told and counted and told != counted:
                return True
    return False


def tells_all_tokens(run: Run) -> bool:
    """Whether an answer that took several calls of the model has the tokens of all; on 1.4.18 it has the last's."""
    return version_numbers(run.gateway_version) >= (1, 5)


def learn_version(run: Run, version: str | None) -> None:
    """Take the version of the gateway that answered `run`, which says what its figures mean."""
    run.gateway_version = version
    if tells_part_of_latency(run):
        run.latency_ms = None  # the gateway's log has all of it


def tells_part_of_latency(run: Run) -> bool:
    """Whether the ``latency`` of the answer counts from the provider's head on, which comes with its first text.

    Measured of streams, 1.3.63 to 1.5.1. The log's row has all of it, but for `row_tells_part_of_latency`.
    """
    return bool(run.params.get("stream")) and () < version_numbers(run.gateway_version) <= _LAST_PARTLY_TIMED


def row_tells_part_of_latency(run: Run) -> bool:
    """Whether the log's row has a part, or 0: of a stream that a fallback answers (measured, 1.3.63 to 1.4.18), and of
    one of the Responses API on 1.3.63."""
    before = (1, 5) if run.is_fallback else (1, 4) if run.request_type == "responses" else ()
    return tells_part_of_latency(run) and version_numbers(run.gateway_version) < before


def _add_latency(run: Run, row: Row) -> None:
    if run.status == "ok" and row.get("status") == "success" and tells_part_of_latency(run):
        run.latency_ms = None if row_tells_part_of_latency(run) else number_of(row.get("latency"))


def request_type_of(value: object) -> str | None:
    """The kind of a row's `object`: ``chat.completion.chunk`` (1.3), ``chat_completion_stream``: chat_completion."""
    name = (name_of(value) or "").replace(".", "_").removesuffix("_stream").removesuffix("_chunk")
    return "responses" if name == "response" else name or None


def _add_who(run: Run, row: Row) -> None:
    """Who served, where that is unknown; the answer's own word counts before the log's."""
    if run.status not in ("ok", "truncated", "cancelled") or row.get("status") not in ("success", "cancelled"):
        return
    index = row.get("fallback_index")
    alias = None if index else name_of(row.get("alias"))  # of a streamed fallback 2.0.0-prerelease3 has the primary's
    unnamed = run.provider is None or run.model is None
    if alias is None and not unnamed and run.is_fallback is not None:
        return
    told = name_of(row.get("model"))
    run.provider = run.provider or name_of(row.get("provider"))
    if run.model is None or (alias is not None and run.model == told):
        # 1.5.1 streams an alias under the provider's name; the row has both.
        run.model = alias or told
        run.model_deployment = told if alias else run.model_deployment
    elif alias is not None and alias == run.model and run.model_deployment in (None, alias):
        run.model_deployment = told  # a whole answer of 1.5.1 has only the alias
    if type(index) is int and 0 <= index < _FALLBACKS and run.is_fallback is None:
        run.is_fallback, run.fallback_index = index > 0, index
    if unnamed and (kind := request_type_of(row.get("object"))) is not None:
        run.request_type = kind
