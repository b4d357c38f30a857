"""Rows of the gateway's own log as `Run` records, so that both logs have the same columns.

The row's shape is that of ``GET /api/logs`` from gateway 1.3 to 2.x (framework/logstore/tables.go). Newer gateways
leave long texts out of the list: a row has the last message only and no answer there; ``GET /api/logs/{id}`` has both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from .._keys import without_tool_keys
from .._runs.cost import add_log_cost
from .._runs.late_facts import request_type_of
from .._runs.log.codec import cell
from .._runs.run import Run, Status
from .._wire.gateway_errors import parse_error
from .._wire.metadata import name_of, parse_cache, parse_usage
from .._wire.turns import is_only_text
from .fields import as_json, objects

__all__ = ["STATUSES", "run_of", "with_primaries"]

STATUSES: Mapping[str, Status] = {"success": "ok", "error": "error", "cancelled": "cancelled"}
"""The gateway's word for how a request ended, and ours; ``processing`` has no end yet."""

Hide = Callable[[str], str]


def run_of(row: Mapping[str, Any], hide: Hide) -> Run:
    """A row as a record: `run_id` is the row's own id, `request_id` that of the request, which fallbacks share.

    `hide` removes control sequences and keys from texts. Times of our own clock, and what the gateway does not log,
    stay None.
    """
    row_id = _text(row.get("id"), hide) or ""
    index = cell(row.get("fallback_index"), "Int64")
    alias, told = _text(_alias(row), hide), _text(row.get("model"), hide)
    run = Run(run_id=row_id, request_id=row_id)
    if index:  # a fallback's row has a new id; its parent is the request
        run.request_id = _text(row.get("parent_request_id"), hide) or row_id
    run.started_at = cell(row.get("timestamp"), "datetime64[us, UTC]")
    run.request_type = cast("str", None if (kind := request_type_of(row.get("object"))) is None else hide(kind))
    run.provider, run.model = _text(row.get("provider"), hide), alias or told
    run.model_deployment = told if alias else None
    run.is_fallback, run.fallback_index = None if index is None else index > 0, index
    if index == 0:
        run.requested_provider, run.requested_model = run.provider, run.model
    run.status = STATUSES.get(str(row.get("status")))
    run.finish_reason = _text(row.get("stop_reason"), hide)
    _add_error(run, row.get("error_details"), hide)
    tokens = parse_usage(row.get("token_usage"))
    run.prompt_tokens, run.completion_tokens, run.total_tokens = tokens.prompt, tokens.completion, tokens.total
    run.cached_tokens, run.cache_write_tokens = tokens.cached, tokens.cache_write
    run.reasoning_tokens = tokens.reasoning
    if run.request_type == "embedding":
        run.completion_tokens = None  # nothing is written; in our own log neither
    run.latency_ms = cell(row.get("latency"), "Float64")
    cache = parse_cache(row)
    run.cache_hit, run.cache_hit_type, run.cache_similarity = cache.hit, cache.type, cache.similarity
    if not add_log_cost(run, row) and run.cache_hit and row.get("cost") == 0:
        run.cost_usd, run.cost_source = 0.0, "log"  # the answer of a cache costs nothing
    run.prompt, run.response = _prompt(row, run.request_type, hide), _response(row, hide)
    if run.status == "error" and run.error_message is None:
        run.error_message = _summary_error(row.get("content_summary"), run.prompt, hide)
    run.params, run.tags = _params(row, hide), _object(row.get("metadata"), hide)
    return run


def _alias(row: Mapping[str, Any]) -> object:
    """The gateway's name of the model, where the row has one beside the provider's.

    In that of a streamed fallback 2.0.0-prerelease3 writes the primary's; rows with an ``app`` are of 2.0.
    """
    streamed = str(row.get("object")).endswith("_stream")
    return None if row.get("fallback_index") and streamed and "app" in row else row.get("alias")


def _params(row: Mapping[str, Any], hide: Hide) -> dict[str, Any]:
    """The parameters, and whether it was a stream; nothing of a row that tells none, as those of newer lists, so that
    this differs from a call without any."""
    given = row.get("params")
    if not isinstance(given, Mapping):
        return {}
    streamed = {"stream": row["stream"]} if isinstance(row.get("stream"), bool) else {}
    return {**without_tool_keys(_object(given, hide)), **streamed}


def with_primaries(runs: Iterable[Run]) -> list[Run]:
    """Name in each fallback's record who had been asked, where the primary's record is among `runs`."""
    found = list(runs)
    primaries = {run.run_id: run for run in found}
    for run in found:
        if run.is_fallback and (primary := primaries.get(run.request_id or "")) is not None:
            run.requested_provider, run.requested_model = primary.provider, primary.model
    return found


def _add_error(run: Run, details: object, hide: Hide) -> None:
    if isinstance(details, Mapping) and details and run.status != "ok":
        info = parse_error(cast("Mapping[str, Any]", details), None, {})
        run.http_status, run.error_message = info.status, hide(info.message)
        run.error_type, run.error_code = _text(info.type, hide), _text(info.code, hide)
        if "request_cancelled" in (info.type, info.code):
            run.status = "cancelled"  # up to 1.5.16 the gateway writes it down as an error


def _summary_error(summary: object, prompt: str | None, hide: Hide) -> str | None:
    """The error in a list row of 2.0, which has no details: the summary is the prompt, a blank, and the message."""
    text = hide(summary).strip() if isinstance(summary, str) else ""
    if prompt and text.startswith(prompt.strip()):
        text = text[len(prompt.strip()) :].strip()
    return text or None


def _prompt(row: Mapping[str, Any], request_type: str | None, hide: Hide) -> str | None:
    """As our own log writes it: one user turn as its text, several prompts or messages, or one with a name, as JSON."""
    messages = row.get("input_history") or row.get("responses_input_history")
    if not isinstance(messages, list) or not messages:
        return None
    turns = [(item.get("role"), _content(item.get("content"))) for item in messages if isinstance(item, Mapping)]
    plain = len(turns) == len(messages) and all(map(is_only_text, messages))
    if plain and all(role == "user" and content is not None for role, content in turns):
        contents = [content for _, content in turns]
        if len(contents) == 1:
            return hide(contents[0] or "")
        if request_type in ("text_completion", "embedding"):
            return hide(as_json(contents))
    return hide(as_json(messages))


def _response(row: Mapping[str, Any], hide: Hide) -> str | None:
    message = row.get("output_message")
    if isinstance(message, Mapping):
        content = _content(message.get("content"))
    else:
        parts = [_content(item.get("content")) for item in objects(row.get("responses_output"))]
        content = "".join(part for part in parts if part) or None
    return None if content is None else hide(content)


def _content(content: object) -> str | None:
    """Text, or the text of blocks that are nothing else; None for images, tool calls and the like."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        texts = [block.get("text") if isinstance(block, Mapping) else None for block in content]
        if all(isinstance(text, str) for text in texts):
            return "".join(cast("list[str]", texts))
    return None


def _object(value: object, hide: Hide) -> dict[str, Any]:
    """A JSON object without keys and control sequences in its texts."""
    if not isinstance(value, Mapping) or not value:
        return {}
    return cast("dict[str, Any]", _hidden(value, hide))


def _hidden(value: object, hide: Hide) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {hide(str(name)): _hidden(each, hide) for name, each in value.items()}
    return [_hidden(each, hide) for each in value] if isinstance(value, list) else value


def _text(value: object, hide: Hide) -> str | None:
    name = name_of(value)
    return hide(name) if name is not None else None
