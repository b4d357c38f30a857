"""Who and what a run is of, for every row of a frame: its variant, deployment, template, input and sweep.

A comparison's frame has these as columns; a frame of the run log has them in its tags, where the comparison put them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import orjson

from .._safe_text import plain
from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    *("SEPARATOR", "By", "default_by", "deployments", "inputs", "inputs_told", "names", "runs_frame", "served"),
    "sweeps",
]

By = Literal["variant", "deployment", "template"]
_NEEDED = ("status", "requested_provider", "requested_model", "prompt_id", "tags")
SEPARATOR = " · "
"""Between the deployment's and the template's name in the name of a variant."""


def runs_frame(given: object, what: str = "frame") -> pd.DataFrame:
    """`given` with an index of its own, if it is a frame of runs. Raises ConfigurationError."""
    import pandas as pd

    if not isinstance(given, pd.DataFrame):
        raise ConfigurationError(
            f"{what} must be a pandas DataFrame of runs, not {type(given).__name__}.",
            hint="Pass comparison.frame, bf.runs() or bf.to_frame(runs).",
        )
    if not given.columns.is_unique:
        twice = given.columns[given.columns.duplicated()][0]
        raise ConfigurationError(f"The {what} has the column {plain(repr(twice), 60)} twice.", hint="Drop one of them.")
    if missing := [name for name in _NEEDED if name not in given.columns]:
        raise ConfigurationError(
            f"The {what} has no column {missing[0]!r}, so it is no frame of runs.",
            hint="Pass comparison.frame, bf.runs() or bf.to_frame(runs).",
        )
    return given.reset_index(drop=True)


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
    return inputs_told(frame).fillna(frame["prompt_id"].astype("string")).rename("input_id")


def inputs_told(frame: pd.DataFrame) -> pd.Series[Any]:
    """The row of inputs where the run tells it, else NA."""
    return _tagged(frame, "input_id", "input")


def sweeps(frame: pd.DataFrame) -> pd.Series[Any]:
    """The pass in which a run was sent, so that only times of one pass are set against each other; NA where unknown."""
    return _tagged(frame, None, "sweep").rename("sweep")


def served(frame: pd.DataFrame) -> pd.Series[Any]:
    """Who answered, as ``provider/model``; NA where nobody did or the gateway does not tell."""
    return _joined(frame["provider"], frame["model"]).rename("served")


def _variants(frame: pd.DataFrame) -> pd.Series[Any]:
    asked = _joined(frame["requested_provider"], frame["requested_model"])
    return _tagged(frame, "variant", "variant").fillna(asked)


def _templates(frame: pd.DataFrame) -> pd.Series[Any]:
    return _tagged(frame, "template", "template")


def _tagged(frame: pd.DataFrame, column: str | None, tag: str) -> pd.Series[Any]:
    """`column` where the frame has it; where it has no value, `tag`."""
    found: list[Any] = [None] * len(frame)
    if "tags" in frame:
        text = frame["tags"].astype("string")
        for place in text.str.contains(f'"{tag}"', regex=False, na=False).to_numpy().nonzero()[0]:
            value = _parsed(text.iloc[place]).get(tag)
            found[place] = value if isinstance(value, str) else None
    tagged = _series(frame, found)
    return tagged if column is None or column not in frame else frame[column].astype("string").fillna(tagged)


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
