"""Sending embedding vectors, whole, as numbers or as base64."""

from __future__ import annotations

from typing import Any

from ..content.embeddings import embedding_data
from .delivery import Delivery

__all__ = ["EmbeddingDelivery"]


class EmbeddingDelivery(Delivery):
    """The sending of one attempt's vectors."""

    def _body(self) -> dict[str, Any]:
        attempt = self.attempt
        return {
            "data": embedding_data(attempt.answer.vectors, self.call.get("encoding_format", "float")),
            "model": self.dialect.model_name(attempt.route),
            "object": "list",
            "usage": attempt.usage,
            "extra_fields": self._extra(attempt.tell_latency(), 0),
        }
