"""The live pane's messages as its JavaScript reads them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any


def frames(messages: Iterable[tuple[Any, Sequence[Any]]]) -> list[dict[str, Any]]:
    """Frames in custom messages (content, buffers), each with its number `n`; other widgets' contents as they are."""
    found = []
    inflate = zlib.decompressobj(-15)
    for content, buffers in messages:
        if not isinstance(content, dict) or "n" not in content:
            found.append(content)
            continue
        if content.get("begin"):
            inflate = zlib.decompressobj(-15)
        frame = content["frame"] if "frame" in content else json.loads(inflate.decompress(bytes(buffers[0])))
        found.append({"n": content["n"], **frame})
    return found


def text(frames: Iterable[dict[str, Any]], column: int = 0) -> str:
    """What a column shows after all `frames`."""
    shown = ""
    for frame in frames:
        shown = frame["w"][column] if "w" in frame else shown
        shown += "".join(new for index, new in frame.get("t", []) if index == column)
    return shown
