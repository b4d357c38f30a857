"""Progress is a bar where somebody watches, and one plain line where nobody does."""

from __future__ import annotations

import io
import sys

import pytest

from bifrost_nb._compare.progress import Bar, summary_line
from bifrost_nb._compare.sweep import Progress


class Terminal(io.StringIO):
    """A stream that somebody watches."""

    def isatty(self) -> bool:
        return True


def finish(progress: Progress) -> None:
    bar = Bar(progress)
    progress.done, progress.failed, progress.cached = 6, 1, 2
    bar.update()
    bar.close()


def test_nobody_watching_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No carriage return, no half-drawn bar in a log file: one line at the end."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    finish(Progress(total=10, reused=3))
    assert sys.stderr.getvalue() == "10 runs: 6 done, 3 from the log, 1 failed, 2 cached\n"


class GoneReader(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stderr", ["none", "closed", "gone"])
def test_without_a_console_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    """pythonw, a service, a pipe whose reader has gone: the line is not written, and the comparison is there."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", {"none": None, "closed": closed, "gone": GoneReader()}[stderr])
    finish(Progress(total=10, reused=3))


def test_a_terminal_gets_a_bar_with_counts_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar starts at what the log held and ends complete."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    finish(Progress(total=10, reused=3))
    last = sys.stderr.getvalue().rsplit("\r", 1)[-1]
    assert "10/10" in last
    assert "6 done, 3 from the log, 1 failed, 2 cached" in last


def test_nothing_to_do_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that comes whole out of the log prints nothing."""
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        bar = Bar(Progress(total=4, reused=4))
        bar.update()
        bar.close()
        assert stream.getvalue() == ""


def test_summary_line_names_what_happened() -> None:
    """Counts that are zero are left out; of done where all failed, not where all came out of the log or a cache."""
    assert summary_line(Progress(total=54, reused=54)) == "54 runs: 54 from the log"
    assert summary_line(Progress(total=2, done=2), "judge call") == "2 judge calls: 2 done"
    assert summary_line(Progress(total=2, cached=2)) == "2 runs: 2 cached"
    assert summary_line(Progress(total=2, failed=2)) == "2 runs: 0 done, 2 failed"
    assert (
        summary_line(Progress(total=1800, cancelled=16, resent=2)) == "1,800 runs: 0 done, 16 cancelled, 2 sent again"
    )
