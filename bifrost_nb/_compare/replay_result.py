"""`Replayed`: answers before and after, with what changed in words, time and cost, per prompt and in total.

A change is the new value minus the old one, and known only where both are. Times count only where the answer was given
in full and not by a cache, so that they are a deployment's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._display.html import note, table, text
from .._safe_text import plain
from ..errors import ConfigurationError
from .groups import check_by
from .text_diff import TextDiff, text_diff
from .verdict import amount

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison
    from .groups import By

__all__ = ["Replayed"]

METRICS = ("cost_usd", "total_ms", "latency_ms")
SHOWN = 20
"""Differences that the HTML spells out; all are in the frame."""


OTHER_HOUR = (
    "The old answers were timed at another hour: a change of time may be the gateway's or the network's."
    " compare(..., fresh=True) measures deployments side by side."
)


class Replayed:
    """What `replay` returns. `comparison` holds the new runs, `notes` what was left out and why.

    For example:

        replayed = bf.replay(bf.runs(since="1d"), ["azure/large"])
        replayed.frame
        replayed.summary()
    """

    def __init__(self, before: pd.DataFrame, places: Mapping[str, int], comparison: Comparison) -> None:
        """`places` are the rows of `before` that were asked again, by the id of the prompt."""
        self.comparison = comparison
        self._before, self._places = before, places

    def __getstate__(self) -> dict[str, Any]:
        """What a file gets: the old texts, too, as the client's `redact` hook wants them."""
        from .._report.redacted import hook_of, texts_as_written

        return {**self.__dict__, "_before": texts_as_written(self._before, hook_of(self.comparison))}

    @property
    def notes(self) -> list[str]:
        """Which rows were not sent and why, and whether the replay is incomplete."""
        return self.comparison.notes

    @property
    def variants(self) -> list[str]:
        """The names of what was asked: ``deployment``, or ``deployment · template`` where the old rows tell one."""
        return self.comparison.variants

    @property
    def frame(self) -> pd.DataFrame:
        """One row per old answer and new deployment; NA where unknown.

        Columns: ``row`` (of the frame that was given), ``prompt_id``, ``template`` (of a comparison's rows),
        ``prompt``, ``before`` and ``after`` (who answered; before: else who was asked), ``deployment`` and ``variant``
        (who was asked now), ``status_before``, ``status``,
        ``response_before``, ``response``, ``same`` (boolean), ``similarity`` (0 to 1, by words), and for ``cost_usd``,
        ``total_ms``, ``latency_ms`` (the gateway's) the columns ``<name>_before``, ``<name>`` and ``<name>_change``.
        """
        import pandas as pd

        from .groups import deployments, served
        from .summary import measured

        after = self.comparison.frame
        places = [self._places[prompt] for prompt in after["prompt_id"]]
        before = self._before.iloc[places].reset_index(drop=True)
        before = before.astype({name: dtype for name, dtype in _dtypes(after).items() if name in before})
        table = pd.DataFrame(
            {
                "row": pd.array(places, dtype="Int64"),
                "prompt_id": after["prompt_id"],
                "template": after["template"],
                "prompt": before["prompt"],
                "before": served(before).fillna(deployments(before)),
                "deployment": deployments(after),
                "variant": after["variant"],
                "after": served(after),
                "status_before": before["status"],
                "status": after["status"],
                "response_before": before["response"],
                "response": after["response"],
            }
        )
        table["same"] = (before["response"] == after["response"]).astype("boolean")
        pairs = zip(before["response"], after["response"], strict=True)
        table["similarity"] = pd.array([_similarity(old, new) for old, new in pairs], dtype="Float64")
        for name in METRICS:
            old, new = before[name].astype("Float64"), after[name].astype("Float64")
            if name != "cost_usd":
                old, new = old.where(measured(before)), new.where(measured(after))
            table[f"{name}_before"], table[name], table[f"{name}_change"] = old, new, new - old
        return table

    def summary(self, by: By = "deployment") -> pd.DataFrame:
        """One row per deployment asked, or `by` ``variant`` or ``template``.

        Columns: ``deployment`` (or what `by` says), ``prompts``, ``ok``, ``same`` (answers equal to the old ones),
        ``similarity`` (mean); ``cost_usd_before``, ``cost_usd``, ``cost_usd_change``: totals over the
        ``cost_usd_pairs`` where both costs are known; ``total_ms_change`` and ``latency_ms_change``: medians over
        ``total_ms_pairs`` and ``latency_ms_pairs``. Raises ConfigurationError where no row tells a template.

            replayed.summary(by="variant")
        """
        import pandas as pd

        check_by(by)
        if by == "template" and not self.comparison.templates:
            raise ConfigurationError("These rows tell no template.", hint="Replay rows of a comparison of templates.")
        rows = []
        for name, group in self.frame.groupby(by, sort=False):
            paired = group[group["cost_usd_change"].notna()]
            row: dict[str, Any] = {
                by: name,
                "prompts": len(group),
                "ok": int((group["status"] == "ok").fillna(value=False).sum()),
                "same": int(group["same"].fillna(value=False).sum()),
                "similarity": group["similarity"].mean(),
                "cost_usd_pairs": len(paired),
            }
            for column in ("cost_usd_before", "cost_usd", "cost_usd_change"):
                row[column] = paired[column].sum() if len(paired) else pd.NA
            for metric in ("total_ms", "latency_ms"):
                changes = group[f"{metric}_change"].dropna()
                row[f"{metric}_pairs"] = len(changes)
                row[f"{metric}_change"] = changes.median() if len(changes) else pd.NA
            rows.append(row)
        table = pd.DataFrame(rows)
        counts = ("prompts", "ok", "same", *(f"{metric}_pairs" for metric in METRICS))
        return table.astype({
            name: "string" if name == by else "Int64" if name in counts else "Float64" for name in table
        })  # fmt: skip

    def diff(self, row: int = 0, deployment: str | None = None) -> TextDiff:
        """What to change in the old answer of `row` to get that of `deployment` (by default the first), by words.

            replayed.diff(row=0, deployment="azure/large")

        Raises ConfigurationError for a row that was not replayed.
        """
        table = self.frame
        found = table[(table["row"] == row) & (table["deployment"] == (deployment or self.comparison.deployments[0]))]
        if found.empty:
            raise ConfigurationError(
                f"Row {row} was not replayed{f' to {deployment}' if deployment else ''}.",
                hint=f"It has {', '.join(self.comparison.deployments)} for rows "
                f"{', '.join(str(each) for each in sorted(set(table['row']))[:20])}.",
            )
        one = next(found.itertuples(index=False))
        return _diff(one, f": {plain(' '.join(_text(one.prompt).split()), 120)}")

    def __len__(self) -> int:
        return len(self.comparison)

    def __repr__(self) -> str:
        lines = [self._head(), *(f"  {plain(name, 80)}: {said}" for name, said in self._said())]
        return "\n".join([*lines, *("! " + plain(note) for note in self._told())])

    def _repr_html_(self) -> str:
        frame = self.frame
        rows = [[name, *(plain(part, 200) for part in parts)] for name, parts in self._figures()]
        figures = table(rows, ["asked now", "answers", "cost", "time"], label="Before and after")
        notes = "".join(map(note, self._told()))
        shown = "".join(_row_html(row) for row in frame.head(SHOWN).itertuples(index=False))
        rest = len(frame) - SHOWN
        more = f"<div>… and {rest:,} more in <code>.frame</code></div>" if rest > 0 else ""
        return f"<div><div><b>{text(self._head())}</b></div>{figures}{notes}{shown}{more}</div>"

    def _told(self) -> list[str]:
        from .comparison_view import failures

        known = self.frame["total_ms_change"].notna().any() or self.frame["latency_ms_change"].notna().any()
        return [*self.notes, *failures(self.comparison), *([OTHER_HOUR] if known else [])]

    def _head(self) -> str:
        prompts, names = len(self._places), self.comparison.deployments
        return f"{prompts:,} {'prompt' if prompts == 1 else 'prompts'} sent again to {', '.join(names)}"

    def _said(self) -> list[tuple[str, str]]:
        return [(name, "; ".join(parts)) for name, parts in self._figures()]

    def _figures(self) -> list[tuple[str, list[str]]]:
        """For each deployment what is said of answers, cost and time."""
        import pandas as pd

        figures = []
        for row in self.summary().to_dict("records"):
            alike = "" if pd.isna(row["similarity"]) else f", {row['similarity']:.0%} of the words alike"
            answers = f"{row['ok']:,} of {row['prompts']:,} answered, {row['same']:,} the same{alike}"
            cost = "cost change unknown"
            if row["cost_usd_pairs"]:
                before, after = amount(row["cost_usd_before"], "cost_usd"), amount(row["cost_usd"], "cost_usd")
                share = f", {row['cost_usd_change'] / row['cost_usd_before']:+.0%}" if row["cost_usd_before"] else ""
                cost = f"{before} → {after} ({_signed(row['cost_usd_change'], 'cost_usd')}{share})"
                if unknown := row["prompts"] - row["cost_usd_pairs"]:
                    cost += f", {unknown:,} unknown"
            metric = "total_ms" if row["total_ms_pairs"] else "latency_ms"
            time = "time change unknown"
            if row[f"{metric}_pairs"]:
                of = "" if metric == "total_ms" else " of the gateway's own time"
                time = f"{_signed(row[f'{metric}_change'], metric)} median{of} over {row[f'{metric}_pairs']:,}"
            figures.append((str(row["deployment"]), [answers, cost, time]))
        return figures


