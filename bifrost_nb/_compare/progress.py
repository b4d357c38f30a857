"""Show how far a comparison is: a bar where somebody watches, one line at the end where nobody does."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from .sweep import Progress

__all__ = ["Bar", "in_notebook", "summary_line", "tell", "terminal_width"]


class Bar:
    """A `tqdm` bar over the trials of a comparison; updated by the thread that runs the cell, which owns the output.

    In a notebook the bar is made of widgets (`bifrost_nb._foreground.widget_bar`), of which a line of text stays.
    """

    def __init__(self, progress: Progress, *, silent: bool = False, unit: str = "run") -> None:
        self._progress, self._silent, self._unit = progress, silent, unit
        self._bar: Any = None
        self._widgets: Any = None
        if not silent and progress.reused < progress.total and _watched():
            options = {"total": progress.total, "initial": progress.reused, "unit": unit, "dynamic_ncols": True}
            self._widgets = _widgets(options) if in_notebook() else None
            self._bar = self._widgets.bar if self._widgets else _plain_bar(options)

    def update(self) -> None:
        """Draw what is new; tqdm itself redraws ten times a second at most."""
        if self._bar is not None:
            self._bar.total = self._progress.total  # it grows where inputs are sent in batches
            self._bar.set_postfix_str(_counts(self._progress), refresh=False)
            self._bar.update(self._progress.finished - self._bar.n)

    def close(self) -> None:
        """The last state stays; without a bar one line says it."""
        self.update()
        if self._widgets is not None:
            self._widgets.close(summary_line(self._progress, self._unit))
        elif self._bar is not None:
            self._bar.close()
        elif not self._silent and self._progress.total > self._progress.reused:
            tell(summary_line(self._progress, self._unit))


def tell(text: str) -> None:
    """A line that is no result: to stderr, but on a page, which shows that in red like an error, to stdout.

    A program without a console has neither, and its reader may have gone: neither costs what was paid for.
    """
    from .._foreground.environment import front_end

    stream: TextIO | None = sys.stderr if front_end() == "terminal" else sys.stdout
    if stream is not None:
        with suppress(OSError, ValueError):  # the latter of a closed one
            stream.write(text + "\n")


def _widgets(options: dict[str, Any]) -> Any:
    """A bar of widgets, or None where there are none."""
    from .._foreground.widget_bar import WidgetBar

    try:
        return WidgetBar(**options)
    except ImportError:
        return None


def _plain_bar(options: dict[str, Any]) -> Any:
    from tqdm import tqdm

    return tqdm(**options)


def summary_line(progress: Progress, unit: str = "run") -> str:
    """``1,800 runs: 1,080 done, 720 from the log, 2 failed``."""
    return f"{progress.total:,} {unit}{'' if progress.total == 1 else 's'}: {_counts(progress)}"


def _counts(progress: Progress) -> str:
    counts = {
        "done": progress.done,
        "from the log": progress.reused,
        "failed": progress.failed,
        "cached": progress.cached,
        "cancelled": progress.cancelled,
        "sent again": progress.resent,
    }
    kept = progress.reused or progress.cached  # "0 done" beside them sounds like a failure
    told = [f"{count:,} {name}" for name, count in counts.items() if count or (name == "done" and not kept)]
    return ", ".join([*told, *([progress.said] if progress.said else [])])


def in_notebook() -> bool:
    from .._foreground.environment import front_end

    return front_end() == "notebook"


def terminal_width() -> int | None:
    """The columns of the terminal that output goes to; None where it goes to no terminal."""
    return shutil.get_terminal_size().columns if _terminal(sys.stdout) else None


def _watched() -> bool:
    return in_notebook() or _terminal(sys.stderr)


def _terminal(stream: Any) -> bool:
    return not getattr(stream, "closed", False) and bool(getattr(stream, "isatty", bool)())
