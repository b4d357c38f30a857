"""What real gateways answered (``../shared/captures``), and how far an answer of the embedded gateway is from it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["CAPTURES", "GENERATIONS", "captured", "differences", "frames"]

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
GENERATIONS = {
    "1.3.63": "1.3", "1.4.0": "1.4", "1.4.18": "1.4.18", "1.5.1": "1.5.1", "1.5.16": "1.5", "2.0.0-prerelease3": "2.0",
}  # fmt: skip
"""Version of a real gateway -> the dialect that is held against it."""
_COMPARED = frozenset(
    (
        "object", "finish_reason", "model", "type", "code", "param", "role", "status_code", "is_bifrost_error",
        "request_type", "provider", "model_requested", "model_deployment", "original_model_requested",
        "resolved_model_used", "is_fallback", "primary_provider", "primary_model", "stop_reason", "stopReason",
        "finishReason", "message", "status", "stream", "index", "chunk_index", "fallback_index", "prompt_tokens",
        "completion_tokens", "total_tokens", "input_tokens", "output_tokens",
    )
)  # fmt: skip
"""Fields whose values are the gateway's doing; the words, times and ids of an answer are not."""
_CUT_AT = 12_000
"""Characters of a stream at most that a capture has."""
_HOP = {"date", "content-length", "content-encoding"}
"""Headers that say nothing of the gateway: the body's length is that of its words."""


def captured(version: str, pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, capture) of each file of `version` that fits `pattern`, in order."""
    for path in sorted((CAPTURES / version).glob(pattern)):
        content = json.loads(path.read_text())
        if "text" in content and dict(content["headers"]).get("content-type") == "application/json":
            content["json"] = json.loads(content.pop("text"))  # an error where a stream was expected
        if content.get("status"):  # whoever captured gave some up: the gateway hung, or closed the connection
            yield path.stem, content


def frames(text: str) -> list[Any]:
    """The events of a stream: (name, content), ``[DONE]`` and comments as text.

    Without Anthropic's pings: that of the captures sent none, the real one does.
    """
    found: list[Any] = []
    for block in re.split(r"\r?\n\r?\n", text):
        name = None
        for line in block.splitlines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif name == "ping":
                continue
            elif line.startswith("data:"):
                content = line[5:].strip()
                with contextlib.suppress(ValueError):  # the capture is cut here
                    found.append(content if content == "[DONE]" else (name, json.loads(content)))
            elif line:
                found.append(line)
    return found


def differences(real: Mapping[str, Any], ours: Mapping[str, Any]) -> set[str]:
    """What is otherwise in our answer than in the real one, a line for each thing. Both as captures have them."""
    if real["status"] != ours["status"]:
        return {f"status {ours['status']}, not {real['status']}"}
    found = _headers(real["headers"], ours["headers"])
    if "json" in real and "json" in ours:
        return found | set(_body(real["json"], ours["json"], ""))
    if "json" in real or "json" in ours:
        return found | {"one is JSON, the other is not"}
    if "text" in real and "text/event-stream" in str(real["headers"]):
        there, here = frames(real["text"]), frames(ours["text"])
        if len(real["text"]) == _CUT_AT:
            there, here = there[:-1], here[: len(there) - 1]
        return found | set(_stream(there, here))
    return found


def _headers(real: list[list[str]], ours: list[list[str]]) -> set[str]:
    there, here = {name for name, _ in real} - _HOP, {name for name, _ in ours} - _HOP
    found = {f"header {name} is missing" for name in there - here} | {f"header {name} is new" for name in here - there}
    kinds = [dict(headers).get("content-type", "").partition(";")[0] for headers in (real, ours)]
    return found | ({f"content-type {kinds[1]}, not {kinds[0]}"} if kinds[0] != kinds[1] else set())


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def _body(real: Any, ours: Any, path: str) -> Iterator[str]:
    """Keys, types, recursively, and the values that are the gateway's own."""
    if _kind(real) != _kind(ours):
        yield f"{path} is {_kind(ours)}, not {_kind(real)}"
    elif isinstance(real, dict):
        for name in real.keys() | ours.keys():
            where = f"{path}.{name}" if path else name
            if name not in ours:
                yield f"{where} is missing"
            elif name not in real:
                yield f"{where} is new"
            else:
                yield from _body(real[name], ours[name], where)
    elif isinstance(real, list):
        if bool(real) != bool(ours):
            yield f"{path} has {len(ours)} items, not {len(real)}"
        elif len(real) == len(ours):
            for one, other in zip(real, ours, strict=True):
                yield from _body(one, other, f"{path}[]")
        elif real:
            yield from _body(real[0], ours[0], f"{path}[]")
    elif path.rpartition(".")[2] in _COMPARED and real != ours:
        yield f"{path} is {ours!r}, not {real!r}"


def _stream(real: list[Any], ours: list[Any]) -> Iterator[str]:
    """Frame by frame from both ends, as one may have more words than the other; then the kinds of frame."""
    kinds = [_kinds(events) for events in (real, ours)]
    if kinds[0] != kinds[1]:
        yield f"frames {' '.join(kinds[1])}, not {' '.join(kinds[0])}"
        return
    if _told_again(real) != _told_again(ours):
        yield f"the whole text once more at its end {'is new' if _told_again(ours) else 'is missing'}"
    both = list(zip(real, ours, strict=False)) if len(real) == len(ours) else [(real[0], ours[0]), (real[-2], ours[-2])]
    for one, other in both:
        if isinstance(one, tuple) and isinstance(other, tuple):
            yield from _body(one[1], other[1], "~")


def _kinds(events: list[Any]) -> list[str]:
    """What follows what in a stream: names of events, or which part of a chunk is there; repetitions told once."""
    kinds: list[str] = []
    for event in events:
        kind = event if isinstance(event, str) else event[0] or _part(event[1])
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
    return kinds


def _told_again(events: list[Any]) -> bool:
    """Whether a piece of text is all the pieces before it."""
    so_far: list[str] = []
    for event in events:
        content = event[1] if isinstance(event, tuple) and isinstance(event[1], dict) else {}
        choice = ((content.get("choices") or content.get("candidates")) or [{}])[0]
        parts = choice.get("content", {}).get("parts", [{}]) if "candidates" in content else [{}]
        text = choice.get("text") or choice.get("delta", {}).get("content") or parts[0].get("text")
        if text and len(so_far) > 1 and text == "".join(so_far):
            return True
        so_far += [text] if text else []
    return False


def _part(content: Any) -> str:
    if "error" in content:
        return "error"
    choices = content.get("choices") or content.get("candidates") or [{}]
    delta = choices[0].get("delta", choices[0])
    return "+".join(sorted(name for name in ("role", "content", "text", "finish_reason") if delta.get(name) is not None
                           or choices[0].get(name) is not None)) or "empty"  # fmt: skip
