"""What six real gateways answered, through the readers alone: each field that an answer tells is in its run.

No I/O: the bytes of ``../shared/captures`` are fed as the transport feeds them. What must come out is worked out from
the request (who was asked, with which fallbacks) and from the JSON itself, by code that shares nothing with ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bifrost_nb import Run
from bifrost_nb._runs.collector import FEWER_CHOICES, HELD_BACK, Collector
from bifrost_nb._runs.route_collectors import collector_of
from bifrost_nb._wire.metadata import LowerNames
from bifrost_nb._wire.sse import EventDecoder
from bifrost_nb.errors import BifrostError, GatewayError

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
VERSIONS = ["1.3.63", "1.4.0", "1.4.18", "1.5.1", "1.5.16", "2.0.0-prerelease3"]
OF_THE_GATEWAY = re.compile(r"/(v1|openai|litellm|langchain|pydanticai)/")
"""Routes that answer in the gateway's own form; the others are the recorder's (tests/sdks/test_captures.py)."""
LONGEST = 12_000
"""Characters that a capture keeps of a stream: some end there, in the middle of an event."""
SERVED = {
    "006": "openai/gpt-3.5-turbo-instruct", "024": "openai/gpt-4o-mini", "025": "openai/gpt-4o-mini",
    "026": "openai/gpt-4o-mini", "029": "openai/gpt-4o-mini", "039": None, "040": "openai/gpt-4o-mini",
    "043": "azure/fast", "051": "openai/gpt-3.5-turbo-instruct", "052": "openai/gpt-3.5-turbo-instruct",
    "053": "openai/gpt-3.5-turbo-instruct", "063": None, "mid_first_frame_error_v1": "local/small",
    "mid_chat_error_openai": "openai/gpt-4o-mini", "mid_responses_error_openai": None,
}  # fmt: skip
"""Who answered, where that is not who was asked; None where the answer does not say."""
POSITIONS = {"043": 1, "051": 2, "052": 1, "053": 1, "mid_first_frame_error_v1": 1}
"""Which fallback answered."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"there are no captures of real gateways in {CAPTURES}"),
]


class Capture(NamedTuple):
    """One request and its answer."""

    version: str
    name: str
    path: str
    asked: dict[str, Any]
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    frames: list[Any]
    """The JSON of the answer, or of each event."""

    @property
    def key(self) -> str:
        return self.name[:3] if self.name[0].isdigit() else self.name

    @property
    def streamed(self) -> bool:
        """Whether the answer came as events, whatever was asked for."""
        return dict(self.headers).get("content-type", "").startswith("text/event-stream")

    @property
    def cut(self) -> bool:
        """Whether only the beginning of the stream was kept."""
        return self.streamed and len(self.body.decode()) >= LONGEST

    @property
    def kind(self) -> Any:
        kinds = {"chat/completions": "chat", "completions": "text", "responses": "responses", "embeddings": "embedding"}
        return next(kind for end, kind in kinds.items() if self.path.partition("?")[0].endswith(end))

    @property
    def requested(self) -> str:
        """``provider/model`` of the body, or of the deployment in the path, as a call of ours has it."""
        model = str(self.asked.get("model") or "")
        if found := re.search(r"deployments/([^/]+)/", self.path):
            return f"azure/{found[1]}"
        return model if "/" in model else f"openai/{model}"


def captured(version: str) -> Iterator[Capture]:
    for path in sorted((CAPTURES / version).glob("*.json")):
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or "request" not in content:
            continue
        method, *rest = (
            content["request"] if content["request"][0] in ("GET", "POST") else ("POST", *content["request"])
        )
        if method != "POST" or not OF_THE_GATEWAY.match(rest[0]):
            continue
        text, asked = content.get("text"), rest[1] if isinstance(rest[1], dict) else {}
        body = json.dumps(content["json"]).encode() if text is None else text.encode()
        headers = [(name.lower(), value) for name, value in content["headers"]]
        yield Capture(
            version, path.stem, rest[0], asked, content["status"], headers, body, list(_frames(body, content))
        )


def _frames(body: bytes, content: dict[str, Any]) -> Iterator[Any]:
    if content.get("json") is not None:
        yield content["json"]
        return
    lines = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ") and "[DONE]" not in line]
    if len(body.decode()) >= LONGEST:
        lines.pop()
    yield from map(json.loads, lines)


