"""Columns of a comparison of pictures or speech: how many or how long, and what one picture or one minute costs.

The figures are worked out of what came and of the cost of the whole call; the gateway's list of models has no price by
the picture drawn or by the minute (read in its sources: ``image`` there is the price of a picture that is sent).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._wire.media import sound_seconds

if TYPE_CHECKING:
    import pandas as pd

    from .._client.calls import AnyKind
    from .._runs.run import Run

__all__ = ["add_media"]


def add_media(frame: pd.DataFrame, kind: AnyKind, runs: Sequence[Run]) -> None:
    """``pictures`` and ``cost_per_picture_usd``, or ``seconds`` and ``cost_per_minute_usd``; NA where unknown."""
    import pandas as pd

    if kind == "image":
        counts = [_pictures(run) for run in runs]
        frame["pictures"] = pd.array(counts, dtype="Int64")
        frame["cost_per_picture_usd"] = frame["cost_usd"] / frame["pictures"].astype("Float64")
    elif kind == "speech":
        lengths = [sound_seconds(run.audio_bytes) for run in runs]
        frame["seconds"] = pd.array(lengths, dtype="Float64")
        frame["cost_per_minute_usd"] = 60 * frame["cost_usd"] / frame["seconds"]


def _pictures(run: Run) -> int | None:
    """Those that came, at an address too; None where none did, or the log does not hold them any more."""
    addresses = sum(one.get("type") == "image_url" for one in run.annotations)
    return len(run.images) + addresses or None
