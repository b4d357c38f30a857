"""Amazon Bedrock's Converse API. An event of its stream is an object with one key, the kind, as boto3 gives it."""

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

__all__ = ["CONVERSE"]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def _question(body: Json) -> RequestFacts:
    messages = body.get("messages")
    prompt = asked(messages if type(messages) is list else [], body.get("system"))
    config = object_of(body.get("inferenceConfig"))
    params = {**config, **others(body, "messages", "system", "inferenceConfig", "fallbacks")}
    return RequestFacts(None, prompt, params, fallbacks_of(body))


def _finish(reason: object) -> str | None:
    return _FINISH.get(text_of(reason), text_of(reason)) or None


def _thought(block: Json) -> str:
    """Reasoning of a whole block, or of a delta."""
    content = object_of(block.get("reasoningContent"))
    return text_of(object_of(content.get("reasoningText")).get("text")) or text_of(content.get("text"))


def _text(block: Json) -> str:
    """What a block says: its text, or that of its citations, in which an answer from documents is given."""
    cited = items(object_of(block.get("citationsContent")).get("content"))
    return text_of(block.get("text")) + "".join(text_of(one.get("text")) for one in cited)


def _frame(body: Json) -> Json:
    frame: Json = {name: body[name] for name in ("model", "usage", "extra_fields", "error") if body.get(name)}
    latency = object_of(body.get("metrics")).get("latencyMs")
    if latency is not None:
        frame["extra_fields"] = {"latency": latency, **object_of(frame.get("extra_fields"))}
    return frame


def _answer(body: Json) -> Json:
    blocks = items(object_of(object_of(body.get("output")).get("message")).get("content"))
    uses = [use for block in blocks if _is_call(use := object_of(block.get("toolUse")))]
    said = choice(
        "".join(map(_text, blocks)),
        reasoning="".join(map(_thought, blocks)),
        finish=_finish(body.get("stopReason")),
        tool_calls=[
            tool_call(place, use.get("toolUseId"), use.get("name"), use.get("input") or {})
            for place, use in enumerate(uses)
        ],
    )
    return {**_frame(body), "choices": [said]}


def _is_call(use: Json) -> bool:
    """Whether it is a call of one of the user's tools; others ran at the provider already."""
    return bool(use) and use.get("type") != "server_tool_use"


class _ConverseEvents:
    """The events of one stream."""

    def __init__(self) -> None:
        self._calls: set[int] = set()

    def chunk(self, event: Json) -> Json:
        if delta := object_of(event.get("contentBlockDelta")):
            place = count(delta.get("contentBlockIndex")) or 0
            return {"choices": [self._delta(object_of(delta.get("delta")), place)]}
        if start := object_of(event.get("contentBlockStart")):
            use = object_of(object_of(start.get("start")).get("toolUse"))
            if not _is_call(use):
                return {"choices": [choice()]}
            place = count(start.get("contentBlockIndex")) or 0
            self._calls.add(place)
            return {"choices": [choice(tool_calls=[tool_call(place, use.get("toolUseId"), use.get("name"))])]}
        return _of_message(event)

    def _delta(self, delta: Json, place: int) -> Json:
        if use := object_of(delta.get("toolUse")):
            fragments = [tool_call(place, arguments=text_of(use.get("input")))] if place in self._calls else None
            return choice(tool_calls=fragments)
        return choice(text_of(delta.get("text")), reasoning=_thought(delta))


def _of_message(event: Json) -> Json:
    if stop := object_of(event.get("messageStop")):
        return {"choices": [choice(finish=_finish(stop.get("stopReason")))]}
    for kind, content in event.items():
        if kind.endswith("Exception") or kind == "exception":
            return {"error": {"type": kind, "message": text_of(object_of(content).get("message")) or kind}}
    return _frame(object_of(event.get("metadata")) or event)


def _usage(usage: Json) -> Json:
    """Bedrock counts its cache beside `inputTokens`; a gateway that counts it within shows that by the total."""
    names = ("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    given, made, total, read, written = (count(usage.get(name)) for name in names)
    cache = (read or 0) + (written or 0)
    within = given is not None and cache <= given and total == given + (made or 0)
    prompt = given if within or given is None else total_of(given, cache)
    return {**tokens(prompt, made, cached=read, written=written), "cost": usage.get("cost")}


CONVERSE = Format(_question, _answer, lambda: _ConverseEvents().chunk, _usage)
