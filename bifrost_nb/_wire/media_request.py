"""Requests for pictures and sound, strict.

Formats: the gateway's ``/v1/images/generations`` and ``/v1/audio/speech`` take JSON, ``/v1/audio/transcriptions`` a
form.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from .base import BaseRequest
from .fields import Count, Seed, Whole

__all__ = ["ImageRequest", "SpeechRequest", "TranscriptionRequest"]


def _said(value: str, info: ValidationInfo) -> str:
    if not value.strip():
        raise ValueError(f"{info.field_name} is empty")
    return value


Text = Annotated[str, AfterValidator(_said)]


class ImageRequest(BaseRequest):
    """A picture to draw; the fields that the gateway hands to OpenAI (measured)."""

    prompt: Text
    n: Count | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    moderation: str | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100), Whole] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    seed: Seed | None = None
    user: str | None = None


class SpeechRequest(BaseRequest):
    """A text to be spoken."""

    input: Text
    voice: Text
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None


class TranscriptionRequest(BaseRequest):
    """Sound to be written down; the file goes beside these as a part of the form."""

    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
