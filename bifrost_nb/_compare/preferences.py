"""What a judge prefers apart from quality: the first answer, the longer one, those of its own family.

Each figure is in points, the share that the preferred side won minus the share that it lost, with a bootstrap interval
over *inputs*: the pairs of one input are not independent. Its percentiles are taken further out, as those of means are.
``tests/compare/test_judge_pairs.py`` holds them to planted preferences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

__all__ = ["COLUMNS", "family", "preferences"]

COLUMNS = ("preference", "points", "low", "high", "n", "meaning")
RESAMPLES = 1999
FEWEST_INPUTS = 6
"""Below this many inputs with pairs that can tell there is no interval."""
_FAMILIES = {  # beginnings of model names, as their makers give them -> the maker
    "openai": ("gpt", "chatgpt", "o1", "o3", "o4", "text-davinci", "davinci"),
    "anthropic": ("claude",),
    "google": ("gemini", "gemma", "palm"),
    "meta": ("llama", "meta-llama"),
    "mistral": ("mistral", "mixtral", "codestral", "ministral", "magistral", "pixtral"),
    "cohere": ("command",),
    "qwen": ("qwen", "qwq"),
    "deepseek": ("deepseek",),
    "xai": ("grok",),
    "amazon": ("nova", "titan"),
}
_PROVIDERS = {"openai": "openai", "azure": "openai", "anthropic": "anthropic", "gemini": "google", "cohere": "cohere"}


def family(deployment: str | None) -> str | None:
    """Who made the model: by its name, else by a provider that serves its own models; None where neither tells.

    ``azure/gpt-4o`` and ``openai/o3`` are of one family. A deployment on Azure may be called anything; there the
    provider counts (read, not measured: Azure serves other makers' models as well).
    """
    if not deployment:
        return None
    provider, _, model = deployment.partition("/")
    names = [part for part in re.split(r"[/:.]", (model or provider).lower()) if part]
    for maker, beginnings in _FAMILIES.items():
        if any(name == one or name.startswith((f"{one}-", one) if len(one) > 2 else f"{one}-")
               for name in names for one in beginnings):  # fmt: skip
            return maker
    return _PROVIDERS.get(provider.lower())


def preferences(
    pairs: pd.DataFrame, judge: str | None, served: Mapping[str, str | None], seed: int = 0
) -> pd.DataFrame:
    """One row for each of ``position``, ``length`` and ``own family``.

    `pairs` has ``input_id``, ``model_a``, ``model_b``, ``winner``, ``first_ab`` and ``first_ba`` (1: the first answer
    was preferred, -1: the second, 0: neither, NA: not asked) and ``longer`` (1: a's answer is longer, -1: b's, 0).
    `served` says which model each name stands for.
    """
    import numpy as np
    import pandas as pd

    asked = pairs[pairs["first_ab"].notna() & pairs["first_ba"].notna() & pairs["winner"].notna()]
    outcome = asked["winner"].map({"model_a": 1.0, "model_b": -1.0, "tie": 0.0}).to_numpy("float64")
    inputs = asked["input_id"].to_numpy()
    pair = (asked["model_a"].astype(str) + "\0" + asked["model_b"].astype(str)).to_numpy()
    first = (asked["first_ab"].to_numpy("float64") + asked["first_ba"].to_numpy("float64")) / 2
    longer = asked["longer"].to_numpy("float64")
    own = family(judge)
    mine = {name: own is not None and family(model or name) == own for name, model in served.items()}
    side = np.array([float(mine.get(a, False)) - float(mine.get(b, False))
                     for a, b in zip(asked["model_a"], asked["model_b"], strict=True)])  # fmt: skip
    rows = [
        _row("position", "first answer", _mean(first, inputs, seed)),
        _row("length", "longer answer", _slope(longer, outcome, pair, inputs, seed)),
        _row("own family", "own family", _mean((outcome * side)[side != 0], inputs[side != 0], seed)),
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({**dict.fromkeys(("points", "low", "high"), "Float64"), "n": "Int64",
                         "preference": "string", "meaning": "string"})  # fmt: skip


def _row(name: str, liked: str, found: tuple[float, float, float, int] | None) -> dict[str, Any]:
    if found is None:
        none = "there are no such pairs" if name == "own family" else "no pairs that can tell"
        return {"preference": name, "points": None, "low": None, "high": None, "n": 0, "meaning": none}
    points, low, high, n = found
    if low != low:
        meaning = "too few inputs to tell"
    elif low > 0:
        meaning = f"prefers the {liked}"
    elif high < 0:
        meaning = {"position": "prefers the second answer", "length": "prefers the shorter answer"}.get(
            name, "prefers other families"
        )
    else:
        meaning = "none can be seen"
    if name == "own family" and meaning.startswith("prefers"):
        meaning += " (or those answers differ in quality: compare with votes of people)"
    known = {"low": low, "high": high} if low == low else {"low": None, "high": None}
    return {"preference": name, "points": points, **known, "n": n, "meaning": meaning}


def _mean(values: npt.NDArray[np.float64], inputs: Any, seed: int) -> tuple[float, float, float, int] | None:
    import numpy as np

    if not len(values):
        return None
    sums = _sums(np.column_stack([values, np.ones(len(values))]), inputs)
    low, high = _interval(sums, lambda totals: totals[..., 0] / totals[..., 1], seed)
    return 100 * float(values.mean()), low, high, len(values)


def _slope(
    longer: npt.NDArray[Any], outcome: npt.NDArray[Any], pair: Any, inputs: Any, seed: int
) -> tuple[float, float, float, int] | None:
    """How far being the longer one moves the outcome among the answers of the *same* two variants.

    Over all pairs together a better variant that also writes more would look like a liking for length.
    """
    import numpy as np

    names, place = np.unique(pair, return_inverse=True)
    parts = np.column_stack([np.ones(len(longer)), longer, outcome, longer * outcome, longer**2])
    wide = np.zeros((len(longer), len(names) * 5))
    for column in range(5):
        wide[np.arange(len(longer)), place * 5 + column] = parts[:, column]

    def slope(totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        n, x, y, xy, xx = np.moveaxis(totals.reshape(*totals.shape[:-1], len(names), 5), -1, 0)
        n = np.maximum(n, 1)
        spread = (xx - x * x / n).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 1e-9, (xy - x * y / n).sum(axis=-1) / spread, np.nan)

    if not len(longer):
        return None
    estimate = float(slope(wide.sum(axis=0)))
    if estimate != estimate:
        return None
    low, high = _interval(_sums(wide, inputs), slope, seed)
    return 100 * estimate, low, high, len(longer)


def _sums(rows: npt.NDArray[np.float64], inputs: Any) -> npt.NDArray[np.float64]:
    """The rows added up by input."""
    import numpy as np

    names, place = np.unique(inputs.astype(str), return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, place, rows)
    return sums


def _interval(sums: npt.NDArray[np.float64], statistic: Any, seed: int) -> tuple[float, float]:
    import numpy as np

    from .._statistics.intervals import expanded_tail

    count = len(sums)
    if count < FEWEST_INPUTS:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    tail = expanded_tail(count, 0.95)
    low, high = np.nanquantile(100 * statistic(weights @ sums), [tail, 1 - tail])
    return float(low), float(high)
