"""Cohere's API, version 2: chats and embeddings."""

from __future__ import annotations

from ..._wire.tool_calls import as_text
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
    stateless,
    text_of,
    tokens,
    tool_call,
)

__all__ = ["CHAT", "EMBED"]

_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


def _question(body: Json) -> RequestFacts:
    messages = body.get("messages")
    params = others(body, "model", "messages", "fallbacks")
    prompt = asked(messages if type(messages) is list else [])
    return RequestFacts(text_of(body.get("model")) or None, prompt, params, fallbacks_of(body))


def _embed_question(body: Json) -> RequestFacts:
    texts = body.get("texts") or body.get("inputs")
    prompt = None
    if type(texts) is list and texts:
        single = len(texts) == 1 and type(texts[0]) is str
        prompt = texts[0] if single else as_text(texts)
    params = others(body, "model", "texts", "inputs", "fallbacks")
    return RequestFacts(text_of(body.get("model")) or None, prompt, params, fallbacks_of(body))


def _said(message: Json, reason: object) -> Json:
    """A whole message, or what one event adds to it (there `content` is an object instead of a list)."""
    content = message.get("content")
    blocks = items(content) or [object_of(content)]
    calls = message.get("tool_calls")
    listed = items(calls) or ([calls] if type(calls) is dict else [])
    return choice(
        "".join(text_of(block.get("text")) for block in blocks),
        reasoning=text_of(message.get("tool_plan")) + "".join(text_of(block.get("thinking")) for block in blocks),
        finish=_FINISH.get(text_of(reason), text_of(reason).lower()) or None,
        tool_calls=[_call(place, call) for place, call in enumerate(listed)],
    )


def _call(place: int, call: Json) -> Json:
    function = object_of(call.get("function"))
    return tool_call(place, call.get("id"), function.get("name"), function.get("arguments") or "")


def _frame(body: Json) -> Json:
    frame: Json = {name: body[name] for name in ("model", "extra_fields", "error") if body.get(name)}
    usage = object_of(body.get("usage")) or object_of(body.get("meta"))
    return {**frame, "usage": usage} if usage else frame


def _answer(body: Json) -> Json:
    if "message" not in body or "embeddings" in body:
        return _frame(body)
    return {**_frame(body), "choices": [_said(object_of(body.get("message")), body.get("finish_reason"))]}


def _event(event: Json) -> Json:
    delta = object_of(event.get("delta"))
    chunk = {**_frame(event), **_frame(delta)}
    if event.get("type") == "message-end":
        if delta.get("finish_reason") == "ERROR":
            chunk["error"] = {"message": text_of(delta.get("error")) or "the provider ended the stream with an error"}
        return {**chunk, "choices": [_said({}, delta.get("finish_reason"))]}
    message = object_of(delta.get("message"))
    if not message:
        return chunk
    said = _said(message, None)
    for call in said["delta"].get("tool_calls", ()):
        call["index"] = count(event.get("index")) or 0
    return {**chunk, "choices": [said]}


def _usage(usage: Json) -> Json:
    """What the model read and wrote; what is billed where only that is told."""
    counted = object_of(usage.get("tokens")) or object_of(usage.get("billed_units"))
    cached = count(usage.get("cached_tokens"))
    total = tokens(count(counted.get("input_tokens")), count(counted.get("output_tokens")), cached=cached)
    return {**total, "cost": usage.get("cost")}


CHAT = Format(_question, _answer, stateless(_event), _usage)
EMBED = Format(_embed_question, _answer, stateless(_event), _usage)
