"""Columns of a comparison of pictures, speech or transcriptions: how many, how long, and what each or a minute costs.

The figures are worked out of what came and of the cost of the whole call; the gateway's list of models has no price by
the picture drawn or by the minute (read in its sources: ``image`` there is the price of a picture that is sent).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .._numbers import number
from .._wire.media import sound_seconds

if TYPE_CHECKING:
    import pandas as pd

    from .._client.calls import AnyKind
    from .._client.media import Sound
    from .._runs.run import Run

__all__ = ["add_media"]


def add_media(frame: pd.DataFrame, kind: AnyKind, runs: Sequence[Run], sent: Sequence[Sound | None]) -> None:
    """``pictures`` and ``cost_per_picture_usd``, or ``seconds`` and ``cost_per_minute_usd``; NA where unknown.

    Seconds are those of the sound that came, or that was `sent` to be written down.
    """
    import pandas as pd

    if kind == "image":
        counts = [_pictures(run) for run in runs]
        frame["pictures"] = pd.array(counts, dtype="Int64")
        frame["cost_per_picture_usd"] = frame["cost_usd"] / frame["pictures"].astype("Float64")
    elif kind in ("speech", "transcription"):
        if kind == "speech":
            lengths = [sound_seconds(run.audio_bytes) for run in runs]
        else:
            known = {
                sound.digest: sound_seconds(sound.content) for sound in {id(one): one for one in sent if one}.values()
            }
            lengths = [
                _told(run) if sound is None or known[sound.digest] is None else known[sound.digest]
                for run, sound in zip(runs, sent, strict=True)
            ]
        frame["seconds"] = pd.array(lengths, dtype="Float64")
        frame["cost_per_minute_usd"] = 60 * frame["cost_usd"] / frame["seconds"]


def _told(run: Run) -> float | None:
    """How long the provider says that a sound is: of formats that are not measured here, in whole seconds."""
    seconds = run.usage.get("seconds") if isinstance(run.usage, Mapping) else None
    return number(seconds) if isinstance(seconds, int | float) and 0 < seconds < 1e7 else None


def _pictures(run: Run) -> int | None:
    """Those that came, at an address too; None where none did, or the log does not hold them any more."""
    addresses = sum(one.get("type") == "image_url" for one in run.annotations)
    return len(run.images) + addresses or None