def _dtypes(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns' own types: a frame that was cut to fewer columns has lost those of the others."""
    return {str(name): dtype for name, dtype in frame.dtypes.items()}


def _similarity(old: Any, new: Any) -> float | None:
    return text_diff(old, new).similarity if isinstance(old, str) and isinstance(new, str) else None


def _diff(row: Any, asked: str = "") -> TextDiff:
    old, new = (each if isinstance(each, str) else "" for each in (row.response_before, row.response))
    return text_diff(old, new, title=f"{_text(row.before)} → {row.deployment}{asked}")


def _row_html(row: Any) -> str:
    """One prompt, folded: what changed in figures, then the word diff."""
    metric = "total_ms" if isinstance(row.total_ms_change, float) else "latency_ms"
    figures = [_signed(row.cost_usd_change, "cost_usd"), _signed(getattr(row, f"{metric}_change"), metric)]
    before, now = row.response_before, row.response  # NA where a call failed, then or now
    same = isinstance(before, str) and isinstance(now, str) and before == now
    ended = "the same answer" if same else "" if row.status == "ok" else _text(row.status)
    said = " · ".join(part for part in [str(row.deployment), *figures, ended] if part)
    return (
        f"<details><summary><span>{text(plain(row.prompt, 120))}</span>"
        f'<span style="opacity:.75"> · {text(said)}</span></summary>'
        f'<div style="padding:4px 16px 8px">{_diff(row)._repr_html_()}</div></details>'
    )


def _signed(value: Any, metric: str) -> str:
    """A change with its sign; ``–`` where unknown."""
    if not isinstance(value, float | int) or value != value:
        return "–"
    return ("+" if value > 0 else "±" if value == 0 else "") + amount(float(value), metric)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "unknown"
