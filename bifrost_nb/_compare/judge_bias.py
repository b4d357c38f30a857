"""What a judge prefers apart from quality: the first answer, the longer one, those of its own family.

Each figure is in points, the share that the preferred side won minus the share that it lost, with an interval over
*inputs*: the pairs of one input are not independent. Position and family are means of such inputs and have the
intervals of means; length is a slope and has a bootstrap, whose percentiles are taken further out as those of means
are. Where nearly all inputs show the same, two more are drawn from, one with the whole leaning and one with the
opposite: without them a judge that never flipped on 20 inputs, or always did, would have an interval without width.
``tests/compare/test_judge_pairs.py`` holds them to planted preferences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .same_questions import question_of

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
    inputs = asked["input_id"].map(question_of).to_numpy()
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
    """The mean over inputs of what their pairs show, from -1 to 1, in points."""
    import numpy as np

    from .._statistics.intervals import mean_interval, score_interval

    if not len(values):
        return None
    sums = _sums(np.column_stack([values, np.ones(len(values))]), inputs)
    sample = sums[:, 0] / sums[:, 1]
    low, high = np.nan, np.nan
    if len(sample) >= FEWEST_INPUTS:
        if np.isin(sample, (-1.0, 0.0, 1.0)).all():
            low, high = mean_interval(sample, 0.95, seed, span=1.0)
        else:
            low, high = score_interval(sample, 0.95, seed, (-1.0, 1.0))
    return 100 * float(sample.mean()), 100 * low, 100 * high, len(values)


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
    low, high = _slope_interval(_sums(wide, inputs).reshape(-1, len(names), 5), slope, estimate, seed)
    return 100 * estimate, 100 * low, 100 * high, len(longer)


def _slope_interval(parts: npt.NDArray[np.float64], slope: Any, estimate: float, seed: int) -> tuple[float, float]:
    """The bootstrap of inputs (inputs x pairs of variants x sums); where few differ two more are drawn from."""
    import numpy as np

    from .._statistics.intervals import FEW
    from .._statistics.resampling import expanded_tail

    count = len(parts)
    if count < FEWEST_INPUTS:
        return np.nan, np.nan
    tell = parts[..., 4].sum(axis=1) > 0
    won = parts[tell, :, 3].sum(axis=1) / parts[tell, :, 4].sum(axis=1)
    _, alike = np.unique(won.round(9), return_counts=True)
    if len(won) - alike.max() < FEW:
        more = np.zeros((2, *parts.shape[1:]))  # as often longer as shorter, and the longer one always wins, or never
        more[:, :, [0, 3, 4]] = parts[..., 0].mean(axis=0)[:, None]
        more[1, :, 3] *= -1
        parts = np.concatenate([parts, more])
    sums = parts.reshape(len(parts), -1)
    weights = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    tail = expanded_tail(_told_by(parts[:count], count), 0.95)
    low, high = np.nanquantile(slope(weights @ sums), [tail, 1 - tail])
    return min(float(low), estimate), max(float(high), estimate)


def _told_by(parts: npt.NDArray[np.float64], count: int) -> int:
    """Of how many inputs a mean would be known as well: where one variant is mostly the longer one, the interval hangs
    on the few inputs where it is not (Welch's degrees of freedom, for equal variances)."""
    import numpy as np

    lean = np.sign(parts[..., 1].sum(axis=1))
    sizes = [max(2, int((lean == side).sum())) for side in (1, -1)]
    freedom = sum(1 / size for size in sizes) ** 2 / sum(1 / (size**2 * (size - 1)) for size in sizes)
    return min(count, round(freedom) + 1)


def _sums(rows: npt.NDArray[np.float64], inputs: Any) -> npt.NDArray[np.float64]:
    """The rows added up by input."""
    import numpy as np

    names, place = np.unique(inputs.astype(str), return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, place, rows)
    return sums
