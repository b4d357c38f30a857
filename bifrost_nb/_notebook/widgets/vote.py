"""The blind vote in a notebook: one pair at a time, by key or click, then who was who with time, cost and a ranking.

Until the vote is revealed nothing that crosses to the browser says which deployment an answer is of, how long it took
or what it cost. Revealing replaces the widget by static markup, which survives saving; where an output cannot be
replaced once its cell has ended (Voila, marimo), the widget shows it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from ..._display.describe import duration, usd
from ..._display.html import Markup, table, text as escape
from ..._display.media import media_text, media_urls
from ..._display.run import said_html
from ..._foreground.comm_pump import reachable
from ..._foreground.environment import front_end, takes_clicks
from ..._prompts.messages import pictures_sent, readable
from ..._prompts.pictures import showable
from ..._runs.run import Run
from ..._safe_text import plain
from ...errors import BifrostError
from ..assets import page
from .grid_scores import cut
from .vote_state import Ballots

if TYPE_CHECKING:
    import pandas as pd

    from ..._compare.planned_prompt import PlannedPrompt
    from ..._runs.log.log import RunLog
    from ..._runs.redact_hook import Redact

__all__ = ["Vote"]

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
BALLOT_SIDE = 768
"""Pixels of an answer's picture."""
CHOICES = ("1", "2", "tie", "skip")
UNFOLDED = 12
"""More pairs than this are folded once they are revealed."""


