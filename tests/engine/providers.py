"""What simulated providers answer: the JSON and the streams of OpenAI (Azure's are the same) and of Anthropic.

Formats: https://platform.openai.com/docs/api-reference and https://docs.anthropic.com/en/api.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import orjson

from bifrost_nb._simulator.content.answers import SimulatedChoice
from bifrost_nb._simulator.content.embeddings import embedding_data
from bifrost_nb._simulator.dialects import Failure
from bifrost_nb._simulator.http.delivery import ProviderAttempt
from bifrost_nb._simulator.http.request import SimulatedCall
from bifrost_nb._simulator.http.responses_as_chat import chat_messages, response_usage
from bifrost_nb._simulator.http.responses_writer import ResponseWriter

CREATED = 1_790_000_000
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_ANTHROPIC_ERRORS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class Frame(NamedTuple):
    """One event of a stream. `text`: it carries a piece of the answer, so time passes before it."""

    data: bytes
    text: bool = False


class OpenAI:
    """The format of OpenAI's API, which Azure and custom providers speak too."""

    def call(
        self, kind: Any, deployment: str, body: dict[str, Any], headers: Mapping[str, str], number: int
    ) -> SimulatedCall:
        """The request, as the simulator of deployments takes it."""
        prompt = body.get("input" if kind == "embedding" else "prompt")
        messages = chat_messages(body) if kind == "responses" else body.get("messages") or []
        return SimulatedCall(
            kind=kind,
            route="v1",
            request_id=f"upstream-{number}",
            targets=[deployment],
            stream=bool(body.get("stream")),
            prompts=[prompt] if isinstance(prompt, str) else list(prompt or ()),
            messages=messages,
            body=body,
            headers=headers,
        )

    def error(self, failure: Failure) -> dict[str, Any]:
        """An error answer, or an error frame of a stream."""
        code = failure.code if failure.code is not None else None
        detail = {"message": failure.message, "type": failure.type, "param": failure.param, "code": code}
        return {"error": detail}

    def whole(self, call: SimulatedCall, attempt: ProviderAttempt) -> dict[str, Any]:
        """A whole answer."""
        if call.kind == "responses":
            return _writer(call, attempt).response(response_usage(attempt.usage, "cached_tokens"))
        if call.kind == "embedding":
            data = embedding_data(attempt.answer.vectors, call.get("encoding_format", "float"))
            return {"object": "list", "data": data, "model": attempt.route.model, "usage": _usage(attempt)}
        choices = [self._choice(call, choice) for choice in attempt.answer.choices]
        kind = "text_completion" if call.kind == "text" else "chat.completion"
        return self._envelope(call, attempt, kind) | {"choices": choices, "usage": _usage(attempt)}

    def frames(self, call: SimulatedCall, attempt: ProviderAttempt, size: int) -> Iterator[Frame]:
        """The events of a stream, `size` tokens in each; the choices take turns."""
        if call.kind == "responses":
            yield from _response_frames(call, attempt, size)
            return
        kind = "text_completion" if call.kind == "text" else "chat.completion.chunk"

        def frame(choices: list[Any], *, text: bool = False, **facts: Any) -> Frame:
            return Frame(_data(self._envelope(call, attempt, kind) | {"choices": choices, "usage": None} | facts), text)

        choices = attempt.answer.choices
        if attempt.route.provider == "azure":  # Azure begins with what its filter says of the prompt
            yield frame([], prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}])
        if call.kind == "chat":
            for choice in choices:
                yield frame([self._part(call, choice.index, {"role": "assistant", "content": ""})])
        for parts in zip_longest(*(list(self._parts(call, choice, size)) for choice in choices)):
            for part in parts:
                if part is not None:
                    yield frame([part], text=True)
        for choice in choices:
            part = self._part(call, choice.index, {} if call.kind == "chat" else "")
            yield frame([part | {"finish_reason": choice.finish_reason}])
        if (call.body.get("stream_options") or {}).get("include_usage"):
            yield frame([], usage=_usage(attempt))
        yield Frame(b"data: [DONE]\n\n")

    def _envelope(self, call: SimulatedCall, attempt: ProviderAttempt, kind: str) -> dict[str, Any]:
        prefix = "cmpl" if call.kind == "text" else "chatcmpl"
        facts: dict[str, Any] = {"id": f"{prefix}-{call.request_id}", "object": kind, "created": CREATED}
        return facts | {"model": attempt.route.model, "system_fingerprint": "fp_simulated"}

    def _choice(self, call: SimulatedCall, choice: SimulatedChoice) -> dict[str, Any]:
        body: dict[str, Any] = {"index": choice.index, "finish_reason": choice.finish_reason}
        if call.kind == "text":
            body["text"] = choice.text
        else:
            message: dict[str, Any] = {"role": "assistant", "content": None if choice.tool_calls else choice.text}
            if choice.tool_calls:
                message["tool_calls"] = choice.tool_calls
            if choice.reasoning:
                message["reasoning"] = "".join(choice.reasoning)
            body["message"] = message
        return body | _logprobs(call, choice, 0, len(choice.tokens))

    def _parts(self, call: SimulatedCall, choice: SimulatedChoice, size: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(choice.reasoning), size):
            yield self._part(call, choice.index, {"reasoning": "".join(choice.reasoning[start : start + size])})
        for start in range(0, len(choice.tokens), size):
            end = min(start + size, len(choice.tokens))
            text = "".join(choice.tokens[start:end])
            part = self._part(call, choice.index, text if call.kind == "text" else {"content": text})
            yield part | _logprobs(call, choice, start, end)
        for tool in choice.tool_calls:
            name, arguments = tool["function"]["name"], tool["function"]["arguments"]
            opening = tool | {"function": {"name": name, "arguments": ""}}
            yield self._part(call, choice.index, {"tool_calls": [opening]})
            for start in range(0, len(arguments), 8):
                fragment = {"index": tool["index"], "function": {"arguments": arguments[start : start + 8]}}
                yield self._part(call, choice.index, {"tool_calls": [fragment]})

    def _part(self, call: SimulatedCall, index: int, content: Any) -> dict[str, Any]:
        return {"index": index, "text" if call.kind == "text" else "delta": content, "finish_reason": None}


