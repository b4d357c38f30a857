"""What a metric is: which statistic stands for it, what is better, and how large a difference matters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from .._safe_text import plain, quoted, type_with_article
from .._suggest import did_you_mean
from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Statistic",
    "checked_options",
    "checked_statistic",
    "default_margin",
    "higher_is_better",
    "is_score",
    "is_time",
    "score_columns",
    "unknown_metric",
]

Statistic = Literal["mean", "median", "p95"]
_SCORE = re.compile(r"score(_\w+)?\Z")
_FIGURES = (
    *("total_ms", "ttft_ms", "tokens_per_s", "cost_usd", "prompt_tokens", "completion_tokens", "total_tokens"),
    *("reasoning_tokens", "gap_p50_ms", "gap_max_ms", "latency_ms", "queue_ms", "valid"),
)
"""What is mostly asked for."""
_NOT_SCORE = re.compile(r"_(reason|error|label)\Z")


def is_score(metric: str) -> bool:
    """True for ``score`` and ``score_<name>``, and for ``valid`` (whether an answer fits its schema)."""
    return metric == "valid" or (_SCORE.match(metric) is not None and _NOT_SCORE.search(metric) is None)


def unknown_metric(metric: object, frame: pd.DataFrame, what: str = "metric") -> ConfigurationError:
    """The error about a `metric` that `frame` does not have: nothing was scored, or the names it has."""
    shown = repr(metric) if isinstance(metric, str) else type_with_article(metric)
    scores = score_columns(frame)
    if isinstance(metric, str) and metric not in frame and is_score(metric) and not scores:
        return ConfigurationError(
            f"Nothing was scored here, so there is no {shown}.",
            hint="Pass score= to compare, or call comparison.score(...) now.",
        )
    numeric = [str(name) for name in frame.columns if name in _FIGURES and frame[name].dtype.kind in "iufb"]
    if isinstance(metric, str) and metric in frame:
        hint = f"Not all of its values are numbers, they are of type {frame[metric].dtype}."
    elif isinstance(metric, str) and is_score(metric):
        hint = f"Scores are {', '.join(scores)}."
    else:
        near = did_you_mean(metric, [*scores, *map(str, frame.columns)]).strip() if isinstance(metric, str) else ""
        hint = near or f"Known are {', '.join(dict.fromkeys([*scores, *numeric])) or 'none'}."
    return ConfigurationError(f"{plain(shown, 80)} is not a {what} of this frame.", hint=hint)


def checked_options(asked: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises ConfigurationError that names `asked`, the function which the person called, for an unknown option."""
    names = list(known)
    for name in options:
        if name not in names:
            hint = did_you_mean(name, names).strip() or f"It takes {', '.join(names)}."
            raise ConfigurationError(f"{asked} has no option {plain(name, 60)!r}.", hint=hint)


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
        raise ConfigurationError(f"statistic must be 'mean', 'median' or 'p95', not {quoted(statistic)}.")
    return statistic  # type: ignore[no-any-return]
