"""What ``by=`` means: who and what a run is of, its variant, deployment, template, input and sweep.

A comparison's frame has these as columns; a frame of the run log has them in its tags, where the comparison put them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import orjson

from .._runs.columns import COLUMNS
from .._safe_text import quoted
from ..errors import ConfigurationError
from .metrics import is_score
from .same_questions import named_apart, question_of
from .same_run import each_once

if TYPE_CHECKING:
    import pandas as pd

    from .plan import Trial

__all__ = [
    *("SEPARATOR", "By", "Labels", "check_by", "check_finite", "chosen", "default_by", "deployments", "inputs"),
    *("inputs_told", "names", "names_of_both", "questions", "runs_frame", "served", "sides", "sweeps", "typed"),
]

By = Literal["variant", "deployment", "template"]
_NEEDED = ("status", "requested_provider", "requested_model", "prompt_id", "tags")
SEPARATOR = " · "
"""Between the deployment's and the template's name in the name of a variant."""
PAUSE_S = 900
"""Runs that tell no sweep were sent together where nothing was sent for no longer than this between them."""
SITTING_S = 3600
"""And no longer than this after the first of them: a job that asks every few minutes asks for days without a pause."""
_MEASURED = {column.name for column in COLUMNS if column.dtype == "Float64" or column.name.endswith("_tokens")}
"""Columns of a run that are numbers; what messages name of them is `metrics._FIGURES`."""
_READ: dict[str, Any] = {
    **dict.fromkeys(("provider", "model", "model_deployment"), "string"),
    **dict.fromkeys(("total_ms", "ttft_ms", "queue_ms", "latency_ms", "tokens_per_s", "cost_usd"), "Float64"),
    "started_at": "datetime64[us, UTC]",
    **dict.fromkeys(("is_fallback", "cache_hit"), "boolean"),
    "repeat": "Int64",
}
"""What figures are made of, beside `_NEEDED`."""
_NO_INPUTS = ("input_cost_usd", "input_id")
"""Columns of a run whose names begin as those of inputs do."""
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
"""True and false as files of text have them."""


class Labels:
    """What the functions below say of each row of a `runs_frame`, each read once for however many comparisons."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self._names: dict[By, pd.Series[Any]] = {}
        self._known: dict[By, list[str]] = {}

    def names(self, by: By) -> pd.Series[Any]:
        """The variant, deployment or template of each row."""
        if by not in self._names:
            self._names[by] = names(self.frame, by)
        return self._names[by]

    def known(self, by: By) -> list[str]:
        """Each name once, in order."""
        if by not in self._known:
            self._known[by] = [str(name) for name in self.names(by).dropna().unique()]
        return self._known[by]

    @functools.cached_property
    def inputs(self) -> pd.Series[Any]:
        return inputs(self.frame)

    @functools.cached_property
    def sweeps(self) -> pd.Series[Any]:
        """Empty where unknown."""
        return sweeps(self.frame).fillna("")

    @functools.cached_property
    def served(self) -> pd.Series[Any]:
        return served(self.frame)

    @functools.cached_property
    def input_columns(self) -> pd.DataFrame:
        """The columns of the inputs, a row for each input."""
        own = [name for name in self.frame.columns if str(name).startswith("input_") and name not in _NO_INPUTS]
        return self.frame[own].assign(input_id=self.inputs).drop_duplicates("input_id")


def check_by(by: object, templates: Sequence[str] | None = None) -> None:
    """Raises ConfigurationError where `by` is no kind, or there are no two `templates` to set beside each other."""
    if not isinstance(by, str) or by not in ("variant", "deployment", "template"):
        raise ConfigurationError(f"by must be 'variant', 'deployment' or 'template', not {quoted(by)}.")
    if by == "template" and templates is not None and len(templates) < 2:
        raise ConfigurationError(
            "There are no two templates.", hint="Pass several: prompt={'short': ..., 'long': ...}."
        )


def runs_frame(given: object, what: str = "frame") -> pd.DataFrame:
    """`given` with an index of its own and a row for each run, if it is a frame of runs. Raises ConfigurationError.

    A run has a row for each name and input that it has in several comparisons, to be paired by.
    """
    import pandas as pd

    if not isinstance(given, pd.DataFrame):
        raise ConfigurationError(
            f"{what} must be a pandas DataFrame of runs, not {type(given).__name__}.",
            hint="Pass comparison.frame, bf.runs() or bf.to_frame(runs).",
        )
    if not given.columns.is_unique:
        twice = given.columns[given.columns.duplicated()][0]
        raise ConfigurationError(f"The {what} has the column {quoted(twice, 60)} twice.", hint="Drop one of them.")
    if missing := [name for name in _NEEDED if name not in given.columns]:
        raise ConfigurationError(
            f"The {what} has no column {missing[0]!r}, so it is no frame of runs.",
            hint="Pass comparison.frame, bf.runs() or bf.to_frame(runs).",
        )
    frame = typed(given.reset_index(drop=True), what)
    return each_once(frame, lambda: [_variants(frame), _templates(frame), inputs_told(frame)])


