"""Pictures of a column as ``data:`` URLs: from paths, bytes, PIL, arrays and matplotlib figures.

What a file holds is told by its first bytes, never by its name. PNG, JPEG, WebP and GIF are the four that OpenAI,
Anthropic and Google document for their chats; SVG is a document with scripts and is refused. Nothing is fetched, and
pictures that are there as bytes are passed on as they are, without being decoded, if they go on to their end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._safe_text import plain, type_with_article
from .picture_end import is_whole
from .value_text import Fault, no_value

__all__ = ["MOST_BYTES", "as_url", "check_address", "data_url", "described", "is_shortened", "shortened", "showable"]

MOST_BYTES = 20 * 2**20
"""The largest picture that is sent; a choice of our own, above what most providers take."""
MOST_PIXELS = 50_000_000
"""Of a picture that is first made into a PNG here."""
SHOWN_BYTES = 4_000_000
"""Of all pictures that are shown together: a page, and a saved notebook, holds them as text."""
_DATA_URL = re.compile(r"data:(image/[a-z+.-]{1,40});base64,([A-Za-z0-9+/]*={0,2})")
_ADDRESS = re.compile(r"\s*(?:[a-z][a-z0-9+.-]+:\S|(?-i:iVBORw0KGgo|/9j/|UklGR|R0lGOD)[a-z0-9+/\s]{32})", re.I)
"""Bare base64 of a picture, too: the gateway writes its head for providers that want one."""
_TAKEN = re.compile(r"data:image/(?:png|jpe?g|webp|gif|svg\+xml);base64,")
"""What has to be whole, or is never taken."""
_SVG = re.compile(rb"\s*(?:<\?xml|<!--|<!doctype svg|<svg)", re.I)


def data_url(value: Any) -> str:
    """`value` as a ``data:`` URL. Raises Fault, the predicate of a sentence about it."""
    try:
        content = _content(value)
    except Fault:
        raise
    except Exception as error:  # noqa: BLE001 - a figure that cannot be drawn, an array or a path of a user's class
        raise Fault(f"cannot be made a picture: {type(error).__name__}: {plain(error, 200)}") from None
    if len(content) > MOST_BYTES:  # before it is read, however it ends
        raise Fault(_too_large(len(content)))
    kind = _kind(content)
    if not is_whole(content, kind):
        raise Fault(f"is a {_name(kind)} that breaks off or is damaged: fetch or save it anew")
    return _url(content)


def check_address(url: str) -> None:
    """Raise Fault where a person's own address of a picture can be none: no address at all, or ``data:`` that is
    damaged. What lies elsewhere, and kinds and sizes that only some providers take, is for them to judge."""
    if not _ADDRESS.match(url):
        raise Fault(f"is {plain(url, 60)!r}, no address: pass a data: URL, or name a column of pictures in images=")
    if _TAKEN.match(url) and len(url) * 3 // 4 <= MOST_BYTES:
        data_url("".join(url.split()))  # lines of base64, as some encoders write them, are no damage


def as_url(content: bytes) -> str | None:
    """`content` that was drawn as a ``data:`` URL; None for what is none of the four kinds, or too large."""
    try:
        return _url(content)
    except Fault:
        return None


def _url(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise Fault(_too_large(len(content)))
    return f"data:{_kind(content)};base64,{base64.b64encode(content).decode('ascii')}"


def _name(kind: str) -> str:
    return "WebP" if kind == "image/webp" else kind.removeprefix("image/").upper()


def described(url: Any) -> str:
    """``[picture: PNG, 12 kB]``, for people; ``[picture: PNG]`` of one that `shortened` has left out."""
    if isinstance(url, str) and (short := _SHORT.fullmatch(url)):
        return f"[picture: {_name(short[1])}]"
    found = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        return f"[picture: {plain(url, 80)}]"
    return f"[picture: {found[1].removeprefix('image/').upper()}, {max(1, len(found[2]) * 3 // 4 // 1000):,} kB]"


def showable(urls: Iterable[object], most_bytes: int = SHOWN_BYTES) -> list[str]:
    """Those of `urls` that a page may show, as many as fit into `most_bytes`.

    ``data:`` URLs of PNG, JPEG, WebP and GIF that hold what they say they do and open to no more than `MOST_PIXELS`.
    """
    found: list[str] = []
    left = most_bytes
    for url in urls:
        if not isinstance(url, str) or len(url) > left * 4 // 3 + 100:
            continue
        try:
            content = _decoded(url)
            if not url.startswith(f"data:{_kind(content)};") or not _opens(content):
                continue
        except Fault:
            continue
        left -= len(content)
        found.append(url)
    return found


def _opens(content: bytes) -> bool:
    """Whether its head says a size that can be drawn; nothing is decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP", "GIF"]) as picture:
            return 0 < picture.size[0] * picture.size[1] <= MOST_PIXELS
    except Exception:  # noqa: BLE001 - PIL's readers fail in many ways, and warn of bombs by an error
        return False


_SHORT = re.compile(r"data:(image/[a-z0-9+.-]{1,40});sha256=[0-9a-f]{16}")
_LONG = re.compile(r"(data:[a-z]+/[a-z0-9+.-]{1,40});base64,([A-Za-z0-9+/]+={0,2})")


