"""One answer as OpenAI's Responses API writes it: the ``response`` object, and the events that build it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ..content.answers import SimulatedAnswer
from .responses_as_chat import response_object

__all__ = ["ResponseWriter"]

Json = dict[str, Any]


class ResponseWriter:
    """Writes the first choice of `answer`. `body` is the request, `facts` what stands in every response object.

    Events have neither a number nor anything of the gateway's own.
    """

    def __init__(self, answer: SimulatedAnswer, body: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self._answer, self._body, self._facts = answer, body, facts
        self._choice = choice = answer.choices[0]
        self._open: int | None = None
        self.items: list[Json] = []
        """What the answer consists of, whole: reasoning, the message, calls of tools."""
        status = "incomplete" if choice.finish_reason in ("length", "content_filter") else "completed"
        if choice.reasoning:
            summary = [{"type": "summary_text", "text": "".join(choice.reasoning)}]
            self.items.append({"id": _new("rs"), "type": "reasoning", "summary": summary})
        if choice.tokens or not choice.tool_calls:
            logprobs = self._probabilities(0, len(choice.tokens))
            part = {"type": "output_text", "text": choice.text, "annotations": [], "logprobs": logprobs}
            message = {"id": _new("msg"), "type": "message", "status": status, "role": "assistant", "content": [part]}
            self.items.append(message)
        for call in choice.tool_calls:
            told = {"id": _new("fc"), "type": "function_call", "status": "completed", "call_id": call["id"]}
            self.items.append(told | call["function"])

    def response(self, usage: Json | None) -> Json:
        """The ``response``: whole with its `usage`, still being written without."""
        if usage is None:
            return response_object(self._body, {**self._facts, "output": []}, None)
        facts = {**self._facts, "output": self.items, "usage": usage}
        return response_object(self._body, facts, self._choice.finish_reason)

    def opening(self) -> list[Json]:
        """What comes before any item."""
        response = self.response(None)
        return [{"type": f"response.{name}", "response": response} for name in ("created", "in_progress")]

    def said(self, kind: str, start: int, end: int) -> list[Json]:
        """The tokens `start` to `end` of the ``text`` or the ``reasoning``, after what begins and ends an item."""
        place = self._place("reasoning" if kind == "reasoning" else "message")
        tokens = self._choice.reasoning if kind == "reasoning" else self._choice.tokens
        delta: Json = {**self._where(place), "delta": "".join(tokens[start:end])}
        if kind == "reasoning":
            event = {"type": "response.reasoning_summary_text.delta", **delta, "summary_index": 0}
        else:
            more = {"content_index": 0, "logprobs": self._probabilities(start, end)}
            event = {"type": "response.output_text.delta", **delta, **more}
        return [*self._turn_to(place), event]

    def called(self, number: int, arguments: str) -> list[Json]:
        """The next part of the arguments of the call `number`; the first, without any, only begins it."""
        place = self._place("function_call", number)
        event = {"type": "response.function_call_arguments.delta", **self._where(place), "delta": arguments}
        return [*self._turn_to(place), *([event] if arguments else [])]

    def ending(self, usage: Json) -> list[Json]:
        """What comes after the last piece."""
        response = self.response(usage)
        return [
            *self._turn_to(len(self.items) - 1),
            *self._close(),
            {"type": f"response.{response['status']}", "response": response},
        ]

    def _probabilities(self, start: int, end: int) -> list[Any]:
        if not self._answer.wants_logprobs or self._choice.probabilities is None:
            return []
        found: list[Any] = self._choice.chat_logprobs(start, end)["content"]
        return found

    def _place(self, kind: str, number: int = 0) -> int:
        return [place for place, item in enumerate(self.items) if item["type"] == kind][number]

    def _where(self, place: int) -> Json:
        return {"item_id": self.items[place]["id"], "output_index": place}

    def _turn_to(self, place: int) -> list[Json]:
        """The events that end the item that is open and begin another one, if it is another."""
        if place == self._open:
            return []
        events = self._close()
        self._open = place
        item, where = self.items[place], self._where(place)
        empty: Json = {"reasoning": {"summary": []}, "message": {"content": []}}.get(item["type"], {"arguments": ""})
        status = {"status": "in_progress"} if "status" in item else {}
        events.append({"type": "response.output_item.added", "output_index": place, "item": item | empty | status})
        if item["type"] == "message":
            part = item["content"][0] | {"text": "", "logprobs": []}
            events.append({"type": "response.content_part.added", **where, "content_index": 0, "part": part})
        elif item["type"] == "reasoning":
            part = {"type": "summary_text", "text": ""}
            events.append({"type": "response.reasoning_summary_part.added", **where, "summary_index": 0, "part": part})
        return events

    def _close(self) -> list[Json]:
        """The events that end the item that is open."""
        if self._open is None:
            return []
        place, self._open = self._open, None
        item, where = self.items[place], self._where(place)
        if item["type"] == "message":
            part, at = item["content"][0], {**where, "content_index": 0}
            done: Json = {"text": part["text"], "logprobs": part["logprobs"]}
            events = [{"type": "response.output_text.done", **at, **done}]
            events.append({"type": "response.content_part.done", **at, "part": part})
        elif item["type"] == "reasoning":
            part, at = item["summary"][0], {**where, "summary_index": 0}
            events = [{"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}]
            events.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
        else:
            facts = {"name": item["name"], "arguments": item["arguments"]}
            events = [{"type": "response.function_call_arguments.done", **where, **facts}]
        return [*events, {"type": "response.output_item.done", "output_index": place, "item": item}]


def _new(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
