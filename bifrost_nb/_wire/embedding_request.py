"""The request for embeddings, strict (format: the gateway's OpenAPI documents)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from .base import BaseRequest, build
from .deployments import Deployment
from .fields import Count, one_or_several

__all__ = ["EmbeddingRequest", "build_embedding"]


def _check_text(item: Any, name: str) -> None:
    if not isinstance(item, str):
        raise ValueError(f"{name} must be text, not {type(item).__name__}")
    if not item:
        raise ValueError(f"{name} is empty, which providers refuse")


def _input(value: Any) -> Any:
    return one_or_several(value, "texts", _check_text)


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
