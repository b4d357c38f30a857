"""Pictures and sound: what their answers hold.

Measured on gateways 1.3.63 (without pictures), 1.4.0, 1.4.18, 1.5.16 and 2.0.0-prerelease3 before a simulated OpenAI:
speech comes as bytes that are called ``audio/mpeg`` whatever they are, the other two as JSON.
"""

from __future__ import annotations

import base64
import binascii
import io
import wave
from collections.abc import Mapping
from typing import Any

from ..errors import ProtocolError

__all__ = ["pictures_of", "sound_kind", "sound_seconds"]


def pictures_of(body: Mapping[str, Any]) -> tuple[list[bytes], list[dict[str, Any]]]:
    """The pictures of an answer, and what else it says of each: the prompt it was drawn from, an address.

    Addresses are not fetched. Raises ProtocolError where nothing of that can be read.
    """
    data = body.get("data")
    pictures: list[bytes] = []
    said: list[dict[str, Any]] = []
    for place, item in enumerate(data if isinstance(data, list) else []):
        if not isinstance(item, dict):
            continue
        content = _decoded(item.get("b64_json"))
        if content:
            pictures.append(content)
        elif isinstance(item.get("url"), str):
            said.append({"type": "image_url", "index": place, "url": item["url"]})
        if isinstance(item.get("revised_prompt"), str) and item["revised_prompt"]:
            said.append({"type": "revised_prompt", "index": place, "text": item["revised_prompt"]})
    if not pictures and not any(one["type"] == "image_url" for one in said):
        raise ProtocolError("The answer holds no picture.", hint="The answer as received is in .run.raw.")
    return pictures, said


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"ID3", "mpeg"),
    (b"\xff\xfb", "mpeg"),
    (b"\xff\xf3", "mpeg"),
    (b"\xff\xf2", "mpeg"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"\xff\xf1", "aac"),
    (b"\xff\xf9", "aac"),
    (b"\x1aE\xdf\xa3", "webm"),
)


def sound_kind(content: bytes) -> str | None:
    """What a sound is by its first bytes, as browsers call it after ``audio/``; None: not known (so plain samples)."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[4:8] == b"ftyp":
        return "mp4"
    return next((kind for start, kind in _BEGINNINGS if content.startswith(start)), None)


_MP3_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""Kilobits a second of MPEG 1 layer 3, by index."""
_MP3_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""The same of MPEG 2 and 2.5."""
_MP3_HERTZ = (44_100, 48_000, 32_000)


def sound_seconds(content: bytes) -> float | None:
    """How long a WAV or an MP3 lasts; None for what is neither, or broken.

    Frames as in ISO 11172-3 and 13818-3: each says its own rate, so they are counted one by one.
    """
    kind = sound_kind(content)
    if kind == "wav":
        try:
            with wave.open(io.BytesIO(content)) as file:
                return file.getnframes() / file.getframerate() or None
        except (wave.Error, EOFError, ZeroDivisionError):
            return None
    return _mp3_seconds(content) if kind == "mpeg" else None


def _mp3_seconds(content: bytes) -> float | None:
    place = 0
    if content.startswith(b"ID3") and len(content) > 10:  # its length has seven bits a byte
        place = 10 + sum((byte & 0x7F) << (21 - 7 * at) for at, byte in enumerate(content[6:10]))
    seconds = 0.0
    while place + 4 <= len(content):
        first, second, third = content[place : place + 3]
        version, rate, hertz = second >> 3 & 3, third >> 4, third >> 2 & 3
        if first != 0xFF or second & 0xE6 != 0xE2 or version == 1 or rate in (0, 15) or hertz == 3:
            break  # tags at the end, or no frame of layer 3
        old = version == 3
        pace = _MP3_HERTZ[hertz] >> (0 if old else 1 if version == 2 else 2)
        samples = 1_152 if old else 576
        seconds += samples / pace
        bits = 1_000 * (_MP3_RATES if old else _MP3_RATES_2)[rate]
        place += samples // 8 * bits // pace + (third >> 1 & 1)
    return seconds or None