def read(capture: Capture) -> tuple[Run, BifrostError | None, Collector]:
    """The run that our readers make of it, its error, and whether it is taken for complete."""
    provider, _, model = capture.requested.partition("/")
    fallbacks = [entry for entry in capture.asked.get("fallbacks") or () if isinstance(entry, str)]
    run = Run(requested_provider=provider, requested_model=model, fallbacks=fallbacks)
    collector = collector_of(capture.kind, run, 0.0, (), capture.asked.get("input"))
    collector.choices = (capture.asked.get("n") or 1) * (
        len(prompts) if isinstance(prompts := capture.asked.get("prompt"), list) else 1
    )
    collector.headers(capture.status, LowerNames(dict(capture.headers)))
    error = None
    try:
        if capture.streamed:
            decoder = EventDecoder()
            for start in range(0, len(capture.body), 700):
                payloads = decoder.feed(capture.body[start : start + 700])
                if error is not None:  # as the transport reads on for a moment
                    collector.after_error(payloads)
                    continue
                try:
                    collector.feed(payloads, start / 10)
                except BifrostError as failure:
                    error = failure
        elif capture.status >= 400:
            error = collector.refusal(capture.body)
        else:
            collector.answer(json.loads(capture.body))
    except BifrostError as failure:
        error = failure
    return collector.finish(1000.0), error, collector


# -- what an answer tells ---------------------------------------------------------------------------------------------


def every(value: Any, name: str) -> list[Any]:
    """All values under `name`, however deep, in order."""
    if isinstance(value, list):
        return [found for each in value for found in every(each, name)]
    if not isinstance(value, dict):
        return []
    return ([value[name]] if name in value else []) + [
        found for key, each in value.items() if key != name for found in every(each, name)
    ]


def last(values: list[Any]) -> Any:
    """The last that is not null; None where there is none."""
    return next((value for value in reversed(values) if value is not None), None)


def texts(capture: Capture) -> list[str]:
    if capture.kind == "responses":
        if capture.streamed:
            deltas = [each["delta"] for each in capture.frames if each.get("type") == "response.output_text.delta"]
            return ["".join(deltas)]
        return ["".join(part["text"] for content in every(capture.frames, "content") for part in content)]
    found: dict[int, str] = {}
    for frame in capture.frames:
        for choice in frame.get("choices") or ():
            message = choice.get("message") or choice.get("delta") or {}
            said = choice.get("text") or message.get("content") or ""
            found[choice["index"]] = found.get(choice["index"], "") + said
    return [found[index] for index in sorted(found)]


def finish_reason(capture: Capture) -> str | None:
    if capture.kind == "responses":
        if reasons := [found["reason"] for found in every(capture.frames, "incomplete_details") if found]:
            return {"max_output_tokens": "length"}[reasons[-1]]
        told = last(every(capture.frames, "stop_reason"))
        return {"max_tokens": "length", "length": "length", "end_turn": "stop"}[told] if told else None
    for frame in capture.frames:
        for choice in frame.get("choices") or ():
            if choice["index"] == 0 and choice.get("finish_reason"):
                return str(choice["finish_reason"])
    return None


def tokens(capture: Capture) -> dict[str, int | None]:
    """Counts by column, None where the answer has none."""
    usage = last([found for found in every(capture.frames, "usage") if found])
    if not usage or not any(usage.get(name) for name in ("prompt_tokens", "input_tokens")):
        return {}
    prompt, completion, total = (
        usage.get(names[0], usage.get(names[1]))
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",) * 2)
    )
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    made = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    reasoning = made.get("reasoning_tokens")
    if completion is not None and reasoning and prompt + completion + reasoning == total:
        completion += reasoning  # Gemini up to 1.4.0: beside the completion, says the total
    written = [details[name] for name in ("cached_write_tokens", "cache_write_tokens") if name in details]
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
        "cached_tokens": details.get("cached_read_tokens", details.get("cached_tokens")),
        "reasoning_tokens": reasoning, "cache_write_tokens": max(written) if written else None,
    }  # fmt: skip


def logprobs(capture: Capture) -> list[float]:
    """Of the first choice's tokens."""
    found = []
    for frame in capture.frames:
        for choice in frame.get("choices") or ():
            told = choice.get("logprobs") or choice.get("log_probs") or {}
            if choice["index"] == 0:
                found += told.get("token_logprobs") or [entry["logprob"] for entry in told.get("content") or ()]
    return found


def of_run(logged: Mapping[str, Any] | None) -> list[float]:
    told = logged or {}
    return list(told.get("token_logprobs") or [entry["logprob"] for entry in told.get("content") or ()])


# -- tests ------------------------------------------------------------------------------------------------------------


