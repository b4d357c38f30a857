"""Google's Gemini API, as its Gen AI SDK speaks it."""

from __future__ import annotations

from collections.abc import Callable

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
    total_of,
)

__all__ = ["EMBED", "GENERATE"]

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "PROHIBITED_CONTENT": "content_filter"}


def _question(body: Json) -> RequestFacts:
    contents, system = body.get("contents"), body.get("systemInstruction")
    turns = contents if type(contents) is list else [contents] if contents else []
    config = object_of(body.get("generationConfig"))
    params = {**config, **others(body, "model", "contents", "systemInstruction", "generationConfig", "fallbacks")}
    return RequestFacts(None, asked(turns, system), params, fallbacks_of(body))


def _embed_question(body: Json) -> RequestFacts:
    requests = items(body.get("requests")) or [body]
    turns = [request.get("content") for request in requests if request.get("content")]
    return RequestFacts(
        None, asked(turns), others(body, "model", "content", "requests", "fallbacks"), fallbacks_of(body)
    )


def _answer(body: Json) -> Json:
    """A whole answer, and one event of a stream: Google writes both alike."""
    choices = [_choice(candidate, place) for place, candidate in enumerate(items(body.get("candidates")))]
    blocked = text_of(object_of(body.get("promptFeedback")).get("blockReason"))
    if blocked and not choices:
        choices = [choice(finish="content_filter")]
    answer: Json = {name: body[name] for name in ("extra_fields", "error") if body.get(name)}
    answer |= {"model": body.get("modelVersion"), "choices": choices}
    if usage := object_of(body.get("usageMetadata")):
        answer["usage"] = usage
    return answer


def _choice(candidate: Json, place: int) -> Json:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Json] = []
    for part in items(object_of(candidate.get("content")).get("parts")):
        if call := object_of(part.get("functionCall")):
            calls.append(tool_call(len(calls), call.get("id"), call.get("name"), call.get("args") or {}))
        (thoughts if part.get("thought") is True else texts).append(text_of(part.get("text")))
    index, reason = count(candidate.get("index")), text_of(candidate.get("finishReason"))
    finish = "tool_calls" if calls and reason == "STOP" else _FINISH.get(reason, reason.lower()) or None
    return choice(
        "".join(texts),
        index=place if index is None else index,
        reasoning="".join(thoughts),
        finish=finish,
        tool_calls=calls,
    )


def _usage(usage: Json) -> Json:
    """Google counts thoughts beside the candidates; what a gateway wrote may hold them twice, which the total tells."""
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")
    prompt, candidates, thoughts, total = (count(usage.get(name)) for name in names)
    prompt = total_of(prompt, count(usage.get("toolUsePromptTokenCount")))
    within = thoughts is not None and total is not None and total == (prompt or 0) + (candidates or 0)
    completion = candidates if within else total_of(candidates, thoughts)
    cached = count(usage.get("cachedContentTokenCount"))
    return {**tokens(prompt, completion, total=total, cached=cached, reasoning=thoughts), "cost": usage.get("cost")}


def _events() -> Callable[[Json], Json]:
    """The events of one stream. Gateways 1.3.63 and 1.4.0 send the whole text of Gemini and OpenAI once more after
    its pieces, in an event that names no model, and then the end (measured): that is told as ``repeated``, and is no
    text of its own. Where more text follows, the model said it: ha, ha, haha."""
    so_far: dict[int, list[str]] = {}
    held: dict[int, str] = {}
    called: set[int] = set()

    def event(body: Json) -> Json:
        answer = _answer(body)
        for one in answer["choices"]:
            index, text = one["index"], one["delta"]["content"]
            if "tool_calls" in one["delta"]:
                called.add(index)
            if index in called and one["finish_reason"] == "stop":  # Google has no word of its own for it
                one["finish_reason"] = "tool_calls"
            pieces = so_far.setdefault(index, [])
            if text and index in held:
                text = one["delta"]["content"] = held.pop(index) + text
            if len(pieces) > 1 and text == "".join(pieces) and not body.get("modelVersion"):
                held[index], one["delta"]["content"] = text, ""
            elif text:
                pieces.append(text)
            if one["finish_reason"] and held.pop(index, None):
                answer["repeated"] = True
        return answer

    return event


GENERATE = Format(_question, _answer, _events, _usage)
EMBED = Format(_embed_question, _answer, stateless(_answer), _usage)
