"""How far two judges agree: a scorer with people, a model's choices between pairs with votes.

Kappa is Cohen's (1960): the agreement beyond what the two would have by chance, given how often each says what. Its
interval is a bootstrap over *inputs*, whose answers are not independent, with the percentiles taken further out as for
means, and with one input more. For the lower end the two agree on it as chance has it: without it two that agreed on
all of 20 would have an interval of width 0. For the upper end they agree on the value that tells most, the rare one:
where one of two is said in 5 or 10 of 100, a sample may not hold a single answer of which both say so, and without it
an interval of 95 % held a kappa of 0 to 0.8 in 42 to 96 of 100 at 20 to 100 inputs (where one judge says the same of
all, it was from 0 to 0.01). Where they never disagreed, it reaches down to what so many inputs without a mistake leave
possible (Clopper and Pearson's limit). By simulation (200 trials, two values of which one is said in 5 to 50 of 100,
kappa 0 to 0.8, 20 to 100 inputs) it covers 94 to 100 %, and 99 to 100 % of a kappa of 0.95; plain percentiles covered
79 to 95 % and 35 to 63 %. ``tests/compare/test_agreement.py`` holds it to planted truths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from .._display.table import Table
from .._numbers import whole_number
from .._safe_text import plain, quoted
from ..errors import ConfigurationError
from .same_questions import question_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

__all__ = ["Agreement", "agreement", "pair_agreement"]

Weights = Literal["linear", "quadratic"]
RESAMPLES = 1999
FEWEST = 6
"""Below this many inputs there is no interval."""
MOST_VALUES = 12
"""More different values than this are a measurement and no judgement; they need a threshold."""
_THUMBS = {"up": 1.0, "down": 0.0}
_VOTES = {"win", "loss", "tie"}
_WORDS = ((0.0, "none"), (0.2, "slight"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial"),
          (1.01, "almost perfect"))  # fmt: skip
"""Landis and Koch (1977), who call the bounds arbitrary themselves."""


class Agreement:
    """Two columns of judgements, `first` and `second`, compared. Shows itself as a card.

    `n` answers (or pairs: `unit` says which) were judged by both, `share` of them alike. `kappa` has the interval `low`
    to `high` (95 %); it is NaN where one value is all that either said, and the interval where there are fewer than six
    inputs. `confusion` counts what the first (rows) and the second (columns) said; `disagreements` are the rows to
    read. `left_out` counts, by reason, what could not be compared.
    """

    def __init__(self, first: str, second: str, table: pd.DataFrame, inputs: Sequence[Any], order: list[Any],
                 disagreements: pd.DataFrame, left_out: dict[str, int], *, unit: str, weights: Weights | None,
                 seed: int) -> None:  # fmt: skip
        import pandas as pd

        self.first, self.second, self.unit, self.left_out = first, second, unit, left_out
        self.disagreements = disagreements
        self.n = len(table)
        self.confusion = pd.crosstab(table["first"], table["second"]).reindex(index=order, columns=order, fill_value=0)
        self.confusion.index.name, self.confusion.columns.name = first, second
        self.share = float((table["first"] == table["second"]).mean()) if self.n else float("nan")
        counts = _counts(table, [question_of(str(one)) for one in inputs], order)
        self.kappa = float(_kappa(counts.sum(axis=0), len(order), weights))
        self.low, self.high = _interval(counts, len(order), weights, seed, self.kappa)

    @property
    def verdict(self) -> str:
        """One or two sentences for people."""
        if not self.n:
            return f"Nothing was judged both by {self.first} and by {self.second}."
        same = round(self.share * self.n)
        said = f"{self.first} and {self.second} agree on {same:,} of {self.n:,} {self.unit} ({self._percent})"
        if self.kappa != self.kappa:
            return f"{said}. Kappa says nothing here: one value is all that was said."
        if self.low != self.low:
            return f"{said}; kappa = {self.kappa:.2f}. Too few inputs for an interval."
        # By simulation the word of the estimate alone is that of the truth in 32 to 55 of 100, kappa 0.3 to 0.7.
        words = " to ".join(dict.fromkeys(map(_word, (self.low, self.high))))
        low, high = (round(value, 2) + 0.0 for value in (self.low, self.high))  # + 0.0: no "-0.00"
        interval = f"95% interval {low:.2f} to {high:.2f}"
        said += f". Beyond chance, agreement is {words}: kappa = {self.kappa:.2f} ({interval})."
        if self.high < 0:
            return f"{said} They agree less often than by chance: one may mean by a value what the other denies."
        if self.low <= 0:
            return f"{said} They may agree no better than by chance."
        return said

    @property
    def _percent(self) -> str:
        """The share, which is 0% or 100% only where it is."""
        return f"{self.share:.0%}" if self.share in (0, 1) or 0.005 < self.share < 0.995 else f"{self.share:.2%}"

    def __repr__(self) -> str:
        return "\n\n".join([self.verdict + self._missing(), *([repr(self._table())] if self.n else [])])

    def _repr_html_(self) -> str:
        from .._display.html import RULE, text

        box = f"border:1px solid {RULE};border-radius:6px;padding:8px 12px;max-width:760px"
        big = "font-size:150%;font-weight:600"
        kappa = "–" if self.kappa != self.kappa else f"{self.kappa:.2f}"
        share = "–" if self.share != self.share else self._percent
        figures = "".join(
            f'<div style="margin-right:28px"><div style="{big}">{text(value)}</div><div>{text(name)}</div></div>'
            for value, name in ((share, "agree"), (kappa, "kappa"), (f"{self.n:,}", f"{self.unit} judged by both"))
        )
        return (
            f'<div style="{box}"><div><b>{text(self.first)}</b> against <b>{text(self.second)}</b></div>'
            f'<div style="display:flex;flex-wrap:wrap;margin:6px 0">{figures}</div>{self._bar()}'
            f"<div>{text(self.verdict)}{text(self._missing())}</div>"
            f"{self._counted()}{self._to_read()}</div>"
        )

    def _counted(self) -> str:
        return f'<div style="margin:8px 0">{self._table()._repr_html_()}</div>' if self.n else ""

    def _bar(self) -> str:
        """Kappa's interval on the line from 0 to 1, with colours that show on light and on dark ground."""
        from .._display.html import BLUE, RULE

        if self.low != self.low:
            return ""
        left, right, at = (100 * min(1.0, max(0.0, value)) for value in (self.low, self.high, self.kappa))
        line = "position:absolute;top:5px;height:4px;border-radius:2px"
        return (
            '<div style="display:flex;align-items:center;max-width:380px;margin:4px 0">'
            '<span aria-hidden="true">0</span>'
            '<div style="position:relative;height:14px;flex:1;margin:0 8px" role="img"'
            f' aria-label="kappa from {self.low:.2f} to {self.high:.2f}, on a line from 0 to 1">'
            f'<div style="{line};left:0;width:100%;background:{RULE}"></div>'
            f'<div style="{line};left:{left:.1f}%;width:{max(1.0, right - left):.1f}%;background:{BLUE}"></div>'
            f'<div style="position:absolute;top:1px;left:calc({at:.1f}% - 6px);width:12px;height:12px;'
            'border-radius:6px;background:#D55E00"></div></div><span aria-hidden="true">1</span></div>'
        )

    def _table(self) -> Table:
        corner = f"{self.first} ↓  {self.second} →"
        columns = [_shown(value) for value in self.confusion.columns]
        rows = [
            {corner: _shown(value), **dict(zip(columns, map(int, counts), strict=True))}
            for value, counts in zip(self.confusion.index, self.confusion.to_numpy(), strict=True)
        ]
        return Table([corner, *columns], rows)

    def _to_read(self) -> str:
        from .._display.html import text

        found = self.disagreements
        if found.empty:
            return ""
        texts = [name for name in ("prompt", "response", "response_a", "response_b") if name in found]
        said = [name for name in (self.first, self.second, "first", "second") if name in found]
        columns = [*texts, *dict.fromkeys(said)]
        rows = [
            {
                name: None if _missing(value) else plain(_shown(value), 160)
                for name, value in zip(columns, row, strict=True)
            }
            for row in found[columns].head(5).astype("object").itertuples(index=False, name=None)
        ]
        more = f"{len(found):,} disagreements; .disagreements has all of them" if len(found) > 5 else "Disagreements"
        return f"<details><summary>{text(more)}</summary>{Table(columns, rows)._repr_html_()}</details>"

    def _missing(self) -> str:
        if not self.left_out:
            return ""
        return " Left out: " + ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items()) + "."


