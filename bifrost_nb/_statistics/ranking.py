"""Votes between pairs to one ranking with intervals: the Bradley-Terry model, fitted by `choix`.

`choix.ep_pairwise` gives the posterior of all strengths, whose spread is the uncertainty. A bootstrap would not do: a
model that won all its three votes wins them in every resample, so its interval would have no width. It visits every
vote many times and whole; beyond `MOST_VOTES` the posterior is so near to normal that its peak and curvature say the
same, and where votes weigh less than one these are taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "WINNERS", "ranking", "strength_text"]

WINNERS = ("model_a", "model_b", "tie")
COLUMNS = ("model", "votes", "wins", "losses", "ties", "strength", "low", "high", "win_chance")
MOST_VOTES = 400
PRIOR_SD = 2.0
"""Before any vote a strength is taken to lie within +-4 (log-odds, 95 %): 98 to 2 is believed, 10,000 to 1 is not."""
DOUBT = 2
"""So many votes on a pair count against its ties, that a few of them do not seem to say that nothing else will come."""


def ranking(votes: pd.DataFrame, models: Sequence[str] = (), confidence: float = 0.95) -> pd.DataFrame:
    """The models from strongest to weakest: the columns of `COLUMNS`.

    `votes` has ``model_a``, ``model_b`` and ``winner``, one of ``model_a``, ``model_b``, ``tie``; other columns are
    ignored, and so are rows whose winner is NA. Where a column ``question`` says that votes on the same two models are
    about one question (repeats, copies of an input), together they weigh as one: asked thirty times, it tells no more
    of others. `models` names further ones that may have no vote yet. `strength` is in log-odds against the mean of all
    models, from `low` to `high` with the probability `confidence`; `win_chance` is the chance to win against a model of
    mean strength. A tie counts as half a win for each. With no more than one model, or no vote, the three are NA.
    Raises ConfigurationError.
    """
    import pandas as pd

    if missing := {"model_a", "model_b", "winner"} - set(votes.columns):
        raise ConfigurationError(f"The votes have no column {sorted(missing)[0]!r}.")
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence must lie between 0 and 1, not {confidence!r}.")
    cast = votes[votes["winner"].notna()].astype("object")
    if wrong := set(cast["winner"]) - set(WINNERS):
        raise ConfigurationError(f"A winner must be one of {', '.join(WINNERS)}, not {sorted(map(str, wrong))[0]!r}.")
    names = list(dict.fromkeys([*models, *cast["model_a"], *cast["model_b"]]))
    counts = {name: {"wins": 0, "losses": 0, "ties": 0} for name in names}
    halves: list[tuple[int, int]] = []  # (winner, loser), two for each vote
    for a, b, winner in cast[["model_a", "model_b", "winner"]].itertuples(index=False):
        if a == b:
            raise ConfigurationError(f"A vote between {a!r} and itself says nothing.")
        first, second = (b, a) if winner == "model_b" else (a, b)
        pair = names.index(first), names.index(second)
        halves += [pair, pair[::-1] if winner == "tie" else pair]
        counts[first]["ties" if winner == "tie" else "wins"] += 1
        counts[second]["ties" if winner == "tie" else "losses"] += 1
    table = pd.DataFrame([{"model": name, "votes": sum(counts[name].values()), **counts[name]} for name in names])
    table = table.reindex(columns=list(COLUMNS))
    weights = _weights(cast.get("question", range(len(cast))), halves)
    for name, values in _strengths(len(names), halves, weights, confidence).items():
        table[name] = pd.array(values, dtype="Float64")
    table = table.astype({"model": "string", **dict.fromkeys(("votes", "wins", "losses", "ties"), "Int64")})
    return table.sort_values("strength", ascending=False, kind="stable", na_position="last").reset_index(drop=True)


def _weights(questions: Iterable[Any], halves: list[tuple[int, int]]) -> list[float]:
    """What each half counts: of votes on one question and pair all together are one."""
    about = [
        (question if isinstance(question, str) else place, frozenset(pair))
        for place, (question, pair) in enumerate(zip(questions, halves[::2], strict=True))
    ]
    alike = Counter(about)
    return [1 / alike[each] for each in about for _ in range(2)]


def _strengths(
    count: int, halves: list[tuple[int, int]], weights: list[float], confidence: float
) -> dict[str, list[float | None]]:
    if count < 2 or not halves:
        return dict.fromkeys(("strength", "low", "high", "win_chance"), [None] * count)
    import numpy as np

    whole = min(weights) == 1
    mean, half = (
        _by_choix(count, halves) if whole and len(halves) <= 2 * MOST_VOTES else _by_peak(count, halves, weights)
    )
    centre, covariance = np.eye(count) - 1 / count, 2 * half
    covariance = covariance - covariance @ _steadier(count, halves, weights, mean) @ covariance
    spread = np.sqrt(np.diag(centre @ covariance @ centre.T).clip(0)) * NormalDist().inv_cdf((1 + confidence) / 2)
    strength = (centre @ mean).round(6)  # what the fit is good for; equal ones stay equal, and keep their order
    return {
        "strength": strength.tolist(),
        "low": (strength - spread).tolist(),
        "high": (strength + spread).tolist(),
        "win_chance": (1 / (1 + np.exp(-strength))).tolist(),
    }


def _by_choix(count: int, halves: list[tuple[int, int]]) -> tuple[Any, Any]:
    import choix
    import numpy as np

    # Each vote is in there as two halves, so that a tie can be one half each way. That squares the likelihood; with
    # the prior squared too (twice the precision) the mean stays, and the covariance is half of what it should be.
    users = np.random.get_state()  # choix visits the votes in an order drawn from numpy's one global generator
    np.random.seed(0)
    try:
        found: tuple[Any, Any] = choix.ep_pairwise(count, halves, 2 / PRIOR_SD**2, model="logit")
        return found
    finally:
        np.random.set_state(users)


def _by_peak(count: int, halves: list[tuple[int, int]], weights: list[float]) -> tuple[Any, Any]:
    """Peak and inverse curvature of the same posterior, by Newton's method on the table of wins."""
    import numpy as np

    wins = np.zeros((count, count))
    np.add.at(wins, tuple(np.array(halves).T), weights)
    played, prior = wins + wins.T, 2 / PRIOR_SD**2
    strength = np.zeros(count)
    for _ in range(50):
        chance = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
        slope = (wins - played * chance).sum(axis=1) - prior * strength
        weight = played * chance * (1 - chance)
        curvature = np.diag(weight.sum(axis=1) + prior) - weight
        step = np.linalg.solve(curvature, slope).clip(-1, 1)  # all votes one way must not throw it far
        strength = strength + step
        if np.abs(step).max() < 1e-10:
            break
    return strength, np.linalg.inv(curvature)


