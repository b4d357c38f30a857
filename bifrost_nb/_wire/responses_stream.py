"""Answers of the Responses API, whole or as events, in the shape of a chat: what reads those reads these.

A completed answer has the finish reason ``stop`` (``tool_calls`` where it calls tools), an incomplete one ``length``
for ``max_output_tokens`` and else its own reason (``content_filter``, ...), any other its status. What the gateway
makes of Anthropic's answers has no status but a chat's ``stop_reason``, and up to 1.4 not even that (measured with
Bifrost's engine 1.4.0 to 1.7.0): then the reason is not known, unless a stream said that it was completed.

Text and refusal are those of all messages, each apart as in a chat; reasoning is summaries and reasoning text, the
parts apart by an empty line. All take any JSON: a value of another type than expected counts as absent.
"""

from __future__ import annotations

from typing import Any

from .gateway_errors import is_error

__all__ = ["ResponseEvents", "answer_of"]

JsonDict = dict[str, Any]

_TEXT = {"response.output_text.delta": "content", "response.refusal.delta": "refusal"}
"""Events with text, and what a chat calls it."""
_REASONING = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGUMENTS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_ITEMS = frozenset({"response.output_item.added", "response.output_item.done"})
_LAST = frozenset({"response.completed", "response.incomplete"})
_CHAT_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
"""Anthropic's words, which gateways 1.4.18 and 1.5.1 leave as they are in whole answers (measured)."""
_ELSEWHERE = 1_000_000
"""From here on stand calls whose own place another call has."""
_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
"""Items that are calls of the user's tools: the type that a chat gives them, and where the arguments are."""


def answer_of(response: JsonDict) -> JsonDict:
    """A whole ``response`` as a whole chat; without choices where it is none."""
    is_one = type(response.get("output")) is list or _text(response.get("status"))
    return _facts(response) | {"choices": [_choice_of(response)] if is_one else []}


def _choice_of(response: JsonDict) -> JsonDict:
    texts: list[str] = []
    refusals: list[str] = []
    reasoning: list[str] = []
    annotations: list[JsonDict] = []
    logprobs: list[Any] = []
    calls: list[JsonDict] = []
    for place, item in enumerate(_dicts(response.get("output"))):
        kind = _text(item.get("type"))
        if kind in _CALLS:
            calls.append(_call(item, place))
        elif kind == "reasoning":
            parts = _dicts(item.get("summary")) + _dicts(item.get("content"))
            reasoning += [text for part in parts if (text := _text(part.get("text")))]
        elif kind == "message":
            content = item.get("content")
            for part in [{"text": content}] if type(content) is str else _dicts(content):
                texts.append(_text(part.get("text")))
                refusals.append(_text(part.get("refusal")))
                annotations += _dicts(part.get("annotations"))
                logprobs += part["logprobs"] if type(part.get("logprobs")) is list else []
    message = {
        "content": "".join(texts),
        "refusal": "".join(refusals),
        "reasoning": "\n\n".join(reasoning),
        "annotations": annotations,
        "tool_calls": calls,
    }
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(response, bool(calls))}
    if logprobs:
        choice["logprobs"] = {"content": logprobs}
    return choice