def agreement(
    frame: pd.DataFrame,
    first: str,
    second: str,
    *,
    threshold: float | None = None,
    weights: Weights | None = None,
    seed: int = 0,
) -> Agreement:
    """How far two columns of a comparison's frame agree; see `Comparison.agreement`."""
    for name in (first, second):
        if name not in frame:
            raise ConfigurationError(
                f"The frame has no column {name!r}.",
                hint="Scores are there after comparison.score(...), votes and thumbs as 'rating'.",
            )
    if weights not in (None, "linear", "quadratic"):
        raise ConfigurationError(f"weights must be None, 'linear' or 'quadratic', not {quoted(weights)}.")
    for vote, other in ((second, first), (first, second)):
        if vote == "rating" and _is_vote(frame["rating"]):
            return _scores_against_votes(frame, other, first, second, seed)
    both = frame[frame[first].notna() & frame[second].notna()]
    left_out = {"judged by one alone": int((frame[first].notna() ^ frame[second].notna()).sum())}
    values = {name: _categories(name, both[name], threshold) for name in (first, second)}
    if _mixed(values[first]) != _mixed(values[second]):
        values = {name: column.map(str) for name, column in values.items()}
    import pandas as pd

    table = pd.DataFrame({"first": values[first].to_numpy(), "second": values[second].to_numpy()})
    order = sorted(set(table["first"]) | set(table["second"]), key=lambda one: (isinstance(one, str), one))
    if weights is not None and any(isinstance(one, str) for one in order):
        raise ConfigurationError("weights need values that are numbers; texts have no distance.")
    differs = (table["first"] != table["second"]).to_numpy()
    inputs = both[_input_column(both)].fillna("").tolist()
    return Agreement(
        first, second, table, inputs, order, _rows_to_read(both[differs], first, second),
        {reason: count for reason, count in left_out.items() if count}, unit="answers", weights=weights, seed=seed,
    )  # fmt: skip