def shortened(text: str) -> str:
    """`text` with ``data:image/png;sha256=...`` for each ``data:`` URL: to be read, not to be sent."""

    def short(found: re.Match[str]) -> str:
        return f"{found[1]};sha256={hashlib.sha256(found[2].encode()).hexdigest()[:16]}"

    return _LONG.sub(short, text) if ";base64," in text else text


def is_shortened(text: str) -> bool:
    """Whether `text` went through `shortened`, so that its pictures are elsewhere."""
    return re.search(r"data:[a-z]+/[a-z0-9+.-]{1,40};sha256=[0-9a-f]{16}", text) is not None


def _content(value: Any) -> bytes:
    if no_value(value):
        raise Fault("has no picture")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str) and value.startswith("data:"):
        return _decoded(value)
    if isinstance(value, str) and re.match(r"[a-z][a-z0-9+.-]+://", value, re.I):
        raise Fault("is an address; pictures are not fetched: download it and pass its path or bytes")
    if isinstance(value, str | os.PathLike):
        return _file(value)
    if callable(getattr(value, "savefig", None)):
        made = io.BytesIO()
        value.savefig(made, format="png")
        return made.getvalue()
    if hasattr(value, "getbands") and callable(getattr(value, "save", None)):
        return _png(_one_frame(value))
    if callable(getattr(value, "__array__", None)):
        return _png(_from_array(value))
    raise Fault(f"is {type_with_article(value)}; pass a path, bytes, a PIL image, an array or a matplotlib figure")


def _decoded(url: str) -> bytes:
    if len(url) > 2 * MOST_BYTES:
        raise Fault(_too_large(len(url) * 3 // 4))
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise Fault("is a data: URL that holds no picture in base64")
    try:
        return base64.b64decode(found[2], validate=True)
    except binascii.Error:
        raise Fault("is a data: URL whose base64 is broken") from None


def _file(path: Any) -> bytes:
    """The bytes of a regular file; of a pipe or a device nothing is read."""
    shown = plain(os.fspath(path), 200)
    try:
        target = Path(path).expanduser()
        found = target.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Fault(f"is {shown!r}, which is no file")
        if found.st_size > MOST_BYTES:
            raise Fault(_too_large(found.st_size))
        with target.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or plain(error, 100)
        raise Fault(f"cannot be read from {shown!r}: {reason}") from None


def _kind(content: bytes) -> str:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if not content:
        raise Fault("is empty")
    if _SVG.match(content[:200]):
        raise Fault("is an SVG, which is a document and may hold scripts: draw it as a PNG first")
    raise Fault("is no PNG, JPEG, WebP or GIF by its first bytes")


def _from_array(value: Any) -> Any:
    """A PIL image of an array: height x width, or with 3 or 4 colours; uint8, truth values, or floats from 0 to 1."""
    import numpy as np
    from PIL import Image

    if np.ma.is_masked(value):
        raise Fault("holds masked values, which no picture shows: fill them first")
    array = np.asarray(value)
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))) or 0 in array.shape:
        raise Fault(f"is an array of shape {array.shape}; a picture is height x width, with 3 or 4 colours at most")
    _check_pixels(array.shape[1], array.shape[0])
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise Fault("is an array of floats outside of 0 to 1: scale it, or pass uint8")
        array = np.rint(array * 255).astype("uint8")
    elif array.dtype.kind == "b":
        array = array.astype("uint8") * np.uint8(255)
    elif array.dtype != np.uint8:
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
            raise Fault(f"is an array of {array.dtype} that does not fit 0 to 255: scale it to uint8")
        array = array.astype("uint8")
    return Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array))


def _one_frame(picture: Any) -> Any:
    """`picture`, which must not be one of many: a PNG would silently be the frame that it stands at."""
    try:
        frames = getattr(picture, "n_frames", 1)
    except Exception:  # noqa: BLE001 - a file that is damaged behind its head; what is wrong is told when it is saved
        frames = 1
    if frames > 1:
        raise Fault(
            f"has {frames:,} frames, of which a PNG holds one: choose one with picture.seek(0), then pass"
            " picture.copy(); or pass the path or bytes of the file"
        )
    return picture


def _png(picture: Any) -> bytes:
    _check_pixels(*picture.size)
    from PIL import ImageOps

    made = io.BytesIO()
    try:
        # A photograph may be stored on its side and say so in a tag that PNG readers do not heed.
        ImageOps.exif_transpose(picture).save(made, format="PNG")
    except Exception as error:  # noqa: BLE001 - PIL decodes a lazy file here, and its readers fail in many ways
        other = getattr(picture, "mode", "RGB")
        way = "" if other in ("1", "L", "LA", "P", "RGB", "RGBA") else ": send picture.convert('RGB')"
        raise Fault(f"cannot be written as PNG: {plain(error, 100)}{way}") from None
    return made.getvalue()


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Fault(f"has {width:,} x {height:,} pixels, more than {MOST_PIXELS:,}: make it smaller")


def _too_large(size: int) -> str:
    return f"has {size / 1e6:,.0f} MB, more than the {MOST_BYTES / 1e6:,.0f} MB that are sent: make it smaller"
