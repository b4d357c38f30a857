"""Gemini's batches: a chat as its generateContent, and what the gateway makes of an answer as a chat's again.

The gateway hands back the text of the first candidate, why it ended and three counts (measured on 2.0.0-prerelease3
before a simulated Gemini); calls of tools and further candidates are lost, so requests that want them are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError

__all__ = ["as_chat", "as_contents"]

_SETTINGS = {"temperature": "temperature", "top_p": "topP", "seed": "seed"}
_OTHERS = {"model", "messages", "max_completion_tokens", "max_tokens", "stop", "response_format"}
_ENDS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter"}


def as_contents(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A chat's request as Gemini takes it. Raises ConfigurationError."""
    if kind != "chat":
        raise ConfigurationError("Gemini's batches hold chats only: api='chat'")
    if other := sorted(body.keys() - _OTHERS - _SETTINGS.keys()):
        raise ConfigurationError(f"{other[0]} is not taken in a batch of Gemini's")
    settings: dict[str, Any] = {theirs: body[ours] for ours, theirs in _SETTINGS.items() if ours in body}
    if (longest := body.get("max_completion_tokens") or body.get("max_tokens")) is not None:
        settings["maxOutputTokens"] = longest
    if "stop" in body:
        settings["stopSequences"] = [body["stop"]] if isinstance(body["stop"], str) else list(body["stop"])
    if "response_format" in body:
        settings |= _format(body["response_format"])
    turns = body["messages"]
    system = [part for turn in turns if turn["role"] in ("system", "developer") for part in _parts(turn)]
    asked = [turn for turn in turns if turn["role"] not in ("system", "developer")]
    return {
        "contents": [{"role": _role(turn), "parts": _parts(turn)} for turn in asked],
        **({"systemInstruction": {"parts": system}} if system else {}),
        **({"generationConfig": settings} if settings else {}),
    }


def _format(wanted: Any) -> dict[str, Any]:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "json_object":
        return {"responseMimeType": "application/json"}
    held = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    if kind != "json_schema" or not isinstance(held, Mapping) or not isinstance(held.get("schema"), Mapping):
        raise ConfigurationError(f"a format of type {kind!r} is not taken in a batch of Gemini's")
    return {"responseMimeType": "application/json", "responseJsonSchema": held["schema"]}


def _role(turn: Mapping[str, Any]) -> str:
    if turn["role"] not in ("user", "assistant") or turn.get("tool_calls"):
        raise ConfigurationError("turns that call tools or answer them are not batched at Gemini")
    return "model" if turn["role"] == "assistant" else "user"


def _parts(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = turn.get("content") or ""
    return [{"text": content}] if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"text": part["text"]}
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    kind, marked, data = str(url).removeprefix("data:").partition(";base64,")
    if part["type"] != "image_url" or not marked:
        raise ConfigurationError(f"a part of type {part['type']!r} is not batched at Gemini")
    return {"inlineData": {"mimeType": kind, "data": data}}


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer in the form of a chat completion."""
    ended = body.get("finish_reason")
    message = {"role": "assistant", "content": body.get("text")}
    reason = _ENDS.get(str(ended), str(ended).lower()) if ended else None
    # Without text and reason it had no candidate: the prompt was blocked (2.0.0-prerelease3, measured).
    told = {
        "choices": [{"index": 0, "message": message, "finish_reason": reason}] if message["content"] or ended else []
    }
    usage = body.get("usage")
    return told | ({"usage": _usage(usage)} if isinstance(usage, Mapping) else {})


def _usage(told: Mapping[str, Any]) -> dict[str, Any]:
    """Google counts thoughts in the total alone (read), and they are paid for as the answer is."""
    usage = dict(told)
    asked, written, total = (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if isinstance(asked, int) and isinstance(written, int) and isinstance(total, int) and total > asked + written:
        usage["completion_tokens"] = total - asked
        usage["completion_tokens_details"] = {"reasoning_tokens": total - asked - written}
    return usage
