"""Sending embedding vectors, whole, as numbers or as base64."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

from .delivery import Delivery

__all__ = ["EmbeddingDelivery"]


class EmbeddingDelivery(Delivery):
    """The sending of one attempt's vectors."""

    def _body(self) -> dict[str, Any]:
        encode = _base64 if self.call.get("encoding_format", "float") == "base64" else list
        vectors = self.attempt.answer.vectors
        return {
            "data": [
                {"index": index, "object": "embedding", "embedding": encode(numbers)}
                for index, numbers in enumerate(vectors)
            ],
            "model": self.dialect.model_name(self.attempt.route),
            "object": "list",
            "usage": self.attempt.usage,
            "extra_fields": self._extra(self._elapsed_ms(), 0),
        }


def _base64(numbers: list[float]) -> str:
    """Little-endian numbers of 32 bits, as providers do."""
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
