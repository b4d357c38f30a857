"""How a comparison shows itself: one row per deployment and server, with small bars for time and cost.

The HTML uses inline literal styles only, so that a saved, exported or untrusted notebook shows the same. Every text
from outside is escaped; the numbers stand beside the bars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._display.html import BLUE, Markup, note, table, text as escape
from .._display.terminal_table import shortened, table_lines
from .._numbers import fewest_for
from .._runs.redact_hook import as_written
from .._safe_text import plain
from . import groups
from .api_choice import kinds_note
from .budget import overspent
from .groups import SEPARATOR
from .metrics import is_score
from .progress import summary_line
from .summary import measured
from .sweep import GIVEN_UP
from .verdict import amount

if TYPE_CHECKING:
    import pandas as pd

    from .._runs.run import Run
    from .comparison import Comparison

__all__ = ["as_html", "as_text", "failures"]

FAILURES = 6
"""So many reasons of failures are told."""

Row = Any
"""A row of the summary, by attribute."""


class _TableColumn(NamedTuple):
    title: str
    text: Callable[[Row], str]
    bar: str | None = None
    """The summary's column whose value, as a share of the largest, is drawn under the text."""


def _known(value: Any) -> float | None:
    """A cell of the summary as a number; None for NA."""
    import pandas as pd

    return None if pd.isna(value) else float(value)


def _figure(name: str, metric: str) -> Callable[[Row], str]:
    return lambda row: amount(_known(getattr(row, name)), metric)


def _who(row: Row) -> str:
    import pandas as pd

    deployment = "unknown" if pd.isna(row[0]) else str(row[0])  # the variant, or the deployment
    if pd.isna(row.served):
        return f"{deployment} → nobody" if row.ok == 0 else f"{deployment} → unknown"
    own = f"{deployment}{SEPARATOR}".startswith(
        f"{row.served}{SEPARATOR}"
    )  # a variant's name begins with its deployment
    return deployment if own else f"{deployment} → {row.served}"


def _runs(row: Row) -> str:
    said = [f"{row.ok:,} ok"] if row.ok or not row.errors else []
    said += [f"{row.errors:,} failed"] if row.errors else []
    said += [f"{row.cached:,} cached"] if row.cached else []
    return ", ".join(said)


def _too_few(row: Row) -> bool:
    """Whether a p95 of these runs would claim to know more than they tell."""
    return bool(0 < row.ok - row.cached < fewest_for(0.95))


def _p95(row: Row) -> str:
    if _too_few(row):
        return f"n < {fewest_for(0.95)}"
    return amount(_known(row.total_ms_p95), "total_ms")


def _fallbacks(row: Row) -> str:
    share = _known(row.fallback_share)
    return "–" if share is None else f"{share:.0%}"


def _per_1000(row: Row) -> str:
    mean = _known(row.cost_usd_mean)
    return amount(None if mean is None else 1000 * mean, "cost_usd")


def _total(row: Row) -> str:
    if row.cost_usd_unknown and _known(row.cost_usd_total) is None:
        return "unknown"
    unknown = f" + {row.cost_usd_unknown:,} unknown" if row.cost_usd_unknown else ""
    return amount(_known(row.cost_usd_total), "cost_usd") + unknown


COLUMNS = (
    _TableColumn("asked → served", _who),
    _TableColumn("runs", _runs),
    _TableColumn("by fallback", _fallbacks),
    _TableColumn("$ per 1,000", _per_1000, "cost_usd_mean"),
    _TableColumn("cost in all", _total),  # both of money in sight where the page is narrow
    _TableColumn("total p50", _figure("total_ms_p50", "total_ms"), "total_ms_p50"),
    _TableColumn("p95", _p95, "total_ms_p95"),
    _TableColumn("first text p50", _figure("ttft_ms_p50", "ttft_ms"), "ttft_ms_p50"),
    _TableColumn("tokens/s", lambda row: amount(_known(row.tokens_per_s_p50), "number"), "tokens_per_s_p50"),
)
"""The third one where some fallback answered, or nobody knows: a column of 0 % would push others off a narrow page."""


