"""Pictures and sound of a run: in the page itself, as ``data:`` addresses of what their first bytes say they are."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from .._runs.run import Run
from .._safe_text import plain
from .._wire.media import sound_kind
from .html import Markup, text

__all__ = ["media_html", "media_text"]

SHOWN_BYTES = 4_000_000
"""Of pictures, and of sound, in one output: a page, and a saved notebook, holds them as text."""
_DRAWN, _SPOKEN = "image_generation", "speech"


def media_html(run: Run) -> Markup:
    """The pictures and the player of `run`, then words about what is not shown; empty where it has neither."""
    shown = [*_pictures(run), *_player(run)]
    about = _words(run, pictures=len(_showable(run.images)), sound=bool(_player(run)))
    words = "".join(f"<p><em>{text(each)}</em></p>" for each in about)
    return Markup("".join(shown) + words)


def media_text(run: Run) -> str:
    """What `run` holds beside text, in words; empty where it has neither pictures nor sound."""
    parts = [_size(f"picture {number}" if len(run.images) > 1 else "a picture", each) for number, each in _counted(run)]
    if sound := run.audio_bytes:
        parts.append(_size(f"sound ({sound_kind(sound) or 'of no known kind'})", sound))
    if not parts and run.status == "ok":
        kept = {_DRAWN: "pictures", _SPOKEN: "sound"}.get(run.request_type)
        about = _words(run, pictures=0, sound=False)
        parts = about or ([f"{kept} that the log does not keep"] if kept else [])
    return ", ".join(parts)


def _counted(run: Run) -> list[tuple[int, bytes]]:
    return list(enumerate(run.images, 1))


def _size(name: str, content: bytes) -> str:
    return f"{name}, {max(1, len(content) // 1000):,} kB"


def _showable(pictures: Sequence[bytes]) -> list[str]:
    from .._prompts.pictures import as_url, showable

    return showable((url for each in pictures if (url := as_url(each))), SHOWN_BYTES) if pictures else []


def _pictures(run: Run) -> list[str]:
    look = "display:block;max-width:min(100%,32em);height:auto;margin:4px 0"
    said = escape(f"drawn for: {plain(run.prompt, 100)}", quote=True)
    return [f'<img src="{escape(url, quote=True)}" alt="{said}" style="{look}">' for url in _showable(run.images)]


def _player(run: Run) -> list[str]:
    sound = run.audio_bytes
    kind = sound_kind(sound)
    if kind is None or len(sound) > SHOWN_BYTES:
        return []
    data = base64.b64encode(sound).decode("ascii")
    return [f'<audio controls preload="metadata" src="data:audio/{kind};base64,{data}" style="max-width:100%"></audio>']


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
    urls = [one for one in notes if one.get("type") == "image_url"]
    if urls:
        said.append(f"{len(urls)} at an address, which is not fetched: {plain(urls[0].get('url'), 300)}")
    said += [f"drawn from: {plain(one.get('text'), 500)}" for one in notes if one.get("type") == "revised_prompt"]
    return said