class ResponseEvents:
    """The events of one stream, each as a chunk of a chat."""

    def __init__(self) -> None:
        self.final: JsonDict | None = None
        """The message and the log-probabilities of the last event, which holds everything once more."""
        self._said = {"content": "", "refusal": ""}
        """What the deltas said so far."""
        self._arguments: dict[Any, str] = {}
        """What was given of each call's arguments, by the place of its item."""
        self._whole: set[Any] = set()
        """The places of calls whose arguments came with their name: what follows says them once more."""
        self._places: dict[str, Any] = {}
        """Where each call stands, by its id: some give the same place to all."""
        self._taken: set[Any] = set()
        self._moved: dict[Any, Any] = {}
        """The place of the latest call, by the place that its events name."""
        self._reasoned = False
        self._part: tuple[Any, ...] = ()

    def chunk(self, event: JsonDict) -> JsonDict:
        """`event` as a chunk; as an error frame where it tells of one."""
        if is_error(event):
            return event
        kind, response = _text(event.get("type")), event.get("response")
        facts = _facts(event)
        if type(response) is dict:
            facts = _facts(response) | facts
        if kind == "error":
            return facts | {"error": {name: event.get(name) for name in ("code", "message", "param")}}
        if kind == "response.failed":
            error = response.get("error") if type(response) is dict else None
            return facts | {"error": error or {"message": "The response failed; no reason was given."}}
        if kind in _LAST:
            return facts | {"choices": [self._last(kind, response if type(response) is dict else {})]}
        choice = self._choice(kind, event)
        return facts | {"choices": [] if choice is None else [{"index": 0, **choice}]}

    def _choice(self, kind: str, event: JsonDict) -> JsonDict | None:
        delta = _text(event.get("delta"))
        place = event.get("output_index")
        place = place if type(place) is int else None
        if kind in _TEXT:
            self._said[_TEXT[kind]] += delta
            logprobs = event.get("logprobs")
            told = {"logprobs": {"content": logprobs}} if type(logprobs) is list and logprobs else {}
            return {"delta": {_TEXT[kind]: delta}, **told}
        if kind in _REASONING:
            return {"delta": {"reasoning": self._separated(event, delta)}}
        if kind in _ARGUMENTS:
            place = self._moved.get(place, place)
            if place in self._whole:
                return None
            self._arguments[place] = self._arguments.get(place, "") + delta
            return {"delta": {"tool_calls": [{"index": place, "function": {"arguments": delta}}]}}
        if kind in _ITEMS and type(item := event.get("item")) is dict and (calls := self._missing([item], place)):
            return {"delta": {"tool_calls": calls}}
        if kind == "response.output_text.annotation.added":
            return {"delta": {"annotations": [event.get("annotation")]}}
        return None

    def _missing(self, items: list[JsonDict], first: Any = 0) -> list[JsonDict]:
        """What was not given yet of the calls among `items`, which stand from place `first` on."""
        found = []
        for place, item in enumerate(items, first) if type(first) is int else [(first, each) for each in items]:
            if _text(item.get("type")) not in _CALLS:
                continue
            place = self._place(_text(item.get("call_id")), place)
            call = _call(item, place)
            arguments = call["function"]["arguments"]
            given = self._arguments.get(place)
            if given is None:
                self._arguments[place] = arguments
                self._whole |= {place} if arguments else set()
                found.append(call)
            elif len(given) < len(arguments) and arguments.startswith(given):
                self._arguments[place] = arguments
                found.append({"index": place, "function": {"arguments": arguments[len(given) :]}})
        return found

    def _place(self, identity: str, place: Any) -> Any:
        """Where the call with this id stands: at `place`, or where no other does if another call has that."""
        if not identity:
            return place
        if identity not in self._places:
            self._places[identity] = _ELSEWHERE + len(self._places) if place in self._taken else place
            self._taken.add(self._places[identity])
        self._moved[place] = self._places[identity]
        return self._places[identity]

    def _separated(self, event: JsonDict, delta: str) -> str:
        """`delta`, after an empty line where another part of the reasoning begins."""
        part = tuple(event.get(name) for name in ("output_index", "type", "summary_index", "content_index"))
        new, self._part = part != self._part and self._reasoned, part
        self._reasoned = self._reasoned or bool(delta)
        return f"\n\n{delta}" if new else delta

    def _last(self, kind: str, response: JsonDict) -> JsonDict:
        """The end of the stream, which holds everything once more; with what of it did not come before."""
        choice = _choice_of(response)
        message = choice["message"]
        self.final = {"message": message, "logprobs": choice.get("logprobs")}
        delta: JsonDict = {"tool_calls": self._missing(_dicts(response.get("output")))}
        for name, said in self._said.items():
            if message[name].startswith(said):
                delta[name] = message[name][len(said) :]
        if not self._reasoned:
            delta["reasoning"] = message["reasoning"]
        told = "stop" if kind == "response.completed" else "incomplete"
        return {"index": 0, "delta": delta, "finish_reason": choice["finish_reason"] or told}


def _facts(body: JsonDict) -> JsonDict:
    """Model, usage and the gateway's own fields, where they say something.

    The gateway's ``/openai`` routes, and the response inside an event, have ``extra_fields`` in which all is empty.
    """
    facts: JsonDict = {}
    if _text(body.get("model")):
        facts["model"] = body["model"]
    if type(body.get("usage")) is dict:
        facts["usage"] = body["usage"]
    extra = body.get("extra_fields")
    if type(extra) is dict and extra.get("request_type"):
        facts["extra_fields"] = extra
    return facts


def _finish_reason(response: JsonDict, calls: bool) -> str | None:
    status = response.get("status")
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = _text(details.get("reason")) if type(details) is dict else ""
        return "length" if reason == "max_output_tokens" else reason or "incomplete"
    if status in (None, "completed"):
        told = _text(response.get("stop_reason"))
        known = _CHAT_REASONS.get(told, told) or ("stop" if status else "")
        return "tool_calls" if calls and known in ("", "stop") else known or None
    return _text(status) or None


def _call(item: JsonDict, place: Any) -> JsonDict:
    kind, arguments = _CALLS[item["type"]]
    function = {"name": item.get("name"), "arguments": item.get(arguments) or ""}
    return {"index": place, "type": kind, "id": item.get("call_id"), "function": function}


def _dicts(value: Any) -> list[JsonDict]:
    return [each for each in value if type(each) is dict] if type(value) is list else []


def _text(value: Any) -> str:
    return value if type(value) is str else ""
