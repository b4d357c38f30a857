"""The Responses API in terms of a chat: what its request asks, and the items of its answer.

The real gateway converts the same way for a provider that only chats. No simulation here, only shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .message_content import is_readable

__all__ = ["chat_body", "chat_messages", "response_object", "response_usage"]

_SAME = ("temperature", "top_p", "parallel_tool_calls", "reasoning")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def chat_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conversation that `instructions` and `input` say. Raises ValueError for what the gateway cannot decode."""
    given = body.get("input")
    if given is None or given in ("", []):
        raise ValueError("input is required for responses")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("responses request input is neither a string nor a list of messages")
    messages = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    for item in items:
        kind = item.get("type") or "message"
        if kind == "message":
            if not isinstance(item.get("role"), str) or item.get("content") is None:
                raise ValueError("a message needs a role and a content")
            if not is_readable(item["content"]):
                raise ValueError("invalid responses request input")  # measured of 1.3.63 and 1.4.0; 2.0 says no more
            messages.append({"role": item["role"], "content": item["content"]})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")})
    if not messages:
        raise ValueError("input holds no message")
    return messages


def chat_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the chat that a request of the Responses API amounts to; its messages apart."""
    result = {name: body[name] for name in _SAME if body.get(name) is not None}
    if body.get("max_output_tokens") is not None:
        result["max_completion_tokens"] = body["max_output_tokens"]
    tools = [tool for tool in body.get("tools") or [] if isinstance(tool, dict) and tool.get("type") == "function"]
    if tools:
        result["tools"] = [{"type": "function", "function": tool} for tool in tools]
    choice = body.get("tool_choice")
    if choice is not None:
        result["tool_choice"] = {"function": choice} if isinstance(choice, dict) else choice
    form = (body.get("text") or {}).get("format")
    if isinstance(form, dict):
        result["response_format"] = form
    if "message.output_text.logprobs" in (body.get("include") or []):
        result |= {"logprobs": True, "top_logprobs": body.get("top_logprobs") or 0}
    return result


def response_usage(usage: Mapping[str, Any], *cached_names: str) -> dict[str, Any]:
    """Token counts under the names of the Responses API; those of the cache under `cached_names`, writing is 0."""
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or details.get("cached_read_tokens") or 0
    cached_counts = {name: 0 if "write" in name else cached for name in cached_names}
    result: dict[str, Any] = {"input_tokens": prompt, "input_tokens_details": cached_counts}
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
    result |= {"output_tokens": completion, "output_tokens_details": {"reasoning_tokens": reasoning}}
    result["total_tokens"] = usage.get("total_tokens", prompt + completion)
    return result | ({"cost": usage["cost"]} if "cost" in usage else {})


def response_object(body: Mapping[str, Any], facts: Mapping[str, Any], finish_reason: str | None) -> dict[str, Any]:
    """The ``response`` of an answer: `facts` and what `body` asked, with null where nothing was.

    `finish_reason` is a chat's; None: it is still being written.
    """
    reason = _INCOMPLETE.get(finish_reason or "")
    status = "in_progress" if finish_reason is None else "incomplete" if reason else "completed"
    return {
        "completed_at": None,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": body.get("service_tier"),
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}} | (body.get("text") or {}),
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "status": status,
        **facts,
    }
