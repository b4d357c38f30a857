"""OpenAI's API, which is the gateway's own shape too: chats, text completions, embeddings and responses."""

from __future__ import annotations

from typing import Any

from ..._wire.responses_stream import ResponseEvents, answer_of
from ..._wire.tool_calls import as_text
from .shape import Format, Json, RequestFacts, as_it_came, asked, fallbacks_of, others, stateless, text_of

__all__ = ["CHAT", "EMBEDDING", "RESPONSES", "TEXT"]


def _model(body: Json) -> str | None:
    return text_of(body.get("model")) or None


def _chat_question(body: Json) -> RequestFacts:
    messages = body.get("messages")
    prompt = asked(messages if type(messages) is list else [])
    return RequestFacts(_model(body), prompt, others(body, "model", "messages", "fallbacks"), fallbacks_of(body))


def _text_question(body: Json) -> RequestFacts:
    return RequestFacts(
        _model(body), _plain(body.get("prompt")), others(body, "model", "prompt", "fallbacks"), fallbacks_of(body)
    )


def _embedding_question(body: Json) -> RequestFacts:
    return RequestFacts(
        _model(body), _plain(body.get("input")), others(body, "model", "input", "fallbacks"), fallbacks_of(body)
    )


def _responses_question(body: Json) -> RequestFacts:
    given, instructions = body.get("input"), body.get("instructions")
    turns: list[Any] = given if type(given) is list else [{"role": "user", "content": given}] if given else []
    params = others(body, "model", "input", "instructions", "fallbacks")
    return RequestFacts(_model(body), asked(turns, instructions), params, fallbacks_of(body))


def _plain(value: object) -> str | None:
    """Text as it is, anything else as JSON."""
    if value is None or type(value) is str:
        return value
    return as_text(value)


CHAT = Format(_chat_question, as_it_came, stateless(as_it_came), as_it_came)
TEXT = Format(_text_question, as_it_came, stateless(as_it_came), as_it_came)
EMBEDDING = Format(_embedding_question, as_it_came, stateless(as_it_came), as_it_came)
RESPONSES = Format(_responses_question, answer_of, lambda: ResponseEvents().chunk, as_it_came)
