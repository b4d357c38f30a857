"""The rendered answers of a round, with their scores. Inline literal styles only: the saved notebook shows the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._compare.comparison_frame import shown_question
from ..._display.html import Markup, note, table, text as escape
from ..._display.run import as_html, mimebundle_many
from ..._prompts.shown_value import shown_value
from ..._safe_text import plain
from ..widgets.grid_rows import ShownScore
from ..widgets.grid_scores import badge

if TYPE_CHECKING:
    import pandas as pd

    from ..._compare.comparison import Comparison
    from .round import Round

__all__ = ["results_html"]

MOST_ROWS = 50
"""Prompts in the table of scores; the grid shows all."""
_BADGE = "display:inline-block;border-radius:8px;padding:0 7px;margin:1px 4px 1px 0;font-size:90%;border:"
_EDGES = {"pass": "1px solid #2da44e", "fail": "2px solid #d1242f", "unknown": "1px dashed rgba(128,128,128,0.8)"}


def results_html(current: Round, comparison: Comparison) -> str:
    """The answers to the first prompt side by side, under the figures of all where there are more or where they are
    judged: the mean of each score for each variant, then the scores prompt by prompt, then what a schema found."""
    runs = current.shown
    html = as_html(runs[0]) if len(runs) == 1 else mimebundle_many(runs)["text/html"]
    plan = comparison.plan
    scored = _scores_html(comparison, list(current.scorers)) if current.scorers and comparison.runs else ""
    scored += _typed_html(comparison) if plan.schema is not None and comparison.runs else ""
    if len(plan.trials) > len(runs) or scored:
        rows = len(plan.prompts) // max(1, len(comparison.templates))
        if comparison.templates:
            which = "each prompt" + (f", row 1 of {rows:,}" if rows > 1 else "")
        else:
            which = f"prompt 1 of {rows:,}" if rows > 1 else "the prompt"
        which += f", repeat 1 of {plan.repeats:,}" if plan.repeats > 1 else ""
        said = f"Answers to {which}; all are in <code>.comparison</code> and <code>.frame</code>."
        return f"{comparison._repr_html_()}{scored}<div style='margin-top:8px;opacity:.75'>{said}</div>{html}"
    return "".join(note(plain(each)) for each in comparison.notes) + html


def _scores_html(comparison: Comparison, scores: list[str]) -> str:
    """A row for each prompt, of several templates for each row of inputs; a column for each variant, its badges."""
    frame = comparison.frame
    cells: dict[tuple[str, str], list[int]] = {}
    for place, trial in enumerate(comparison.trials):
        cells.setdefault((trial.prompt.input_id, trial.variant), []).append(place)
    graded = {name for name in scores if not frame[name].dropna().isin((0.0, 1.0)).all()}
    inputs = list(dict.fromkeys(prompt.input_id for prompt in comparison.plan.prompts))
    names = comparison.variants
    rows: list[list[object]] = []
    for one in inputs[:MOST_ROWS]:
        judged = (_badges(frame.iloc[cells.get((one, name), [])], scores, graded) for name in names)
        rows.append([shown_question(comparison.plan.prompts, one), *map(Markup, judged)])
    more = len(inputs) - len(rows)
    rest = f"<div style='opacity:.75'>and {more:,} prompts more: <code>.comparison.grid()</code></div>" if more else ""
    head = ["prompt", *(plain(name, 200) for name in names)]
    return table(rows, head, label="Scores by prompt", titles=True, figures=()) + rest


def _typed_html(comparison: Comparison) -> str:
    """How many answers of each variant fit the schema, the first that does not, and where the variants differ."""
    frame = comparison.frame
    rows: list[list[object]] = []
    for name in comparison.variants:
        answers = frame[frame["variant"] == name]
        known = answers["valid"].dropna()
        wrong = answers["valid_error"].dropna()
        state = "pass" if len(known) and known.all() else "fail" if len(known) else "unknown"
        said = f"{int(known.sum()):,} of {len(known):,} valid" if len(known) else "no answer to read"
        badge_html = f'<span style="{_BADGE}{_EDGES[state]}">{escape(said)}</span>'
        rows.append([plain(name, 200), Markup(badge_html), plain(wrong.iloc[0], 400) if len(wrong) else ""])
    head = ["variant", "fits the schema", "the first that does not"]
    shown = table(rows, head, label="Typed answers", titles=True, figures=())
    differ = comparison.disagreements() if len(comparison.variants) > 1 else None
    if differ is None or not (frame.groupby("variant")["valid"].any().sum() > 1):
        return shown
    if not len(differ):
        return f"{shown}<div style='opacity:.75'>No field differs between the columns.</div>"
    names = [name for name in differ.columns if name != "input_id"]
    cells = [
        ["–" if _absent(value) else plain(shown_value(value), 200) for value in row]
        for row in differ[names].head(MOST_ROWS).itertuples(index=False)
    ]
    more = len(differ) - len(cells)
    rest = f"<div style='opacity:.75'>and {more:,} more: <code>.comparison.disagreements()</code></div>" if more else ""
    titles = [plain(str(name).removeprefix("input_"), 200) for name in names]
    return f"{shown}{table(cells, titles, label='Fields on which the columns differ', figures=())}{rest}"


def _badges(frame: pd.DataFrame, scores: list[str], graded: set[str]) -> str:
    """The scores of one cell: of its repeats together."""
    if not len(frame):
        return "not sent"
    if not (frame["status"] == "ok").any():
        return "no answer"
    said = []
    for name in scores:
        parts = (frame[name], frame[f"{name}_reason"], frame[f"{name}_error"])
        found = [
            ShownScore(value, reason, error, name in graded)
            for value, reason, error in (
                [None if _absent(one) else one for one in each] for each in zip(*parts, strict=True)
            )
        ]
        shown = badge(name, found)
        edge = _EDGES.get(shown["state"], "1px solid rgba(128,128,128,0.8)")
        reason = f' <span style="opacity:.8">{escape(shown["reason"])}</span>' if shown["reason"] else ""
        said.append(f'<div><span style="{_BADGE}{edge}">{escape(shown["text"])}</span>{reason}</div>')
    return "".join(said)


def _absent(value: object) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value != value