def typed(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """`frame` with the types that a file of text, such as a CSV, does not keep, and NA for columns it was cut by."""
    import pandas as pd

    cut = {name: dtype for name, dtype in _READ.items() if name not in frame}
    if cut:
        frame = frame.assign(**{name: pd.Series(pd.NA, index=frame.index, dtype=dtype) for name, dtype in cut.items()})
    texts = [name for name in (*_NEEDED, *_READ) if _READ.get(name, "string") == "string"]
    loose = [name for name in texts if not isinstance(frame[name].dtype, pd.StringDtype)]
    frame = frame.astype(dict.fromkeys(loose, "string"))  # NA among objects has no truth
    found: dict[str, pd.Series[Any]] = {}
    for name in ("cache_hit", "is_fallback"):
        if frame[name].dtype.kind != "b":
            found[name] = frame[name].astype("string").str.lower().map(_FLAGS).astype("boolean")
    if not isinstance(frame["started_at"].dtype, pd.DatetimeTZDtype):  # a spreadsheet has no zone: ours is UTC
        times = frame["started_at"] if frame["started_at"].dtype.kind == "M" else frame["started_at"].astype("string")
        found["started_at"] = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
    for name, column in found.items():
        if (unread := frame.loc[column.isna() & frame[name].notna(), name]).size:
            raise ConfigurationError(
                f"The column {name!r} of the {what} has {quoted(unread.iloc[0], 60)}.",
                hint="Pass comparison.frame, bf.runs() or bf.to_frame(runs).",
            )
    frame = frame.assign(**found, **_numbers(frame))
    check_finite(frame, [name for name in map(str, frame.columns) if name in _MEASURED or is_score(name)], what)
    return frame


def check_finite(frame: pd.DataFrame, metrics: Iterable[str], what: str = "frame") -> None:
    """Raises ConfigurationError where one of `metrics` is infinite, of which there is no mean and no interval."""
    import numpy as np

    for name in metrics:
        if frame[name].dtype.kind == "f" and np.isinf(frame[name].to_numpy("float64", na_value=np.nan)).any():
            raise ConfigurationError(
                f"The column {quoted(name, 60)} of the {what} has an infinite value.",
                hint="Put NA where a figure is not known.",
            )


def _numbers(frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """The figures and scores that stand as objects or text, where all of them are numbers or missing."""
    import pandas as pd

    found: dict[str, pd.Series[Any]] = {}
    for name, dtype in frame.dtypes.items():
        if dtype.kind == "O" and (name in _MEASURED or is_score(str(name))):
            numbers = pd.to_numeric(frame[name], errors="coerce").astype("Float64")
            if not (numbers.isna() & frame[name].notna()).any():
                found[str(name)] = numbers
    return found


def names(frame: pd.DataFrame, by: By) -> pd.Series[Any]:
    """The name of each row's variant, deployment or template; NA where unknown."""
    return {"variant": _variants, "deployment": deployments, "template": _templates}[by](frame).rename(by)


def default_by(frame: pd.DataFrame) -> By:
    """``variant`` where there is more than one template, else ``deployment``."""
    return "variant" if _templates(frame).nunique() > 1 else "deployment"


def deployments(frame: pd.DataFrame) -> pd.Series[Any]:
    """Who was asked: the name given in the comparison, else ``provider/model``. NA where unknown."""
    if "deployment" in frame:
        return frame["deployment"].astype("string")
    variants, templates = _variants(frame), _templates(frame)
    both = [
        name.removesuffix(SEPARATOR + template) if isinstance(name, str) and isinstance(template, str) else name
        for name, template in zip(variants, templates, strict=True)
    ]
    return _series(frame, both).rename("deployment")


def inputs(frame: pd.DataFrame) -> pd.Series[Any]:
    """What runs are paired by: the row of inputs; where a run does not tell one, its prompt."""
    told = inputs_told(frame).fillna(frame["prompt_id"].astype("string"))
    return named_apart(frame, told).rename("input_id")


def inputs_told(frame: pd.DataFrame) -> pd.Series[Any]:
    """The row of inputs where the run tells it, else NA."""
    return _tagged(frame, "input_id", "input")


def questions(frame: pd.DataFrame) -> pd.Series[Any]:
    """`inputs`, where those that ask the same are one: what is asked once more is a repeat, and no further sample."""
    return inputs(frame).map(question_of, na_action="ignore")


def sweeps(frame: pd.DataFrame) -> pd.Series[Any]:
    """The pass in which a run was sent, so that only times of one pass are set against each other; NA where unknown.

    Single calls tell none: of them those are of one pass that were sent within an hour, without a long pause.
    """
    told = _tagged(frame, None, "sweep").rename("sweep")
    if "started_at" not in frame:
        return told
    alone = frame.loc[told.isna() & frame["started_at"].notna(), "started_at"].sort_values(kind="stable")
    if alone.empty:
        return told
    return told.fillna(_series(alone.to_frame(), [f"stretch {number}" for number in _stretches(alone)]))


def _stretches(started: pd.Series[Any]) -> Iterator[int]:
    """The number of the sitting in which each was sent, of times in order."""
    number, begun, last = 0, -math.inf, -math.inf
    for at in (started - started.iloc[0]).dt.total_seconds():
        if at - last > PAUSE_S or at - begun > SITTING_S:
            number, begun = number + 1, at
        last = at
        yield number


def served(frame: pd.DataFrame) -> pd.Series[Any]:
    """Who answered, as ``provider/model``; NA where nobody did or the gateway does not tell."""
    return _joined(frame["provider"], frame["model"]).rename("served")


def sides(trials: Sequence[Trial], by: By) -> list[tuple[str, str]]:
    """For each trial the name that `by` says, and what two of them must share beside the input: the variant's rest."""
    if by == "template":
        return [(trial.prompt.template or "", trial.asked.name) for trial in trials]
    if by == "deployment":
        return [(trial.asked.name, trial.prompt.template or "") for trial in trials]
    return [(trial.variant, "") for trial in trials]


def names_of_both(trials: Sequence[Trial], a: str, b: str, by: By | None) -> list[str]:
    """Each trial's variant, deployment or template: of which kind both `a` and `b` are. Raises ConfigurationError."""
    ways: tuple[By, ...] = ("variant", "deployment", "template") if by is None else (by,)
    found = [[name for name, _ in sides(trials, way)] for way in ways]
    for names in found:
        if {a, b} <= set(names):
            return names
    known = list(dict.fromkeys(name for names in found for name in names if name))
    wrong = next((name for name in (a, b) if name not in known), None)
    if wrong is None:
        raise ConfigurationError(
            f"{quoted(a)} and {quoted(b)} are not of one kind: take two variants, deployments or templates."
        )
    raise ConfigurationError(f"{quoted(wrong)} is not in this comparison.", hint=f"It has {', '.join(known)}.")


def chosen(own: Sequence[str], names: Sequence[str] | None, by: By) -> list[bool]:
    """For each name of `own` whether it is one of `names`; all are without. Raises ConfigurationError."""
    if names is None:
        return [True] * len(own)
    known = list(dict.fromkeys(own))
    hint = f"There are {', '.join(known)}."
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"names must be a list of names, not {quoted(names)}.", hint=hint)
    wanted = list(names)
    wrong = [name for name in wanted if name not in known]
    if wrong or not wanted:
        raise ConfigurationError(
            f"{quoted(wrong[0])} is no {by} of this comparison." if wrong else "names is empty.", hint=hint
        )
    return [name in wanted for name in own]


def _variants(frame: pd.DataFrame) -> pd.Series[Any]:
    asked = _joined(frame["requested_provider"], frame["requested_model"])
    return _tagged(frame, "variant", "variant").fillna(asked)


def _templates(frame: pd.DataFrame) -> pd.Series[Any]:
    return _tagged(frame, "template", "template")


def _tagged(frame: pd.DataFrame, column: str | None, tag: str) -> pd.Series[Any]:
    """`column` where the frame has it; where it has no value, `tag`."""
    told = frame[column].astype("string") if column is not None and column in frame else None
    if told is not None and not told.hasnans:
        return told
    found: list[Any] = [None] * len(frame)
    if "tags" in frame:
        quoted_tag = f'"{tag}"'
        for place, text in enumerate(frame["tags"].astype("string").to_list()):
            if isinstance(text, str) and quoted_tag in text:
                value = _parsed(text).get(tag)
                found[place] = value if isinstance(value, str) else None
    tagged = _series(frame, found)
    return tagged if told is None else told.fillna(tagged)


def _parsed(text: str) -> dict[str, Any]:
    try:
        tags = orjson.loads(text)
    except orjson.JSONDecodeError:  # a frame of somebody's own
        return {}
    return tags if isinstance(tags, dict) else {}


def _series(frame: pd.DataFrame, values: list[Any]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(pd.array(values, dtype="string"), index=frame.index)


def _joined(provider: pd.Series[Any], model: pd.Series[Any]) -> pd.Series[Any]:
    # A missing provider leaves the model alone, a missing model leaves the provider alone.
    provider, model = provider.astype("string"), model.astype("string")
    return cast("pd.Series[Any]", (provider + "/" + model).fillna(model).fillna(provider))
