"""The live view for a notebook without anywidget: one display, replaced a few times a second. It has no button."""

from __future__ import annotations

from ..._display.html import RULE, text as escape
from .race import Race, RaceColumn

__all__ = ["Basic"]

INTERVAL_S = 0.25
TAIL = 4000
"""Only the end of a long answer is redrawn, since each redraw sends all of it; the static answer has the whole."""


class Basic:
    """Draws a race as escaped HTML with inline styles that hold in light and dark themes."""

    def __init__(self, race: Race, stop: str = "Press ■ (interrupt) to stop.") -> None:
        self.race, self._stop = race, stop
        self._drawn_at = -INTERVAL_S

    def bundle(self) -> dict[str, str]:
        """The race as it stands."""
        elapsed = self.race.elapsed_s
        asked = ", ".join(column.facts(elapsed).asked for column in self.race.columns)
        columns = "".join(_column(column, elapsed) for column in self.race.columns)
        hint = f'<div style="opacity:.75">{escape(self._stop)}</div>'
        heading = f"<strong>{escape(self.race.title)}</strong>" if self.race.title else ""
        return {"text/html": f"<div>{heading}{columns}{hint}</div>", "text/plain": f"Waiting for {asked} …"}

    def due(self) -> bool:
        """Whether it is time for the next redraw; true at most four times a second."""
        now = self.race.elapsed_s
        if now - self._drawn_at < INTERVAL_S:
            return False
        self._drawn_at = now
        return True


def _column(column: RaceColumn, elapsed: float) -> str:
    facts = column.facts(elapsed)
    said = " · ".join(part for part in facts[1:] if part)
    column.take()
    text = column.text
    shown = text if len(text) <= TAIL else "… " + text[-TAIL:]
    return (
        f'<section style="border:1px solid {RULE};border-radius:6px;padding:8px 12px;margin:4px 0">'
        f'<strong>{escape(facts.asked)}</strong> <span style="opacity:.75">{escape(said)}</span>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;min-height:4.5em">{escape(shown)}</div></section>'
    )
