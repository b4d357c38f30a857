"""Counting a request's tokens without an answer to it, as two SDKs ask for it."""

from __future__ import annotations

from typing import Any

from .anthropic import Anthropic
from .base import ProviderReply, fields
from .genai import GenAI

__all__ = ["AnthropicCount", "GenAICount"]


class AnthropicCount(Anthropic):
    """``/anthropic/v1/messages/count_tokens`` (providers/anthropic/count_tokens.go)."""

    operation = "count_tokens"

    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        return super().request(body, model) | {"stream": False}

    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        return {"input_tokens": reply.tokens.prompt}


class GenAICount(GenAI):
    """``/genai/v1beta/models/{model}:countTokens`` (providers/gemini/count_tokens.go).

    A gateway from 2.0 on asks Google with the request to be counted in ``generateContentRequest`` (measured).
    """

    operation = "count_tokens"

    def request(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        return super().request(fields(body.get("generateContentRequest")) or body, model)

    def answer(self, reply: ProviderReply) -> dict[str, Any]:
        return {"totalTokens": reply.tokens.prompt}