def pair_agreement(judged: pd.DataFrame, votes: pd.DataFrame, texts: dict[str, Any], *, seed: int = 0) -> Agreement:
    """How far two frames of pairs (``run_a``, ``run_b``, ``winner``) agree; the rows of one may have a and b swapped.

    `texts` maps a run's id to the run. Pairs that only one of the two holds are left out and counted.
    """
    mine, theirs = (_by_runs(frame) for frame in (judged, votes))
    common = [pair for pair in mine if pair in theirs]
    rows = [(mine[pair][0], theirs[pair][0], mine[pair][1]) for pair in common]
    left_out = {"pairs judged by one alone": len(mine) + len(theirs) - 2 * len(common)}
    return _of_pairs("judge", "votes", common, rows, texts, left_out, seed)


def _scores_against_votes(frame: pd.DataFrame, score: str, first: str, second: str, seed: int) -> Agreement:
    """A vote says which of two answers is better; so does a score, by being higher."""
    rated = frame[frame["rating"].isin(list(_VOTES))]
    pairs: list[tuple[str, str]] = []
    rows: list[tuple[str, str, Any]] = []
    alone = unknown = 0
    for prompt, some in rated.groupby(_input_column(rated), dropna=False, sort=False):
        ratings = some["rating"].tolist()
        if sorted(ratings) not in (["loss", "win"], ["tie", "tie"]):
            alone += len(some)  # of three variants an answer was on several ballots, and its last vote alone is known
            continue
        a, b = some[score].astype("Float64").tolist()
        if _missing(a) or _missing(b):
            unknown += 1
            continue
        scored = "tie" if a == b else "first" if a > b else "second"
        voted = {"win": "first", "loss": "second", "tie": "tie"}[ratings[0]]
        pairs.append((some["run_id"].iloc[0], some["run_id"].iloc[1]))
        rows.append((scored, voted, prompt) if first == score else (voted, scored, prompt))
    texts: dict[str, Any] = {str(row.run_id): row for row in rated.itertuples(index=False)}
    left_out = {"answers whose pair is not known (take comparison.agreement(judgement, vote))": alone,
                "pairs without both scores": unknown}  # fmt: skip
    return _of_pairs(first, second, pairs, rows, texts, left_out, seed)


