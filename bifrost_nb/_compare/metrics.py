"""What a metric is: which statistic stands for it, what is better, and how large a difference matters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Statistic",
    "checked_statistic",
    "default_margin",
    "higher_is_better",
    "is_score",
    "is_time",
    "score_columns",
]

Statistic = Literal["mean", "median", "p95"]
_SCORE = re.compile(r"score(_\w+)?\Z")
_NOT_SCORE = re.compile(r"_(reason|error|label)\Z")


def is_score(metric: str) -> bool:
    """True for ``score`` and ``score_<name>``, and for ``valid`` (whether an answer fits its schema)."""
    return metric == "valid" or (_SCORE.match(metric) is not None and _NOT_SCORE.search(metric) is None)


def is_time(metric: str) -> bool:
    """True for times and speeds, which belong to the hour in which they were measured."""
    return metric.endswith("_ms") or metric == "tokens_per_s"


def score_columns(frame: pd.DataFrame) -> list[str]:
    """The frame's columns of scores, in order."""
    return [str(name) for name in frame.columns if _is_numeric_score(frame, str(name))]


def _is_numeric_score(frame: pd.DataFrame, name: str) -> bool:
    return is_score(name) and frame[name].dtype.kind in "iufb"


def _default_statistic(metric: str) -> Statistic:
    """The median for times and speeds, whose tails say little of a deployment; the mean for all else: it adds up."""
    return "median" if is_time(metric) else "mean"


def default_margin(metric: str) -> float:
    """The smallest difference that matters: 0.02 of a score, else 10 % of the other's figure."""
    return 0.02 if is_score(metric) else 0.10


def higher_is_better(metric: str) -> bool:
    """True for scores and speeds; of times, money and tokens less is better."""
    return metric == "tokens_per_s" or is_score(metric)


def checked_statistic(metric: str, statistic: Any) -> Statistic:
    """`statistic`, or the metric's own. Raises ConfigurationError."""
    if statistic is None:
        return _default_statistic(metric)
    if statistic not in ("mean", "median", "p95"):
        raise ConfigurationError(f"statistic must be 'mean', 'median' or 'p95', not {statistic!r}.")
    return statistic  # type: ignore[no-any-return]
