"""Pictures and sound of a comparison's answers, which the run log does not hold.

They are written where the user says (``folder=``) and nowhere else. Without that this process remembers the newest, so
that running a cell twice in one kernel shows them again; after that the log tells only that they were paid for.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._client.calls import REQUEST_TYPES
from .._files import read_file, user_path, write_private
from .._prompts.pictures import MOST_BYTES, as_url
from .._safe_text import plain, quoted
from .._wire.media import sound_kind
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._runs.run import Run
    from .plan import Plan, Trial

__all__ = ["checked_folder", "give_back", "is_gone", "keeper", "notes_on_media"]

REMEMBERED_BYTES = 256_000_000
"""Of all pictures and sound that this process remembers; the oldest go first."""
_remembered: OrderedDict[str, tuple[list[bytes], dict[str, Any] | None]] = OrderedDict()
_ENDINGS = {"mpeg": "mp3", "mp4": "m4a"}


def checked_folder(folder: Any) -> Path | None:
    """The folder, which is there and can be written to. Raises ConfigurationError."""
    if folder is None:
        return None
    found = user_path(folder, "folder")
    try:
        good = found.is_dir() and os.access(found, os.W_OK)
    except OSError:  # a name that is too long
        good = False
    if not good:
        shown = quoted(str(found), 200)
        raise ConfigurationError(f"folder {shown} is no folder that can be written to.", hint="Make it first.")
    return found


def keeper(plan: Plan, trial: Trial) -> Callable[[Run], None]:
    """What a finished run's pictures and sound go to: the folder, else the memory. Called on the private loop."""

    def keep(run: Run) -> None:
        if not run.images and not run.audio:
            return
        if plan.folder is None:
            _remember(trial.trial_id, run)
            return
        for path, content in zip(_paths(plan.folder, trial, run), _contents(run), strict=True):
            try:
                write_private(path, content)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                run.notes.append(f"{plain(path, 200)} could not be written ({reason}); run.images or run.audio has it.")

    return keep


def _contents(run: Run) -> list[bytes]:
    return run.images or [run.audio_bytes]


def _paths(folder: Path, trial: Trial, run: Run) -> Iterable[Path]:
    """``NAME-CELL-1.png``: a name to be read, the cell's identity, by which it is found again, a number."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", trial.variant)[:80].strip("-.")
    for number, content in enumerate(_contents(run), 1):
        yield folder / f"{name}-{trial.trial_id}-{number}.{_ending(content)}"


def _ending(content: bytes) -> str:
    url = as_url(content)
    kind = url.partition(";")[0].rpartition("/")[2] if url else sound_kind(content) or "bin"
    return _ENDINGS.get(kind, kind)


def _remember(trial_id: str, run: Run) -> None:
    _remembered.pop(trial_id, None)
    _remembered[trial_id] = run.images, run.audio
    size = sum(map(_size, _remembered.values()))
    while size > REMEMBERED_BYTES and len(_remembered) > 1:
        size -= _size(_remembered.popitem(last=False)[1])


def _size(kept: tuple[list[bytes], dict[str, Any] | None]) -> int:
    return sum(map(len, kept[0])) + len((kept[1] or {}).get("data") or "")


def give_back(plan: Plan, trial: Trial, run: Run) -> None:
    """Into a run of the log what was kept of it, where that is still there."""
    if (plan.kind == "image" and run.images) or (plan.kind == "speech" and run.audio):
        return
    if trial.trial_id in _remembered:
        run.images, run.audio = _remembered[trial.trial_id]
    if plan.folder is None or run.images or run.audio:
        return
    found = [content for path in _written(plan.folder, trial) if (content := _read(path))]
    if plan.kind == "image":
        run.images = [each for each in found if as_url(each)]
    elif found:
        run.audio = {"data": b64encode(found[0]).decode("ascii"), "format": sound_kind(found[0])}


def _written(folder: Path, trial: Trial) -> list[Path]:
    form = re.compile(rf".*-{re.escape(trial.trial_id)}-(\d{{1,3}})\.\w{{1,5}}")
    named = [(int(found[1]), path) for path in folder.iterdir() if (found := form.fullmatch(path.name))]
    return [path for _, path in sorted(named)]


def _read(path: Path) -> bytes:
    """The file's bytes; none of what is no file, or too large to be one of ours."""
    try:
        return read_file(path) if path.stat().st_size <= 5 * MOST_BYTES else b""
    except OSError:
        return b""


def is_gone(run: Run) -> bool:
    """Whether the answer was a picture or sound that is not there any more; of a picture an address may be there."""
    drawn = run.request_type in (REQUEST_TYPES["image"], REQUEST_TYPES["speech"])
    return drawn and run.status == "ok" and not (run.images or run.audio or run.annotations)


def notes_on_media(plan: Plan, runs: Iterable[Run]) -> list[str]:
    """What is to be said of answers whose pictures or sound are gone."""
    if plan.kind not in ("image", "speech"):
        return []
    gone = sum(map(is_gone, runs))
    if not gone:
        return []
    what = "pictures" if plan.kind == "image" else "sound"
    return [
        f"{gone} answers were paid for before and come from the log, which keeps no {what}. Next time pass folder= to "
        "keep them; fresh=True asks, and pays, again."
    ]
