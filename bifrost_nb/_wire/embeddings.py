"""Embeddings: the request, strict, and the vectors of an answer.

Format: the gateway's OpenAPI documents (``/v1/embeddings``).
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from ..errors import ProtocolError
from .base import BaseRequest, build
from .deployments import Deployment
from .fields import Count

__all__ = ["EmbeddingRequest", "build_embedding", "vectors_of"]


def _input(value: Any) -> Any:
    if isinstance(value, str):
        if not value:
            raise ValueError("input is empty")
        return value
    if not isinstance(value, list):
        raise ValueError(f"input must be text or a list of texts, not {type(value).__name__}")
    if not value:
        raise ValueError("input is an empty list")
    for position, item in enumerate(value):
        if not isinstance(item, str):
            raise ValueError(f"input[{position}] must be text, not {type(item).__name__}")
        if not item:
            raise ValueError(f"input[{position}] is empty, which providers refuse")
    return value


class EmbeddingRequest(BaseRequest):
    """Texts to embed."""

    input: Annotated[str | list[str], BeforeValidator(_input)]
    dimensions: Count | None = None
    """Numbers in each vector, where the model can do with fewer than it has."""
    encoding_format: Literal["float", "base64"] | None = None
    """How vectors travel; numbers are what you get. ``base64`` is a third of the size."""
    user: str | None = None


def build_embedding(
    deployment: Deployment | str,
    input: str | Sequence[str],
    *,
    fallbacks: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> EmbeddingRequest:
    """A request for embeddings; raises one ConfigurationError that names all that is wrong."""
    return build(EmbeddingRequest, deployment, {"input": input}, fallbacks, extra, parameters)


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