def _steadier(count: int, halves: list[tuple[int, int]], weights: list[float], mean: Any) -> Any:
    """By how much less votes vary than the model takes them to, since some are ties: a quarter of a vote for each.

    The model has wins and losses alone, so that 12 wins, a loss and 27 ties were as unsure as 25 wins and 15 losses.
    By simulation (6 to 100 votes, no to 95 % ties) intervals of 95 % hold the truth in 94 to 100 of 100.
    """
    import numpy as np

    votes, ties = np.zeros((count, count)), np.zeros((count, count))
    for (first, second), again, weight in zip(halves[::2], halves[1::2], weights[::2], strict=True):
        for pair in ((first, second), (second, first)):
            votes[pair] += weight
            ties[pair] += weight * ((first, second) != again)
    chance = 1 / (1 + np.exp(mean[None, :] - mean[:, None]))
    less = np.minimum(ties / 4, votes * chance * (1 - chance)) * votes / (votes + DOUBT)
    return np.diag(less.sum(axis=1)) - less


def strength_text(row: Any) -> str | None:
    """The strength in a row of a `ranking` with its interval, to two digits; None where it is not known."""
    if not isinstance(row.strength, float):
        return None
    # + 0.0: nothing is less than zero by less than that.
    strength, low, high = (f"{round(value, 2) + 0.0:+.2f}" for value in (row.strength, row.low, row.high))
    return f"{strength} ({low} to {high})"