def _of_pairs(
    first: str, second: str, pairs: list[tuple[str, str]], rows: list[tuple[str, str, Any]], texts: dict[str, Any],
    left_out: dict[str, int], seed: int,
) -> Agreement:  # fmt: skip
    import pandas as pd

    table = pd.DataFrame([row[:2] for row in rows], columns=["first", "second"], dtype="object")
    order = [value for value in ("first", "tie", "second") if value in set(table["first"]) | set(table["second"])]
    read = [
        {"prompt": getattr(texts.get(a), "prompt", None), "response_a": getattr(texts.get(a), "response", None),
         "response_b": getattr(texts.get(b), "response", None), "first": said, "second": other, "run_a": a, "run_b": b}
        for (a, b), (said, other, _) in zip(pairs, rows, strict=True) if said != other
    ]  # fmt: skip
    columns = ["prompt", "response_a", "response_b", "first", "second", "run_a", "run_b"]
    frame = pd.DataFrame(read, columns=columns).astype("string").rename(columns={"first": first, "second": second})
    return Agreement(
        first, second, table, [row[2] for row in rows], order, frame,
        {reason: count for reason, count in left_out.items() if count}, unit="pairs", weights=None, seed=seed,
    )  # fmt: skip


def _by_runs(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[str, Any]]:
    """(run, run) in the order of their ids -> (who won of these two, input); later rows win."""
    if missing := {"run_a", "run_b", "winner"} - set(frame.columns):
        raise ConfigurationError(f"These pairs have no column {sorted(missing)[0]!r}.")
    found: dict[tuple[str, str], tuple[str, Any]] = {}
    inputs = frame[_input_column(frame)] if "prompt_id" in frame else frame["run_a"]
    for a, b, winner, prompt in zip(frame["run_a"], frame["run_b"], frame["winner"], inputs, strict=True):
        if _missing(winner):
            continue
        first, second = ("second", "first") if str(a) > str(b) else ("first", "second")
        low, high = sorted((str(a), str(b)))
        found[low, high] = {"tie": "tie", "model_a": first, "model_b": second}[str(winner)], prompt
    return found


def _input_column(frame: pd.DataFrame) -> str:
    """What answers to the same question share, also of two templates where the frame says so."""
    return "input_id" if "input_id" in frame else "prompt_id"


def _is_vote(ratings: pd.Series[Any]) -> bool:
    known = set(ratings.dropna())
    return bool(known) and known <= _VOTES


def _categories(name: str, column: pd.Series[Any], threshold: float | None) -> pd.Series[Any]:
    """Judgements as values that can be equal: numbers as they are or by a threshold, thumbs as 1 and 0, texts."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        numbers = column.astype("float64")
        if threshold is not None and not set(numbers) <= {0.0, 1.0}:
            return (numbers >= threshold).astype("float64")
        if numbers.nunique() > MOST_VALUES:
            raise ConfigurationError(
                f"{name} has {numbers.nunique():,} different values: no two judges would hit the same ones.",
                hint="Pass threshold=: from there on it counts as 1, below as 0.",
            )
        return numbers
    texts = column.astype(str)
    if set(texts) & _THUMBS.keys() and not set(texts) - _THUMBS.keys():
        return texts.map(_THUMBS).astype("float64")
    if set(texts) & _VOTES and set(texts) & _THUMBS.keys():
        raise ConfigurationError(
            f"{name} holds thumbs and votes, which say different things.",
            hint="For votes take comparison.agreement(judgement, vote).",
        )
    return texts


def _mixed(column: pd.Series[Any]) -> bool:
    return column.dtype == "float64"


def _rows_to_read(rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The rows with what matters first; every other column of the frame follows."""
    lead = ["variant", "prompt", "response", first, f"{first}_reason", second, f"{second}_reason"]
    order = [name for name in lead if name in rows]
    order += [str(name) for name in rows if name not in order and str(name).startswith("input_")]
    return rows[[*order, *(str(name) for name in rows if name not in order)]].reset_index(drop=True)


