"""The first section of a report: for each figure who leads, by how much and how sure that is, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from .._compare.metrics import is_score
from .._compare.verdict import amount
from .._display.html import table
from .._safe_text import plain
from ..errors import BifrostError

if TYPE_CHECKING:
    import pandas as pd

    from .._compare.comparison import Comparison
    from .._compare.groups import By
    from .._compare.multiple_comparisons import Best

__all__ = ["INTERVAL_SEED", "scores_of", "verdict_section"]

INTERVAL_SEED = 0
"""Of the bootstrap behind the verdicts."""
ALL_PAIRS = 4
"""Of so many variants all pairs are told; of more those of the leader."""


def verdict_section(comparison: Comparison) -> Iterator[str]:
    """Which is better, by how much, how sure? Nothing of it for a single variant."""
    yield "<h2>Which is better, by how much, how sure?</h2>"
    for metric, words in _metrics(comparison.frame).items():
        yield from _found(comparison, metric, words)


def scores_of(frame: pd.DataFrame) -> list[str]:
    """The columns of `frame` that are scores."""
    named = [name for name in map(str, frame.columns) if name == "score" or name.startswith("score_")]
    return [name for name in named if not name.endswith(("_reason", "_error"))]


def _metrics(frame: pd.DataFrame) -> dict[str, str]:
    """What is compared, and what to call it before somebody who knows no columns."""
    scores = {
        name: "Score" if name == "score" else f"{name.removeprefix('score_')} (a score)" for name in scores_of(frame)
    }
    return {**scores, "total_ms": "Time to the whole answer (total_ms)", "cost_usd": "Cost of 1,000 runs (cost_usd)"}


def _found(comparison: Comparison, metric: str, words: str) -> Iterator[str]:
    """Who leads in `metric`, in one line, then a sentence for each pair; of many variants a row for each beside it."""
    if len(comparison.variants) < 2:
        return
    try:
        best = comparison.best(metric, seed=INTERVAL_SEED)
    except BifrostError as error:
        yield f"<h3>{escape(plain(words))}</h3><p>{escape(plain(error, 300))}</p>"
        return
    yield f"<h3>{escape(plain(words))}</h3><p><strong>{escape(plain(best.verdict))}</strong></p>"
    if len(comparison.variants) > ALL_PAIRS:
        yield from _over_all(comparison, metric)
        yield from _against_the_leader(best)
        return
    ours, others = _pairs(best)
    yield _sentences(ours + others)


def _pairs(best: Best) -> tuple[list[Mapping[Any, Any]], list[Mapping[Any, Any]]]:
    """The leader's pairs, and those of the others."""
    pairs: list[Mapping[Any, Any]] = list(best.differences.to_dict("records"))
    leader = best.names[0] if best.names else None
    ours = [one for one in pairs if leader in (one["a"], one["b"])]
    return ours, [one for one in pairs if one not in ours]


def _sentences(pairs: Sequence[Mapping[Any, Any]]) -> str:
    """A sentence for each pair; what all of them would say in the same words, such as that inputs are too few, once."""
    alike = {one["verdict"].partition(" (")[0] for one in pairs}
    once = ""
    in_brackets = all(one["verdict"].endswith(").") and not _names_both(one) for one in pairs)
    if len(pairs) > 1 and len(alike) == 1 and in_brackets:
        [once] = alike
    lines = (
        one["verdict"] if _names_both(one)
        else f"{one['a']} against {one['b']}: {_rest(one['verdict'], once)}"
        for one in pairs
    )  # fmt: skip
    said = f"<p>{escape(plain(once))}.</p>" if once else ""
    return f'{said}<ul class="verdicts">{"".join(f"<li>{escape(plain(line))}</li>" for line in lines)}</ul>'


def _names_both(pair: Mapping[Any, Any]) -> bool:
    return pair["a"] in pair["verdict"] and pair["b"] in pair["verdict"]


