"""The vectors of an answer of ``/v1/embeddings`` (format: the gateway's OpenAPI documents)."""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from ..errors import ProtocolError

__all__ = ["vectors_of"]


def vectors_of(body: Mapping[str, Any], inputs: int) -> list[list[float]]:
    """The vector of each of `inputs` texts, in their order.

    Where a provider sends several vectors for one text (other encodings, other modalities) it is the first. Raises
    ProtocolError where one is missing: a vector that stands for another text is worse than none.
    """
    found: dict[int, list[float]] = {}
    data = body.get("data")
    for position, item in enumerate(data if type(data) is list else []):
        if type(item) is dict:
            index = item.get("index")
            place = index if type(index) is int else position
            if place not in found and (numbers := _numbers(item.get("embedding"))):
                found[place] = numbers
    missing = [place for place in range(inputs) if place not in found]
    if missing or len(found) != inputs:
        where = f"; the first without is input[{missing[0]}]" if missing else ""
        raise ProtocolError(
            f"The answer holds {len(found)} readable embeddings for {inputs} inputs{where}.",
            hint="The answer as received is in .run.raw.",
        )
    return [found[place] for place in range(inputs)]


def _numbers(value: object) -> list[float]:
    """A vector from numbers, or from base64 of little-endian numbers of 32 bits; empty where it is neither."""
    if type(value) is list:
        kinds = set(map(type, value))
        return value if kinds <= {float, int} else []
    if type(value) is not str:
        return []
    try:
        packed = b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    except (binascii.Error, struct.error, ValueError):
        return []
