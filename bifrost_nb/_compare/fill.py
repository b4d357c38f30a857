"""`fill`: a frame's rows through one deployment, and the answers as typed columns of the same frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._client.typed_answers import AnswerSchema
from .._keys import guard_entries, guard_headers
from .._safe_text import plain, type_with_article
from ..errors import ConfigurationError
from .asked_deployments import check_names
from .compare import compare
from .progress import tell
from .typed_columns import field_columns
from .verdict import amount

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from .._client.client import Client
    from .comparison import Comparison

__all__ = ["fill"]

COSTS_S = 12.0
"""The last costs are awaited so long: gateways write their log up to 5 s after a call (measured), and it is read again
after growing pauses."""
_NOT_TAKEN = frozenset(
    ("inputs", "sounds", "repeats", "dry_run", "mode", "until", "metric", "margin", "score", "folder")
)
"""What `compare` takes and makes several answers of a row, none at all, or something else than them."""


def fill(
    frame: pd.DataFrame,
    prompt: str | None = None,
    *,
    schema: type[BaseModel] | Mapping[str, Any],
    deployment: str | Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]] | None = None,
    images: str | Sequence[str] | None = None,
    system: str | None = None,
    prefix: str = "",
    client: Client | None = None,
    concurrency: int = 16,
    max_cost_usd: float | None = None,
    fresh: bool = False,
    **parameters: Any,
) -> pd.DataFrame:
    """A copy of `frame` with a column for each field of `schema`, as `deployment` answers for each row.

        class Review(pydantic.BaseModel):
            stars: int
            complaint: bool

        reviews = bf.fill(reviews, "Judge: {{text}}", schema=Review, deployment="openai/gpt-4o-mini")

    `prompt` is a template of the frame's columns (or `messages`, with `images`, as for `compare`). Each column is named
    as its field behind `prefix`, in the field's own dtype; ``<prefix>fill_error`` says why a row has no answer (NA: it
    has one). Index and columns of the frame stay as they are. One line says how many rows were filled and what that
    cost; ``result.attrs["cost_usd"]`` has the dollars of all these answers (None: unknown for some).

    Answers are taken from the run log where the same was asked before, so after an interrupt, a failure or with more
    rows the same line sends only what is missing; `fresh` sends all anew. `max_cost_usd` stops there. `deployment` is
    ``provider/model`` or a dict with parameters; `parameters` (``temperature=0``), `system`, `concurrency` and
    `client` are those of `compare`.

    Raises ConfigurationError or TemplateError before anything is sent, `ComparisonInterrupted` on the interrupt key.
    """
    import pandas as pd

    guard_headers(parameters)
    [deployment] = guard_entries([deployment])
    if not isinstance(frame, pd.DataFrame):
        raise ConfigurationError(
            f"fill takes a pandas DataFrame, not {type_with_article(frame)}.",
            hint="Pass frame.to_pandas()." if hasattr(frame, "to_pandas") else "Pass pd.DataFrame(...) of it.",
        )
    if not isinstance(prefix, str):
        raise ConfigurationError(f"prefix must be text, not {type(prefix).__name__}.")
    check_names(fill, parameters)
    if other := sorted(_NOT_TAKEN & parameters.keys()):
        raise ConfigurationError(
            f"fill gives each row of its frame one answer, and takes no {other[0]}=.",
            hint="bf.compare(..., inputs=frame, schema=...) does.",
        )
    if isinstance(prompt, Mapping) or isinstance(messages, Mapping):
        raise ConfigurationError("fill asks one question of each row.", hint="bf.compare sets several side by side.")
    read_by = AnswerSchema.of(schema)
    added = [f"{prefix}{name}" for name in (*read_by.dtypes, "fill_error")]
    if taken := [name for name in added if name in frame.columns]:
        raise ConfigurationError(
            f"The frame has a column {plain(taken[0], 60)!r} already, and fill overwrites nothing.",
            hint="Rename it, fill the frame without it, or pass prefix='answer_'.",
        )
    comparison = compare(
        [deployment],
        prompt,
        messages=messages,
        inputs=frame,
        images=images,
        schema=schema,
        system=system,
        client=client,
        concurrency=concurrency,
        max_cost_usd=max_cost_usd,
        fresh=fresh,
        **parameters,
    )
    return _filled(frame, comparison, read_by, prefix)


def _filled(frame: pd.DataFrame, comparison: Comparison, schema: AnswerSchema, prefix: str) -> pd.DataFrame:
    from .._display.describe import error_text
    from .._runs.frame import to_array
    from .._runs.run import Run

    made = {trial.trial_id: run for trial, run in zip(comparison.trials, comparison.runs, strict=True)}
    unsent = Run(valid_error="It was not sent.")
    runs = [made.get(trial.trial_id, unsent) for trial in comparison.plan.trials]  # one for each row, in their order
    result = frame.copy()
    for name, values in field_columns(schema, runs, result.index).items():
        result[f"{prefix}{name}"] = values
    errors = [None if run.valid else run.valid_error or error_text(run) or run.status for run in runs]
    result[f"{prefix}fill_error"] = to_array(errors, "string")
    comparison.wait_for_costs(COSTS_S)
    costs = [run.cost_usd for run in made.values()]
    result.attrs["cost_usd"] = None if None in costs else float(sum(cost or 0.0 for cost in costs))
    count = sum(error is None for error in errors)
    cost = "cost unknown" if None in costs else amount(result.attrs["cost_usd"], "cost_usd")
    notes = "".join(f"\n{plain(note, 400)}" for note in comparison.notes)
    tell(f"{count:,} of {len(result):,} rows filled, {cost}.{notes}")
    return result
