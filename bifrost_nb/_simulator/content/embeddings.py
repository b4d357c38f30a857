"""Embedding vectors without a model: texts that share words and parts of words get vectors that lie close together.

Each word, pair of words and run of letters of a text is a feature; a feature adds ones and minus ones to a few places
of the vector, which a hash chooses. The result has length 1, depends on text, deployment and seed alone, and knows
nothing of meaning: "car" and "automobile" are as far apart as "car" and "cheese".
"""

from __future__ import annotations

import math
import re
import struct
from array import array
from base64 import b64encode
from collections import Counter
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from ..deployments import SimulatedDeployment
from ..dialects import Failure
from ..http.request import SimulatedCall

__all__ = ["embedding_data", "refused_embedding", "vector"]

_MOST_INPUTS = 2_048
_PLACES = 8
"""Places of the vector that one feature touches."""
_FORMATS = ("float", "base64")


def vector(text: str, dimensions: int, space: str = "") -> list[float]:
    """The vector of `text`, of length 1. Vectors of different `space` have nothing to do with one another."""
    sums = [0.0] * dimensions
    for feature, times in _features(text).items():
        digest = blake2b(feature.encode(errors="replace"), key=space.encode()[:64], digest_size=4 * _PLACES).digest()
        weight = (1 + math.log(times)) * (1.0 if feature.startswith("w") else 0.5)
        for place in range(_PLACES):
            number = int.from_bytes(digest[4 * place : 4 * place + 4])
            sums[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = math.sqrt(sum(value * value for value in sums)) or 1.0
    return list(array("f", (value / length for value in sums)))  # the precision that providers send


def _features(text: str) -> Counter[str]:
    words = re.findall(r"\w+", text.lower()) or list(text) or [""]
    found = Counter(f"w{word}" for word in words)
    found.update(f"p{first} {second}" for first, second in pairwise(words))
    for word in words:
        padded = f"<{word}>"
        found.update(f"g{padded[start : start + 3]}" for start in range(len(padded) - 2))
    return found


def embedding_data(vectors: list[list[float]], encoding_format: str) -> list[dict[str, Any]]:
    """``data`` of an answer: numbers, or base64 of little-endian numbers of 32 bits, as providers send them."""

    def encoded(numbers: list[float]) -> Any:
        if encoding_format != "base64":
            return numbers
        return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()

    return [
        {"index": index, "object": "embedding", "embedding": encoded(numbers)} for index, numbers in enumerate(vectors)
    ]


def refused_embedding(call: SimulatedCall, deployment: SimulatedDeployment) -> Failure | None:
    """The provider's error for what it cannot embed."""
    dimensions, form = call.get("dimensions", deployment.dimensions), call.get("encoding_format", "float")
    problem = None
    if not 1 <= dimensions <= deployment.dimensions:
        problem = ("dimensions", f"{dimensions} is not between 1 and {deployment.dimensions} - 'dimensions'")
    elif form not in _FORMATS:
        problem = ("encoding_format", f"'{form}' is not one of {_FORMATS} - 'encoding_format'")
    elif len(call.prompts) > _MOST_INPUTS:
        problem = ("input", f"at most {_MOST_INPUTS} inputs are allowed - 'input'")
    elif not all(call.prompts):
        problem = ("input", "'$.input' is invalid: an input must not be empty")
    if problem is None:
        return None
    return Failure(status=400, type="invalid_request_error", param=problem[0], message=problem[1])