def _rest(verdict: str, once: str) -> str:
    """A verdict without the words that were said once: what stands in its brackets behind them."""
    return f"{verdict.removeprefix(f'{once} (').removesuffix(').')}." if once else verdict


def _over_all(comparison: Comparison, metric: str) -> Iterator[str]:
    """Where prompts and deployments were crossed: the deployments over all prompts, the prompts over all deployments.

    That is what many a reader wants to know, and what most answers speak for.
    """
    templates = len({trial.prompt.template for trial in comparison.plan.trials})
    if templates < 2 or len(comparison.plan.asked) < 2:
        return
    over_all: tuple[tuple[By, str], ...] = (("deployment", "prompts"), ("template", "deployments"))
    for by, over in over_all:
        try:
            best = comparison.best(metric, by=by, seed=INTERVAL_SEED)
        except BifrostError:  # one of them has no figure
            continue
        ours, _ = _pairs(best)
        yield f"<p>Over all {over}: {escape(plain(best.verdict))}</p>"
        if len(ours) == 1:
            yield _sentences(ours)


def _against_the_leader(best: Best) -> Iterator[str]:
    """How far each of many is from the leader, nearest first: figures in columns can be read down, sentences cannot."""
    pairs, others = _pairs(best)
    if not pairs:
        return
    leader, metric = best.names[0], best.metric
    times = 1_000 if metric == "cost_usd" else 1  # as tables, charts and gates tell money
    score = is_score(metric)

    def figure(name: str) -> str:
        value = times * best.figures.get(name, float("nan"))
        return f"{value:.2f}" if score and value == value else amount(value, metric)

    rows: list[tuple[float, list[str]]] = []
    for one in pairs:
        turned = one["a"] == leader  # the differences are a minus b; here each is the other's minus the leader's
        ends = [times * _known(one[name]) for name in ("estimate", "low", "high")]
        estimate, low, high = (0.0 - end for end in (ends[0], ends[2], ends[1])) if turned else ends
        counts = (one["worse"], one["better"]) if turned else (one["better"], one["worse"])
        name = one["b"] if turned else one["a"]
        row = [plain(name, 200), figure(name)]
        row += [amount(estimate, metric), f"{amount(low, metric)} to {amount(high, metric)}"]
        row += [f"{count:,}" for count in (*counts, one["same"])]
        row += [_p_text(_known(one["p_adjusted"])), plain(_outcome(one, leader), 300)]
        rows.append((abs(estimate) if estimate == estimate else float("inf"), row))
    statistic = str(pairs[0]["statistic"])
    first = [plain(leader, 200), figure(leader), *[""] * 6, "shares the best figure" if best.level else "leads"]
    head = ["variant", statistic, "difference", "95% interval", "better on", "worse on", "same on", "p, all pairs"]
    ordered = [first, *(row for _, row in sorted(rows, key=lambda one: one[0]))]
    made = table(ordered, [*head, "verdict"], label=f"Each against {leader}", titles=True, figures=range(1, 8))
    yield f"<p>Each against {escape(plain(leader, 200))}, over inputs:</p>{made}"
    yield (
        f'<p class="count">An interval is that of its own pair. With {len(pairs) + len(others):,} pairs some differ by '
        "chance alone, which p and verdict take into account.</p>"
    )


def _known(value: Any) -> float:
    import pandas as pd

    return float("nan") if pd.isna(value) else float(value)


def _p_text(value: float) -> str:
    return "–" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _outcome(pair: Mapping[Any, Any], leader: str) -> str:
    """The verdict of a pair in a word; why, where it was not compared."""
    if pair["outcome"] == "refused":
        return str(pair["verdict"])
    if pair["outcome"] in ("equal", "unsure"):
        return {"equal": "equal", "unsure": "cannot tell"}[pair["outcome"]]
    return "worse" if pair["winner"] == leader else "better"