def differences(capture: Capture) -> Iterator[str]:
    """What an answer tells and its run does not say, a line each."""
    run, error, collector = read(capture)

    def expect(name: str, expected: Any, found: Any) -> Iterator[str]:
        if found != expected:
            yield f"{capture.name}: {name} is {found!r}, not {expected!r}"

    broken = last([found for found in every(capture.frames, "error") if isinstance(found, dict)])
    if capture.status >= 400 or broken:
        yield from _differences_of_error(capture, run, error)
        if capture.status >= 400 or not any(texts(capture)):
            return
    elif error is not None:
        yield f"{capture.name}: {error}"
    if capture.kind == "embedding":
        vectors = [each["embedding"] for each in capture.frames[0]["data"]]
        yield from expect("embeddings", vectors, run.embeddings)
    else:
        told = texts(capture)
        if capture.cut:
            yield from expect("text", True, run.texts[0].startswith(told[0]) and bool(told[0]))
        else:
            yield from expect("texts", told, run.texts)
    whole = finish_reason(capture) is not None or capture.kind == "embedding" or not capture.streamed
    yield from expect("complete", whole, collector.complete or capture.kind == "embedding" or not capture.streamed)
    yield from expect("finish_reason", finish_reason(capture), run.finish_reason)
    for name, count in tokens(capture).items():
        yield from expect(
            name, None if capture.kind == "embedding" and "completion" in name else count, getattr(run, name)
        )
    yield from expect("logprobs", logprobs(capture), of_run(run.logprobs))
    latencies = [each["extra_fields"].get("latency") for each in capture.frames if each.get("extra_fields")]
    told_of = [each["extra_fields"] for each in capture.frames if (each.get("extra_fields") or {}).get("request_type")]
    if told_of and whole and latencies:
        yield from expect("latency_ms", float(told_of[-1]["latency"]), run.latency_ms)
    words = (every(capture.frames, "provider"), dict(capture.headers).get("x-bifrost-provider"))
    served = SERVED.get(capture.key, capture.requested) if any(words) else None  # raw mode and 1.3 name nobody there
    if served is not None:
        yield from expect("served", served, run.served)
        position = POSITIONS.get(capture.key, 0)
        if capture.requested.partition("/")[0] == served.partition("/")[0] or position:
            yield from expect("is_fallback", position > 0, run.is_fallback)
            yield from expect("fallback_index", position, run.fallback_index)
    elif providers := [found for found in every(capture.frames, "provider") if found]:
        yield from expect("provider", providers[-1], run.provider)
        yield from expect("model", True, run.model is not None)
    if aliases := every(capture.frames, "model_deployment") + every(capture.frames, "resolved_key_alias"):
        name = aliases[-1]["model_id"] if isinstance(aliases[-1], dict) else aliases[-1]
        yield from expect("model_deployment", name, run.model_deployment)
    fewer = len(texts(capture)) < collector.choices and not capture.cut and capture.kind != "embedding"
    yield from expect("note of fewer choices", fewer and not broken and whole, FEWER_CHOICES in run.notes)
    yield from expect("raw", True, run.raw is not None or capture.cut)


def _differences_of_error(capture: Capture, run: Run, error: BifrostError | None) -> Iterator[str]:
    """Status, type, code, message and provider of an error, whole or in a frame."""
    if error is None:
        yield f"{capture.name}: no error"
        return
    frame = next(each for each in capture.frames if each.get("error")) if capture.frames else {}
    inner = frame.get("error")
    if isinstance(inner, dict) and isinstance(inner.get("error"), dict):
        frame, inner = inner, inner["error"]
    inner = inner if isinstance(inner, dict) else {}
    extra = frame.get("extra_fields") or {}
    expected = {
        "status": capture.status if capture.status >= 400 else frame.get("status_code"),
        "code": inner.get("code"),
        "type": frame.get("type")
        if "virtual_key" in str(frame.get("type"))
        else inner.get("type") or frame.get("type"),
        "provider": extra.get("provider") or dict(capture.headers).get("x-bifrost-provider"),
    }
    if not isinstance(error, GatewayError):  # a provider that cut its stream: truncated, with the text
        expected.pop("status")
        expected.pop("provider")
    for name, value in expected.items():
        if value and getattr(error, name) != value:
            yield f"{capture.name}: error.{name} is {getattr(error, name)!r}, not {value!r}"
    for text in (inner.get("message"), inner.get("error")):
        words = " ".join(str(text or "").split())[:60].rstrip(".")
        if words not in " ".join(str(error).split()):
            yield f"{capture.name}: {str(error)!r} does not say {words!r}"
    if extra.get("provider") and run.provider != extra["provider"]:
        yield f"{capture.name}: the run of an error of {extra['provider']} names {run.provider}"


@pytest.mark.parametrize("version", VERSIONS)
def test_each_field_that_an_answer_tells_is_in_its_run(version: str) -> None:
    """Text, reason of the end, tokens, log-probabilities, times, who served, fallback, vectors and errors."""
    captures = list(captured(version))
    assert len(captures) > 60
    assert [line for capture in captures for line in differences(capture)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_streams_that_were_held_back(version: str) -> None:
    """Of 1.4.0 each stream of several pieces is noted as held back, of no other version any."""
    found = {
        (HELD_BACK in run.notes, capture.name)
        for capture in captured(version)
        if capture.streamed and len((run := read(capture)[0]).chunk_times_ms) > 1
    }
    assert len(found) > 6
    assert {held for held, _ in found} == {version == "1.4.0"}
