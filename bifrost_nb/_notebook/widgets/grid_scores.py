"""Scores in the grid: filters, orders and badges, as plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..._safe_text import plain
from .grid_rows import Box, Row, ShownScore

__all__ = ["badge", "badges", "cut", "middle", "score_filters", "score_sorts", "score_tests"]

PREVIEW = 220


def cut(text: str, length: int = PREVIEW) -> str:
    """The beginning of `text`, safe as plain text and sendable."""
    return plain(text, length).encode("utf-8", "replace").decode()


def _words(score: str) -> str:
    """A score's column as people read it: ``score_mentions`` is ``mentions``."""
    return cut(score.removeprefix("score_"), 40)


def middle(rows: Sequence[Row], score: str) -> float:
    """What is low of a score: below 0.5; of one that is not from 0 to 1, below the middle of what was given."""
    values = [
        found.value for row in rows for box in row.boxes.values() for found in box.scores(score)
        if found.value is not None
    ]  # fmt: skip
    low, high = min(values, default=0.0), max(values, default=1.0)
    return 0.5 if low >= 0 and high <= 1 else (low + high) / 2


def score_tests(middles: Mapping[str, float]) -> dict[str, Callable[[Row], bool]]:
    """Filter name -> does a row pass it? Four for each score: low, differs, missing, disagrees (with people)."""
    tests: dict[str, Callable[[Row], bool]] = {}
    for score, half in middles.items():
        tests[f"low:{score}"] = lambda row, score=score, half=half: (  # type: ignore[misc]
            (low := row.lowest(score)) is not None and low < half
        )
        tests[f"differs:{score}"] = lambda row, score=score: row.spread(score) > 0  # type: ignore[misc]
        tests[f"missing:{score}"] = lambda row, score=score: any(  # type: ignore[misc]
            found.value is None for box in row.boxes.values() for found in box.scores(score)
        )
        tests[f"disagrees:{score}"] = lambda row, score=score, half=half: row.disagrees(score, half)  # type: ignore[misc]
    return tests


def score_filters(middles: Mapping[str, float]) -> dict[str, str]:
    """Filter name -> what people read."""
    said = {
        "low": "{0} below {1:g}",
        "differs": "{0} differs",
        "missing": "{0} could not be judged",
        "disagrees": "{0} and people disagree",
    }
    return {
        f"{kind}:{score}": words.format(_words(score), half)
        for score, half in middles.items()
        for kind, words in said.items()
    }


def score_sorts(scores: Sequence[str]) -> dict[str, tuple[str, Callable[[Row], Any]]]:
    """Order name -> (words, key), two for each score."""

    def lowest(score: str) -> Callable[[Row], Any]:
        return lambda row: ((low := row.lowest(score)) is None, low or 0.0)

    def apart(score: str) -> Callable[[Row], Any]:
        return lambda row: -row.spread(score)

    found: dict[str, tuple[str, Callable[[Row], Any]]] = {}
    for score in scores:
        found[f"lowest:{score}"] = (f"lowest {_words(score)} first", lowest(score))
        found[f"apart:{score}"] = (f"{_words(score)} differs most first", apart(score))
    return found


def badges(box: Box) -> list[dict[str, str]]:
    """The scores of a cell: pass, fail, a number, or that it could not be judged, each with a reason."""
    names = list(dict.fromkeys(name for context in box.contexts for name in context.scores))
    return [badge(name, box.scores(name)) for name in names]


def badge(name: str, found: Sequence[ShownScore]) -> dict[str, str]:
    """One score of one or several runs as words."""
    values = [one.value for one in found if one.value is not None]
    reason = next((text for one in found if (text := one.reason or one.error)), "")
    shown = {"name": _words(name), "reason": cut(reason, 300)}
    if not values:
        return {**shown, "state": "unknown", "text": f"{_words(name)} ?"}
    mean = sum(values) / len(values)
    if set(values) <= {0.0, 1.0} and not any(one.graded for one in found):
        state = "pass" if mean == 1 else "fail" if mean == 0 else "mixed"
        sign = {"pass": "\u2713", "fail": "\u2715", "mixed": f"{sum(values):.0f} of {len(values)}"}[state]
        return {**shown, "state": state, "text": f"{sign} {_words(name)}"}
    return {**shown, "state": "value", "text": f"{_words(name)} {mean:.2f}"}
