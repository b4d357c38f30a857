"""Anthropic's Messages API."""

from __future__ import annotations

from .shape import (
    Format,
    Json,
    RequestFacts,
    asked,
    choice,
    count,
    fallbacks_of,
    items,
    object_of,
    others,
    text_of,
    tokens,
    tool_call,
    total_of,
)

__all__ = ["MESSAGES"]

_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def _question(body: Json) -> RequestFacts:
    messages = body.get("messages")
    prompt = asked(messages if type(messages) is list else [], body.get("system"))
    params = others(body, "model", "messages", "system", "fallbacks")
    return RequestFacts(text_of(body.get("model")) or None, prompt, params, fallbacks_of(body))


def _finish(reason: object) -> str | None:
    return _FINISH.get(text_of(reason), text_of(reason)) or None


def _answer(body: Json) -> Json:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Json] = []
    for block in items(body.get("content")):
        if block.get("type") == "tool_use":
            calls.append(tool_call(len(calls), block.get("id"), block.get("name"), block.get("input") or {}))
        else:
            texts.append(text_of(block.get("text")))
            thoughts.append(text_of(block.get("thinking")))
    said = choice(
        "".join(texts), reasoning="".join(thoughts), finish=_finish(body.get("stop_reason")), tool_calls=calls
    )
    return {**_frame(body), "choices": [said]}


def _frame(body: Json) -> Json:
    return {name: body[name] for name in ("model", "usage", "extra_fields", "error") if body.get(name)}


class _MessageEvents:
    """The events of one stream. Only calls of the user's own tools count: others ran at the provider already."""

    def __init__(self) -> None:
        self._calls: set[int] = set()

    def chunk(self, event: Json) -> Json:
        kind, place = event.get("type"), count(event.get("index")) or 0
        if kind == "content_block_start":
            block = object_of(event.get("content_block"))
            if block.get("type") == "tool_use":
                self._calls.add(place)
                call = tool_call(place, block.get("id"), block.get("name"))
                call["function"]["arguments"] = object_of(block.get("input"))  # nearly always it comes in pieces
                return {"choices": [choice(tool_calls=[call])]}
            return {"choices": [choice(text_of(block.get("text")), reasoning=text_of(block.get("thinking")))]}
        if kind == "content_block_delta":
            delta = object_of(event.get("delta"))
            if delta.get("type") == "input_json_delta":
                fragment = tool_call(place, arguments=text_of(delta.get("partial_json")))
                return {"choices": [choice(tool_calls=[fragment])]} if place in self._calls else {}
            return {"choices": [choice(text_of(delta.get("text")), reasoning=text_of(delta.get("thinking")))]}
        return _of_message(event)


def _of_message(event: Json) -> Json:
    kind = event.get("type")
    if kind == "message_start":
        chunk = _frame(object_of(event.get("message")))
        # What it counts as output is only the beginning, and a gateway that knows nothing yet writes 0.
        early = object_of(chunk.pop("usage", None))
        known = {name: value for name, value in early.items() if name != "output_tokens" and value}
        return {**chunk, "usage": known} if known else chunk
    if kind == "message_delta":
        said = choice(finish=_finish(object_of(event.get("delta")).get("stop_reason")))
        return {**_frame(event), "choices": [said]}
    return _frame(event)


def _usage(usage: Json) -> Json:
    """Anthropic counts what came from and went to its cache beside `input_tokens`."""
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    fresh = count(usage.get("input_tokens"))
    prompt = None if fresh is None else total_of(fresh, read, written)
    details = object_of(usage.get("output_tokens_details"))
    reasoning = count(details.get("thinking_tokens", details.get("reasoning_tokens")))
    counted = tokens(prompt, count(usage.get("output_tokens")), cached=read, written=written, reasoning=reasoning)
    return {**counted, "cost": usage.get("cost")}


MESSAGES = Format(_question, _answer, lambda: _MessageEvents().chunk, _usage)
