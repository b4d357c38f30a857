"""The charts of a comparison: its frame, with series named after its variants, handed to `bifrost_nb.charts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .comparison import Comparison
    from .groups import By

    Names: TypeAlias = Sequence[str] | None

__all__ = ["Plots"]


class Plots:
    """The charts of one comparison; each draws into `ax` (None: a figure of its own) and returns the Axes.

        comparison.plot.scores(by="deployment")
        comparison.plot.latency(names=["azure/fast"]).figure.savefig("latency.svg")

    `by` says what the series are: ``variant``, ``template`` or ``deployment``; `names` are those that are drawn, all
    without. Raises ConfigurationError for a name that is none. See `bifrost_nb.charts`.
    """

    def __init__(self, comparison: Comparison, frame: Callable[[By, Names], pd.DataFrame]) -> None:
        self._comparison, self._frame = comparison, frame

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """What is drawn is for the person to say, so this tells what there is. Raises ConfigurationError."""
        names = [f"comparison.plot.{name}()" for name in vars(Plots) if not name.startswith("_")]
        raise ConfigurationError("comparison.plot has several charts.", hint=f"Call one: {', '.join(names)}.")

    def latency(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The distribution of the whole time (``total_ms``), with p50 and p95.

        For example:

            comparison.plot.latency()
        """
        return self._draw("latency", ax, by, names)

    def ttft(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The distribution of the time to the first text (``ttft_ms``); streamed runs only.

        For example:

            comparison.plot.ttft()
        """
        return self._draw("ttft", ax, by, names)

    def tokens(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The distribution of tokens per second.

        For example:

            comparison.plot.tokens()
        """
        return self._draw("tokens", ax, by, names)

    def cost(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The mean cost of 1,000 runs in US dollars, the total, and how many are unknown.

        For example:

            comparison.plot.cost(by="deployment")
        """
        return self._draw("cost", ax, by, names)

    def errors(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """How the runs ended, as shares.

        For example:

            comparison.plot.errors()
        """
        return self._draw("errors", ax, by, names)

    def anatomy(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """Where the time goes: waiting here, network, gateway, to the first text, generation; see `anatomy_parts`.

        For example:

            comparison.plot.anatomy()
        """
        import pandas as pd

        from .. import charts

        runs = self._comparison.runs
        upstream = [(run.extra_fields or {}).get("upstream_latency") for run in runs]
        told = [value if isinstance(value, int | float) else None for value in upstream]
        attempts = [len(run.attempts) or None for run in runs]
        frame = self._frame(by, names).assign(  # by the place of the run
            upstream_ms=pd.Series(told, dtype="Float64"), attempts=pd.Series(attempts, dtype="Int64")
        )
        return charts.anatomy(frame, ax)

    def tradeoff(
        self,
        x: str = "cost_usd",
        y: str = "total_ms",
        ax: Axes | None = None,
        *,
        by: By = "variant",
        names: Names = None,
    ) -> Axes:
        """Two figures against each other, `x` across and `y` up, with the efficient frontier.

        For example:

            comparison.plot.tradeoff(x="cost_usd", y="score")
        """
        from .. import charts

        return charts.tradeoff(self._frame(by, names), x, y, ax=ax)

    def scores(
        self, score: str | None = None, ax: Axes | None = None, *, by: By = "variant", names: Names = None
    ) -> Axes:
        """The mean of a `score` for each variant with its interval; by default the first score.

        For example:

            comparison.plot.scores("score")
        """
        from .. import charts

        return charts.scores(self._frame(by, names), score, ax=ax)

    def agreement(self, first: str, second: str = "rating", ax: Axes | None = None, **options: Any) -> Axes:
        """How often the columns `first` and `second` said what; `options` are those of `Comparison.agreement`.

        For example:

            comparison.plot.agreement("score_brief", "score_mentions")
        """
        from .. import charts

        return charts.agreement(self._comparison.agreement(first, second, **options), ax=ax)

    def over_time(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """Each run's time against when it began.

        For example:

            comparison.plot.over_time()
        """
        return self._draw("over_time", ax, by, names)

    def timeline(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """Queue, first text and generation of each run.

        For example:

            comparison.plot.timeline()
        """
        return self._draw("timeline", ax, by, names)

    def _draw(self, name: str, ax: Axes | None, by: By, names: Names) -> Axes:
        from .. import charts

        axes: Axes = getattr(charts, name)(self._frame(by, names), ax=ax)
        return axes