def _counts(table: pd.DataFrame, inputs: Sequence[Any], order: Sequence[Any]) -> npt.NDArray[np.float64]:
    """One row per input: its confusion table, flat."""
    import numpy as np

    size = max(1, len(order))
    place = {value: number for number, value in enumerate(order)}
    rows = {name: number for number, name in enumerate(dict.fromkeys(inputs))}
    counts = np.zeros((len(rows), size * size))
    for name, said, other in zip(inputs, table["first"], table["second"], strict=True):
        counts[rows[name], place[said] * size + place[other]] += 1
    return counts


def _kappa(flat: npt.NDArray[np.float64], size: int, weights: Weights | None) -> npt.NDArray[np.float64]:
    """Cohen's kappa of flat confusion tables (any number of them); NaN where chance alone would agree on all."""
    import numpy as np

    size = max(1, size)
    tables = flat.reshape(*flat.shape[:-1], size, size)
    total = tables.sum(axis=(-2, -1), keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = tables / total
        chance = shares.sum(axis=-1, keepdims=True) * shares.sum(axis=-2, keepdims=True)
        far = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype("float64")
        loss = far**2 if weights == "quadratic" else far if weights == "linear" else (far > 0).astype("float64")
        expected = (loss * chance).sum(axis=(-2, -1))
        found: npt.NDArray[np.float64] = 1 - (loss * shares).sum(axis=(-2, -1)) / expected
        return np.where(expected > 1e-12, found, np.nan)


def _interval(
    counts: npt.NDArray[np.float64], size: int, weights: Weights | None, seed: int, kappa: float
) -> tuple[float, float]:
    import numpy as np

    from .._statistics.resampling import expanded_tail

    inputs = len(counts)
    if inputs < FEWEST or kappa != kappa:
        return float("nan"), float("nan")
    size = max(1, size)
    total = counts.sum(axis=0)
    table = total.reshape(size, size)
    each = total.sum() / inputs  # judgements of an input
    rows, columns = ((table.sum(axis=axis) + each) / (total.sum() + size * each) for axis in (1, 0))
    alike = each * np.eye(size * size)[:: size + 1]
    draws = np.random.default_rng(whole_number("seed", seed, least=0)).multinomial(
        inputs, np.full(inputs + 1, 1 / (inputs + 1)), size=RESAMPLES
    )
    seen, times = draws[:, :-1] @ counts, draws[:, -1:]

    def end(one_more: npt.NDArray[np.float64], tail: float) -> float:
        kappas = _kappa(seen + times * one_more, size, weights)
        known = kappas[~np.isnan(kappas)]
        return float(np.quantile(known, tail)) if len(known) >= RESAMPLES / 2 else float("nan")

    tail = expanded_tail(inputs, 0.95)
    low = end(each * np.outer(rows, columns).ravel(), tail)
    high = end(alike[np.argmax(_kappa(total + alike, size, weights))], 1 - tail)
    if low != low or high != high:
        return float("nan"), float("nan")
    if float(np.trace(table)) > (1 - 1e-12) * float(total.sum()):  # no resample has more disagreement than the padding
        by_chance = 1 - float(np.sum(np.diag(np.outer(rows, columns))))
        low = min(low, 1 - (1 - 0.025 ** (1 / inputs)) / by_chance)  # the most that n inputs without one leave possible
    return min(low, kappa), max(high, kappa)


def _word(kappa: float) -> str:
    return next(word for bound, word in _WORDS if kappa <= bound)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
