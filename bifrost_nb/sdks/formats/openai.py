"""OpenAI's API, which is the gateway's own shape too: chats, text completions, embeddings and responses."""

from __future__ import annotations

from typing import Any

import orjson

from .shape import (
    Format,
    Json,
    Question,
    as_it_came,
    asked,
    choice,
    fallbacks_of,
    items,
    object_of,
    others,
    text_of,
    tool_call,
)

__all__ = ["CHAT", "EMBEDDING", "RESPONSES", "TEXT"]


def _model(body: Json) -> str | None:
    return text_of(body.get("model")) or None


def _chat_question(body: Json) -> Question:
    messages = body.get("messages")
    prompt = asked(messages if type(messages) is list else [])
    return Question(_model(body), prompt, others(body, "model", "messages", "fallbacks"), fallbacks_of(body))


def _text_question(body: Json) -> Question:
    return Question(
        _model(body), _plain(body.get("prompt")), others(body, "model", "prompt", "fallbacks"), fallbacks_of(body)
    )


def _embedding_question(body: Json) -> Question:
    return Question(
        _model(body), _plain(body.get("input")), others(body, "model", "input", "fallbacks"), fallbacks_of(body)
    )


def _responses_question(body: Json) -> Question:
    given, instructions = body.get("input"), body.get("instructions")
    turns: list[Any] = given if type(given) is list else [{"role": "user", "content": given}] if given else []
    params = others(body, "model", "input", "instructions", "fallbacks")
    return Question(_model(body), asked(turns, instructions), params, fallbacks_of(body))


def _plain(value: object) -> str | None:
    """Text as it is, anything else as JSON."""
    if value is None or type(value) is str:
        return value
    return orjson.dumps(value, default=str).decode()


def _response(body: Json) -> Json:
    """A whole answer of the Responses API, or the one that the last event of its stream holds."""
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[Json] = []
    for item in items(body.get("output")):
        kind = item.get("type")
        if kind == "message":
            texts += [text_of(part.get("text")) or text_of(part.get("refusal")) for part in items(item.get("content"))]
        elif kind == "reasoning":
            parts = items(item.get("content")) or items(item.get("summary"))
            reasoning += [text_of(part.get("text")) for part in parts]
        elif kind == "function_call":
            calls.append(tool_call(len(calls), item.get("call_id"), item.get("name"), item.get("arguments") or ""))
    said = choice("".join(texts), reasoning="".join(reasoning), finish=_finish(body, bool(calls)), tool_calls=calls)
    return {**_frame(body), "choices": [said]}


def _frame(body: Json) -> Json:
    """What is beside the text of a response."""
    frame: Json = {name: body[name] for name in ("model", "usage", "extra_fields", "error") if body.get(name)}
    if body.get("status") == "failed" and "error" not in frame:
        frame["error"] = {"message": "the response failed"}
    return frame


def _finish(body: Json, called: bool) -> str | None:
    status = body.get("status")
    if status == "completed":
        return "tool_calls" if called else "stop"
    if status == "incomplete":
        reason = text_of(object_of(body.get("incomplete_details")).get("reason"))
        return "length" if reason in ("max_output_tokens", "") else reason
    return "cancelled" if status == "cancelled" else None


_TEXT_EVENTS = {"response.output_text.delta", "response.refusal.delta"}
_REASONING_EVENTS = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
_LAST_EVENTS = {"response.completed", "response.incomplete", "response.failed"}


def _response_event(event: Json) -> Json:
    kind = event.get("type")
    extra = {"extra_fields": event["extra_fields"]} if event.get("extra_fields") else {}
    if kind in _TEXT_EVENTS:
        return {**extra, "choices": [choice(text_of(event.get("delta")))]}
    if kind in _REASONING_EVENTS:
        return {**extra, "choices": [choice(reasoning=text_of(event.get("delta")))]}
    if kind == "response.output_item.done" and object_of(item := event.get("item")).get("type") == "function_call":
        return {**extra, "choices": _response({"output": [item]})["choices"]}
    if kind == "error":
        return {**extra, "error": event.get("error") or others(event, "type", "sequence_number")}
    body = object_of(event.get("response"))
    chunk = {**extra, **_frame(body)}
    if kind in _LAST_EVENTS:
        called = any(item.get("type") == "function_call" for item in items(body.get("output")))
        chunk["choices"] = [choice(finish=_finish(body, called))]
    return chunk


CHAT = Format(_chat_question, as_it_came, as_it_came, as_it_came)
TEXT = Format(_text_question, as_it_came, as_it_came, as_it_came)
EMBEDDING = Format(_embedding_question, as_it_came, as_it_came, as_it_came)
RESPONSES = Format(_responses_question, _response, _response_event, as_it_came)
