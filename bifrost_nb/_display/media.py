"""Pictures and sound of a run: in the page itself, as ``data:`` addresses of what their first bytes say they are."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from .._runs.run import Run
from .._safe_text import plain
from .._wire.media import sound_kind
from .html import Markup, text

__all__ = ["media_html", "media_said", "media_text", "media_urls", "small_urls", "sound_url"]

SHOWN_BYTES = 4_000_000
"""Of pictures, and of sound, in one output: a page, and a saved notebook, holds them as text."""
MOST_NAMED = 20
"""Pictures that are named one by one in words: an answer may have a hundred thousand."""
_DRAWN, _SPOKEN = "image_generation", "speech"


def media_html(run: Run, side: int | None = None) -> Markup:
    """The pictures and the player of `run`, then words about what is not shown; empty where it has neither.

    With `side` the pictures are drawn again, at most so many pixels wide and high.
    """
    urls = _showable(run.images) if side is None else [url for each in run.images if (url := _small(each, side))]
    player = _player(run)
    shown = [*_pictures(run, urls), *player]
    about = _words(run, pictures=len(urls), sound=bool(player))
    words = "".join(f"<p><em>{text(each)}</em></p>" for each in about)
    return Markup("".join(shown) + words)


def media_text(run: Run) -> str:
    """What `run` holds beside text, in words; empty where it has neither pictures nor sound."""
    shown = run.images[:MOST_NAMED]
    parts = [_size(f"picture {n}" if len(run.images) > 1 else "a picture", each) for n, each in enumerate(shown, 1)]
    if len(run.images) > len(shown):
        parts.append(f"and {len(run.images) - len(shown):,} more pictures")
    if sound := run.audio_bytes:
        parts.append(_size(f"sound ({sound_kind(sound) or 'of no known kind'})", sound))
    if not parts and run.status == "ok":
        kept = {_DRAWN: "pictures", _SPOKEN: "sound"}.get(run.request_type)
        about = _words(run, pictures=0, sound=False)
        parts = about or ([f"{kept} that the log does not keep"] if kept else [])
    return ", ".join(parts)


def media_said(run: Run) -> list[str]:
    """A line for each picture, and one for the sound: what differs has different lines."""
    return [
        f"[{_size(name, content)}, sha256={hashlib.sha256(content).hexdigest()[:16]}]"
        for name, content in [
            *(("picture", each) for each in run.images),
            *(("sound", each) for each in [run.audio_bytes] if each and run.request_type == _SPOKEN),
        ]
    ] + [f"[picture at {plain(one.get('url'), 300)}]" for one in _addresses(run)]


def media_urls(run: Run, side: int) -> list[str]:
    """``data:`` addresses of the pictures, drawn again at most `side` pixels wide and high, and of the sound.

    Drawn again, a picture of a few megabytes is as small as a table needs it, and says no more who drew it.
    """
    found = [url for each in run.images if (url := _small(each, side))]
    spoken = sound_url(run.audio_bytes) if run.request_type == _SPOKEN else None
    return [*found, spoken] if spoken else found


def small_urls(urls: Iterable[str], side: int) -> list[str]:
    """Pictures that a page may show (`showable`), drawn again at most `side` pixels wide and high."""
    contents = (base64.b64decode(url.partition(",")[2]) for url in urls)
    return [small for content in contents if (small := _small(content, side))]


def sound_url(sound: bytes) -> str | None:
    """A ``data:`` address; None for what is of no known kind, or too large."""
    kind = sound_kind(sound)
    if kind is None or len(sound) > SHOWN_BYTES:
        return None
    return f"data:audio/{kind};base64,{base64.b64encode(sound).decode('ascii')}"


_SMALL: OrderedDict[tuple[bytes, int], str | None] = OrderedDict()
_MOST_SMALL = 500


def _small(content: bytes, side: int) -> str | None:
    """`_drawn_again`, remembered: a table draws its pictures each time it turns a page."""
    key = hashlib.sha256(content).digest(), side
    if key not in _SMALL:
        _SMALL[key] = _drawn_again(content, side)
        if len(_SMALL) > _MOST_SMALL:
            _SMALL.popitem(last=False)
    return _SMALL[key]


def _drawn_again(content: bytes, side: int) -> str | None:
    """A picture as a WebP of its own pixels; None for what cannot be drawn."""
    from PIL import Image

    from .._prompts.pictures import as_url, showable

    url = as_url(content)
    if url is None or not showable([url], len(content)):
        return None
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.thumbnail((side, side))
            made = io.BytesIO()
            picture.convert("RGBA" if "A" in picture.getbands() else "RGB").save(made, format="WEBP", quality=80)
    except Exception:  # noqa: BLE001 - PIL's readers fail in many ways
        return None
    return f"data:image/webp;base64,{base64.b64encode(made.getvalue()).decode('ascii')}"


def _size(name: str, content: bytes) -> str:
    return f"{name}, {max(1, len(content) // 1000):,} kB"


def _showable(pictures: Sequence[bytes]) -> list[str]:
    from .._prompts.pictures import as_url, showable

    return showable((url for each in pictures if (url := as_url(each))), SHOWN_BYTES) if pictures else []


def _pictures(run: Run, urls: Sequence[str]) -> list[str]:
    look = "display:block;max-width:min(100%,32em);height:auto;margin:4px 0"
    said = escape(f"drawn for: {plain(run.prompt, 100)}", quote=True)
    return [f'<img src="{escape(url, quote=True)}" alt="{said}" style="{look}">' for url in urls]


def _player(run: Run) -> list[str]:
    url = sound_url(run.audio_bytes)
    return [f'<audio controls preload="metadata" src="{url}" style="max-width:100%"></audio>'] if url else []


def _addresses(run: Run) -> list[dict[str, Any]]:
    return [one for one in run.annotations if run.request_type == _DRAWN and one.get("type") == "image_url"]


def _words(run: Run, *, pictures: int, sound: bool) -> list[str]:
    """What a reader cannot see or hear here."""
    said = []
    if hidden := len(run.images) - pictures if pictures or run.images else 0:
        said.append(
            f"{hidden} of {len(run.images)} pictures not shown: too large, or no PNG, JPEG, WebP or GIF; "
            "run.images has them"
        )
    if not sound and (content := run.audio_bytes):
        said.append(
            f"{_size('sound', content)}, not played here: too large, or of no known kind; run.audio_bytes has it"
        )
    notes: list[dict[str, Any]] = run.annotations if run.request_type == _DRAWN else []
    urls = _addresses(run)
    if urls:
        said.append(f"{len(urls)} at an address, which is not fetched: {plain(urls[0].get('url'), 300)}")
    revised = [one for one in notes if one.get("type") == "revised_prompt"]
    return said + [f"drawn from: {plain(one.get('text'), 500)}" for one in revised[:MOST_NAMED]]