def _columns(table: pd.DataFrame) -> list[_TableColumn]:
    """Scores stand first after who and how many: they are what a comparison with scores is about."""
    names = [str(name).removesuffix("_mean") for name in table if str(name).endswith("_mean")]
    judged = [name for name in names if is_score(name)]
    scores = [_TableColumn(name.removeprefix("score_"), _score(name), f"{name}_mean") for name in judged]
    shares = table["fallback_share"][table["ok"] > 0]
    first = COLUMNS[:3] if (shares.isna() | (shares.fillna(0.0) > 0)).any() else COLUMNS[:2]
    return [*first, *scores, *COLUMNS[3:]]


def _score(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        mean, low, high = (_known(getattr(row, f"{name}_{part}")) for part in ("mean", "low", "high"))
        if mean is None:
            return "–"
        interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
        return f"{mean:.2f}{interval}, n = {getattr(row, f'{name}_n'):,}"

    return text


def as_text(comparison: Comparison, width: int | None = None) -> str:
    """A table for terminals of so many signs, then what was left out and why."""
    table = comparison.summary()
    columns = _columns(table)
    most = 80 if width is None else max(24, width // 2)
    rows = [[column.title for column in columns]]
    for row in table.itertuples(index=False):
        who, *figures = (plain(column.text(row)) for column in columns)
        name, arrow, served = who.partition(" → ")
        served = arrow + shortened(served, most // 2)
        rows.append([shortened(name, most - len(served)) + served, *(figure[:80] for figure in figures)])
    lines = table_lines(rows, range(2, len(columns)), width=width, ruled=True)
    if comparison.decision is not None:
        lines += [plain(comparison.decision.verdict)]
    return "\n".join([_head(comparison), "", *lines, *("! " + plain(note) for note in _notes(comparison))])


def as_html(comparison: Comparison, keep: Callable[[str], str] | None = None) -> str:
    """The same table as HTML; for a file, `keep` gives what of a note on the scores may be in it."""
    summary = comparison.summary()
    columns = _columns(summary)
    rows = [[_cell(column, row, summary) for column in columns] for row in summary.itertuples(index=False)]
    shown = table(rows, [column.title for column in columns], label="Summary", figures=range(2, len(columns)))
    notes = "".join(note(plain(each)) for each in _notes(comparison, keep))
    found = comparison.decision
    told = "" if found is None else f"<strong>{escape(plain(found.verdict))}</strong>"
    decision = told and f'<div style="overflow-wrap:anywhere">{told}</div>'
    return f"<div><div><b>{escape(_head(comparison))}</b></div>{shown}{decision}{notes}</div>"


def _cell(column: _TableColumn, row: Row, summary: pd.DataFrame) -> Markup:
    told = plain(column.text(row), 120)
    text = escape(told)
    if column is not COLUMNS[0]:  # where it is narrow a line ends behind a figure or a comma, never inside an interval
        parts = text.replace(" (", "\n(").replace(" + ", "\n+ ").replace(", ", ",\n").split("\n")
        text = " ".join(f'<span style="white-space:nowrap">{part}</span>' if " " in part else part for part in parts)
    hidden = column.text is _p95 and _too_few(row)
    value = None if column.bar is None or hidden else _known(getattr(row, column.bar))
    if column.bar is None or value is None or summary[column.bar].count() < 2:  # one bar alone compares nothing
        return Markup(text)
    largest = _known(summary[column.bar].max()) or 0.0
    width = round(100 * value / largest) if largest > 0 else 0
    # A rule under the number: its length is the value, its colour says nothing.
    rule = f'<div style="height:4px;width:{width}%;margin-left:auto;background:{BLUE}"></div>'
    return Markup(f'{text}<div style="height:4px;min-width:48px">{rule}</div>')


def _head(comparison: Comparison) -> str:
    plan = comparison.plan
    named = len({prompt.template for prompt in plan.prompts})
    sizes = {"prompt": len(plan.prompts)}
    if named > 1:
        sizes = {"input": len({prompt.input_id for prompt in plan.prompts}), "prompt": named}
    sizes |= {"deployment": len(plan.asked), "repeat": plan.repeats}
    shape = " x ".join(f"{size:,} {name}{'' if size == 1 else 's'}" for name, size in sizes.items())
    judging = comparison.judging_cost
    spent = "" if judging is None else f" · judging {'cost ' if judging[0].isalpha() else ''}{judging}"
    return f"{shape} · {summary_line(comparison.progress)}{spent}"


def _notes(comparison: Comparison, keep: Callable[[str], str] | None = None) -> list[str]:
    reasons = failures(comparison, written=keep is not None)
    notes = _given_up(comparison.notes, reasons)
    if awaited := comparison.costs_awaited:
        notes.append(
            f"{awaited:,} {'cost is' if awaited == 1 else 'costs are'} still awaited from the gateway's log; show it "
            "again in a few seconds, or call comparison.wait_for_costs()."
        )
    if comparison.missing:
        notes.append(
            f"{comparison.missing:,} of {len(comparison.plan.trials):,} runs are missing; run it again to add them."
        )
    if (kinds := kinds_note(comparison.plan)) is not None:
        notes.append(kinds)
    notes += [] if (over := overspent(comparison)) is None else [over]
    scores = [note if keep is None else keep(note) for note in comparison.score_notes]
    return [*notes, *_days(comparison), *reasons, *scores]


def _given_up(notes: Sequence[str], reasons: Sequence[str]) -> list[str]:
    """`notes`, with those of deployments given up for one reason as one; a reason that follows is not said twice."""
    told: dict[str, list[str]] = {}
    for each in notes:
        name, found, reason = each.partition(GIVEN_UP)
        told.setdefault(reason if found else each, []).extend([name] if found else [])
    said = []
    for reason, names in told.items():
        if names:
            again = any(reason.rstrip("…") in follows for follows in reasons)
            why = "; nothing more was sent there." if again else f": {reason}"
            said.append(f"{_first(names)} {'was' if len(names) == 1 else 'were'} given up{why}")
        else:
            said.append(reason)
    return said


def _days(comparison: Comparison) -> list[str]:
    """That times stand side by side in the table which were not measured side by side."""
    frame = comparison.frame
    own = frame[measured(frame)]
    passes: dict[str, set[str]] = {}
    for name, sweep in zip(own["variant"], groups.sweeps(own).fillna(""), strict=True):
        passes.setdefault(str(name), set()).add(sweep)
    first = next(iter(passes), "")
    apart = [name for name, found in passes.items() if not found & passes[first]]
    if not apart:
        return []
    return [
        f"The times of {_first(apart)} are of another sweep than those of {first}: they cannot be compared."
        " fresh=True measures all together."
    ]


def _first(names: Sequence[str]) -> str:
    """The first five, and how many more."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _may_not_do(run: Run) -> bool:
    """Whether a failure may mean that the deployment does not do what was asked: no wrong key, limit or broken line."""
    return run.http_status in (400, 404, 405, 422, 501) or "support" in (run.error_message or "")


def failures(comparison: Comparison, *, written: bool = False) -> list[str]:
    """Why runs failed, grouped by reason; the most frequent first. `written`: as files may hold it."""
    from .._display.describe import error_text

    reasons: dict[str, Counter[str]] = {}
    for name, run in comparison.named_runs():
        if run.status not in ("ok", "cancelled", None):
            reasons.setdefault(error_text(as_written(run) if written else run), Counter())[name] += 1
    ordered = sorted(reasons.items(), key=lambda item: -item[1].total())
    notes = [
        f"{_first(list(counts))}: {counts.total():,} failed: {plain(reason, 600)}"
        for reason, counts in ordered[:FAILURES]
    ]
    if len(ordered) > FAILURES:
        notes.append(f"… and {len(ordered) - FAILURES:,} other reasons; comparison.frame has them all.")
    texts = {one.name for one in comparison.plan.asked if one.kind == "text"}
    named = [(name.partition(SEPARATOR)[0], run) for name, run in comparison.named_runs()]
    answered = {name for name, run in named if run.status == "ok"}
    refused = {name for name, run in named if run.status == "error" and _may_not_do(run)}
    if refused & texts and not answered & texts:
        notes.append("These were text completions; a deployment that only chats needs api='chat'.")
    return notes
