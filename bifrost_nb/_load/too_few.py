"""Whether the calls at a rate are enough to tell a share of good ones from the share that is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["too_few"]

_WIDE = 1.959964
"""Standard errors of Wilson's interval of 95 %."""


def too_few(rows: Sequence[Mapping[str, Any]], target: float) -> list[str]:
    """The note about those of the rates that decided which is the highest that holds.

    By simulation (95 % asked, 30 seconds a rate) 58 of 100 curves hold 10 calls a second and 23 not even 1, where 97 %
    are good at 1, 2, 5 and 10 a second; where 93 % are, 39 hold one of them.
    """
    first = next((place for place, row in enumerate(rows) if not row["holds"]), len(rows) - 1)
    whole = [row for row in rows[: first + 1] if row["sent"] - row["cached"] == row["planned"] > 0]
    unsure = [row for row in whole if row["holds"] is not None and row["good_low"] < target <= row["good_high"]]
    if not unsure:
        return []
    *before, last = (f"{row['rate_per_s']:g}" for row in unsure)
    rates = f"{', '.join(before)} and {last}" if before else last
    row, least = unsure[0], _WIDE**2 * target / (1 - target) if target < 1 else math.inf
    good = f"{row['good']:,} of {row['planned']:,} {'was' if row['good'] == 1 else 'were'} good"
    seen = f"at {row['rate_per_s']:g} a second {good}, so {row['good_low']:.0%} or more"
    more = f"; {math.ceil(least):,} calls can show it, if all are good" if row["planned"] < least < math.inf else ""
    return [
        f"At {rates} calls a second too few calls were sent to tell whether {target:.0%} are good ({seen}{more}): pass"
        " more seconds."
    ]
