"""The table of RESULTS.md, held to what a user sees: each "cannot" of a real gateway is a note on a run, or a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost_nb._client.call_notes import is_shared
from bifrost_nb._wire.gateway_errors import gateway_error, parse_error

from .report import read_table

TABLE = read_table(
    Path(__file__).with_name("RESULTS.md").read_text().partition("<!-- conformance:begin -->")[2].partition("<!--")[0]
)
PROGRAMS = {title: column for title, column in TABLE.items() if title.startswith("Bifrost ")}
FOOTNOTES = sorted({words for column in PROGRAMS.values() for cell in column.values() for words in cell.limits})
EXHAUSTED = {"is_bifrost_error": True, "status_code": 502, "error": {"type": "upstream_credentials_exhausted"}}


def test_the_table_has_all_six_versions() -> None:
    """None is left out, and each has the same features."""
    versions = ["1.3.63", "1.4.0", "1.4.18", "1.5.1", "1.5.16", "2.0.0-prerelease3"]
    assert [title.partition("<br>")[0] for title in PROGRAMS] == [f"Bifrost {version}" for version in versions]
    assert len({frozenset(column) for column in PROGRAMS.values()}) == 1


@pytest.mark.parametrize("words", FOOTNOTES, ids=range(len(FOOTNOTES)))
def test_what_a_real_gateway_cannot_is_said_to_its_users(words: str) -> None:
    """Word for word the note of a run, which a comparison shows once; or it ends with the hint of an error."""
    hint = gateway_error(parse_error(EXHAUSTED, 502, {})).hint
    assert hint
    assert is_shared(words) or words.endswith(hint)


def test_nothing_is_lost_without_a_footnote() -> None:
    """A feature that a version has not at all says why."""
    lost = [cell for column in PROGRAMS.values() for cell in column.values() if cell.sign == "✗"]
    assert lost
    assert all(cell.limits for cell in lost)