class Vote:
    """A blind vote between the answers of a comparison. `state` holds the ballots and the votes (`Ballots`).

    It shows itself as the last expression of a cell. `frame` has the votes so far, `ranking()` the models in order.
    """

    def __init__(
        self,
        runs: Iterable[tuple[str, Run]],
        *,
        seed: int = 0,
        limit: int | None = None,
        log: RunLog | None = None,
        prompts: Mapping[str, PlannedPrompt] | None = None,
        apart: Mapping[str, str] | None = None,
        sounds: Mapping[str, Sequence[str]] | None = None,
        redact: Redact | None = None,
    ) -> None:
        pairs = list(runs)
        self._sounds = sounds or {}
        self.state = Ballots(pairs, seed=seed, limit=limit, log=log, prompts=prompts, apart=apart, redact=redact)
        self._prompts = prompts or {}
        self._runs: dict[str, list[Run]] = {}
        for name, run in pairs:
            self._runs.setdefault(name, []).append(run)
        self._widget: Any = None
        self._handle: Any = None
        self._table: list[list[str]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a file gets: no widget; pictures and sounds only without a `redact` hook, which cannot look at them."""
        state = {**self.__dict__, "_widget": None, "_handle": None}
        return state if self.state.redact is None else {**state, "_prompts": {}, "_sounds": {}}

    @property
    def frame(self) -> pd.DataFrame:
        """One row per vote, with the columns of `bifrost_nb._notebook.widgets.vote_state.COLUMNS`."""
        return self.state.frame

    def ranking(self, confidence: float = 0.95) -> pd.DataFrame:
        """The models from strongest to weakest, with intervals of `confidence`; columns as of `Judgement.ranking`.

        For example:

            vote.ranking(confidence=0.9)
        """
        return self.state.ranking(confidence)

    def reveal(self) -> None:
        """End the vote and show who was who.

        For example:

            vote.reveal()
        """
        self.state.reveal()
        if self._handle is not None:
            self._handle.update(self._static(), raw=True)
            self.close()
        elif self._widget is not None:
            self._widget.ballot = self._ballot()

    def close(self) -> None:
        """Let go of the widget on both sides.

        For example:

            vote.close()
        """
        if self._widget is not None:
            layout = self._widget.layout
            self._widget.on_msg(self._hear, remove=True)
            self._widget.close()
            layout.close()
            self._widget = None

    @property
    def widget(self) -> Any:
        """The widget, made at the first use."""
        if self._widget is None:
            self._widget = reachable(_widget_class()(ballot=self._ballot()))
            self._widget.on_msg(self._hear)
        return self._widget

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle: dict[str, Any] = self._static()
        if takes_clicks() and not self.state.revealed:
            bundle[WIDGET_MIME] = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        shown = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._handle = None if front_end() == "page" else shown

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.widget

    def _ballot(self) -> dict[str, Any]:
        """What the page shows: the current pair without names, times or costs."""
        state = self.state
        shown: dict[str, Any] = {"number": state.number, "total": len(state.ballots), "open": False}
        if state.revealed:
            return shown | {"told": self._repr_html_()}
        if (ballot := state.current) is not None:
            sides = (ballot.run_a, ballot.run_b)
            drawn = [media_urls(run, BALLOT_SIDE) for run in sides]
            answers = [
                said_html(run) or ("" if seen else f"<p>{escape(media_text(run))}</p>")
                for run, seen in zip(sides, drawn, strict=True)
            ]
            shown |= {"open": True, "prompt": cut(readable(ballot.prompt), 20_000), "answers": answers}
            shown["drawn"] = drawn
            heard = self._sounds.get(ballot.run_a.run_id, ())
            asked = self._prompts.get(ballot.run_a.run_id)
            seen = pictures_sent(ballot.prompt) or (asked.pictures.values() if asked is not None else ())
            shown["pictures"] = [*showable(seen), *heard]
        return shown

    def _hear(self, _: Any, content: Any, __: Any) -> None:
        """A message of the page; it may be anybody's, so nothing of it is trusted."""
        if not isinstance(content, dict):
            return
        choice = content.get("vote")
        try:
            # The number says which pair was seen: a key that was hit twice must not vote on the next pair.
            if choice in CHOICES and content.get("number") == self.state.number and self.state.current is not None:
                try:
                    self.state.choose(choice)
                finally:
                    self.widget.ballot = self._ballot()
            elif content.get("reveal") is True:
                self.reveal()
        except BifrostError as error:
            if self._widget is not None:
                self._widget.send({"problem": plain(error, 300)})

    def _static(self) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def __repr__(self) -> str:
        if not self.state.revealed:
            return self._said()
        lines = [self._said(), "", *("  ".join(row) for row in self._ranked())]
        return "\n".join([*lines, "", *(" | ".join(" ".join(cell.split()) for cell in row) for row in self._told())])

    def _repr_html_(self) -> str:
        said = f"<div><b>{escape(self._said())}</b></div>"
        if not self.state.revealed:
            return said
        ranks, (head, *told) = self._ranked(), self._told()
        votes = table(told, head, label="Votes", wide=True)
        if len(told) > UNFOLDED:
            words = f"All {len(told):,} pairs: who was who, and your vote"
            votes = Markup(f"<details><summary>{words}</summary>{votes}</details>")
        return f"<div>{said}{table(ranks[1:], ranks[0], label='Models')}{votes}</div>"

    def _said(self) -> str:
        state = self.state
        if not state.revealed:
            done = f"{state.number} of {len(state.ballots)} pairs done (seed {state.seed})"
            return f"Blind vote: {done}; it takes votes where widgets are shown, as in JupyterLab"
        voted = int(state.frame["winner"].notna().sum())
        votes = f"{voted} {'vote' if voted == 1 else 'votes'}"
        alike = f", {state.alike} equal answers count as ties" if state.alike else ""
        return f"Blind vote: {votes}, {state.number - voted} skipped{alike} (seed {state.seed})"

    def _ranked(self) -> list[list[str]]:
        if self._table is None:  # it is shown as text and as markup; nothing changes it after the reveal
            self._table = list(self._ranks())
        return self._table

    def _ranks(self) -> Iterator[list[str]]:
        from ..._statistics.ranking import strength_text

        yield ["model", "won", "lost", "tied", "strength (95% interval)", "median time", "mean cost"]
        for row in self.ranking().astype("object").itertuples(index=False):
            strength = strength_text(row) or "–"
            counts = [str(row.wins), str(row.losses), str(row.ties)]
            yield [cut(str(row.model), 200), *counts, strength, *_measures(self._runs[str(row.model)])]

    def _told(self) -> Iterator[list[str]]:
        """Every ballot that was voted on: who was 1 and 2, what was chosen, what each took and cost."""
        yield ["prompt", "answer 1", "answer 2", "your vote"]
        winners = {"model_a": "1", "model_b": "2", "tie": "tie"}
        for ballot, winner in zip(self.state.ballots, self.state.frame["winner"], strict=False):
            sides = ((ballot.model_a, ballot.run_a), (ballot.model_b, ballot.run_b))
            who = [f"{cut(name, 200)}: {', '.join(_measures([run]))}" for name, run in sides]
            yield [cut(readable(ballot.prompt), 160), *who, winners.get(str(winner), "skipped")]


def _measures(runs: list[Run]) -> list[str]:
    times = [run.total_ms for run in runs if run.total_ms is not None and not run.cache_hit]
    costs = [run.cost_usd for run in runs if run.cost_usd is not None]
    return [duration(median(times)) if times else "time unknown", usd(mean(costs)) if costs else "cost unknown"]


@functools.cache
def _widget_class() -> type[Any]:
    """Made at the first use: importing anywidget takes a while, and `import bifrost_nb` must not load it."""
    import anywidget
    import traitlets

    class VoteWidget(anywidget.AnyWidget):
        _esm = page("safe.js", "picture.js", "press.js", "vote.js")
        _css = page("grid.css", "vote.css")
        ballot = traitlets.Dict().tag(sync=True)

    return VoteWidget