def _writer(call: SimulatedCall, attempt: ProviderAttempt) -> ResponseWriter:
    facts = {"id": f"resp_{call.request_id}", "object": "response", "created_at": CREATED}
    return ResponseWriter(attempt.answer, call.body, facts | {"model": attempt.route.model})


def _response_frames(call: SimulatedCall, attempt: ProviderAttempt, size: int) -> Iterator[Frame]:
    writer, choice, number = _writer(call, attempt), attempt.answer.choices[0], 0

    def frames(events: list[dict[str, Any]]) -> Iterator[Frame]:
        nonlocal number
        for event in events:
            data = b"event: %b\n%b" % (event["type"].encode(), _data(event | {"sequence_number": number}))
            yield Frame(data, text=event["type"].endswith("delta"))
            number += 1

    yield from frames(writer.opening())
    for kind, tokens in (("reasoning", choice.reasoning), ("text", choice.tokens)):
        for start in range(0, len(tokens), size):
            yield from frames(writer.said(kind, start, min(start + size, len(tokens))))
    for place, tool in enumerate(choice.tool_calls):
        arguments = tool["function"]["arguments"]
        for start in range(0, len(arguments), 8):
            yield from frames(writer.called(place, arguments[start : start + 8]))
    yield from frames(writer.ending(response_usage(attempt.usage, "cached_tokens")))


class Anthropic:
    """The format of Anthropic's messages (``/v1/messages``); its old ``/v1/complete`` is refused by chat models."""

    def call(
        self, kind: Any, deployment: str, body: dict[str, Any], headers: Mapping[str, str], number: int
    ) -> SimulatedCall:
        """The request, as the simulator of deployments takes it."""
        messages = list(body.get("messages") or [])
        if system := body.get("system"):
            messages.insert(0, {"role": "system", "content": system})
        return SimulatedCall(
            kind=kind,
            route="v1",
            request_id=f"upstream-{number}",
            targets=[deployment],
            stream=bool(body.get("stream")),
            prompts=[body["prompt"]] if "prompt" in body else [],
            messages=messages,
            body={name: value for name, value in body.items() if name not in ("tools", "tool_choice")}
            | {"stop": body.get("stop_sequences")},
            headers=headers,
        )

    def error(self, failure: Failure) -> dict[str, Any]:
        """An error answer, or an error event of a stream."""
        kind = failure.type or _ANTHROPIC_ERRORS.get(failure.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": failure.message}}

    def whole(self, call: SimulatedCall, attempt: ProviderAttempt) -> dict[str, Any]:
        """A whole answer: it has one choice."""
        choice = attempt.answer.choices[0]
        return self._message(call, attempt) | {
            "content": [{"type": "text", "text": choice.text}],
            "stop_reason": _STOP_REASONS[choice.finish_reason],
            "usage": _anthropic_usage(attempt),
        }

    def frames(self, call: SimulatedCall, attempt: ProviderAttempt, size: int) -> Iterator[Frame]:
        """The events of a stream, `size` tokens in each."""
        choice = attempt.answer.choices[0]
        usage = _anthropic_usage(attempt)
        opening = self._message(call, attempt) | {"content": [], "stop_reason": None, "usage": usage}
        yield _event("message_start", message=opening)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for start in range(0, len(choice.tokens), size):
            text = "".join(choice.tokens[start : start + size])
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        yield _event("content_block_stop", index=0)
        reason = {"stop_reason": _STOP_REASONS[choice.finish_reason], "stop_sequence": None}
        yield _event("message_delta", delta=reason, usage=usage)
        yield _event("message_stop")

    def _message(self, call: SimulatedCall, attempt: ProviderAttempt) -> dict[str, Any]:
        facts = {"id": f"msg_{call.request_id}", "type": "message", "role": "assistant"}
        return facts | {"model": attempt.route.model, "stop_sequence": None}


def _usage(attempt: ProviderAttempt) -> dict[str, Any]:
    usage = {"completion_tokens": 0, **attempt.usage}
    if details := usage.get("prompt_tokens_details"):
        usage["prompt_tokens_details"] = {"cached_tokens": details["cached_tokens"]}
    return usage


def _anthropic_usage(attempt: ProviderAttempt) -> dict[str, Any]:
    return {"input_tokens": attempt.usage["prompt_tokens"], "output_tokens": attempt.usage.get("completion_tokens", 0)}


def _logprobs(call: SimulatedCall, choice: SimulatedChoice, start: int, end: int) -> dict[str, Any]:
    asked = call.body.get("logprobs")
    if choice.probabilities is None or asked is None or asked is False:
        return {"logprobs": None}
    return {"logprobs": (choice.text_logprobs if call.kind == "text" else choice.chat_logprobs)(start, end)}


def _data(body: Any) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _event(kind: str, **facts: Any) -> Frame:
    return Frame(f"event: {kind}\n".encode() + _data({"type": kind} | facts), text=kind == "content_block_delta")
