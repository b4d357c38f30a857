"""The charts of a comparison: its frame, with series named after its variants, handed to `bifrost_nb.charts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .comparison import Comparison
    from .groups import By

    Names: TypeAlias = Sequence[str] | None

__all__ = ["Plots"]


class Plots:
    """The charts of one comparison; each takes `ax` and returns the Axes. See `bifrost_nb.charts`.

    Series are variants, with ``by="template"`` or ``by="deployment"`` those: ``plot.scores(by="template")``; `names`
    are those that are drawn, all without.
    """

    def __init__(self, comparison: Comparison, frame: Callable[[By, Names], pd.DataFrame]) -> None:
        self._comparison, self._frame = comparison, frame

    def latency(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The distribution of the whole time, with p50 and p95."""
        return self._draw("latency", ax, by, names)

    def ttft(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The distribution of the time to the first text."""
        return self._draw("ttft", ax, by, names)

    def tokens(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The distribution of tokens per second."""
        return self._draw("tokens", ax, by, names)

    def cost(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """The mean cost of 1,000 runs, the total, and how many are unknown."""
        return self._draw("cost", ax, by, names)

    def errors(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """How the runs ended."""
        return self._draw("errors", ax, by, names)

    def anatomy(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """Where the time goes: waiting here, network, gateway, to the first text, generation; see `anatomy_parts`."""
        import pandas as pd

        from .. import charts

        upstream = [(run.extra_fields or {}).get("upstream_latency") for run in self._comparison.runs]
        told = [value if isinstance(value, int | float) else None for value in upstream]
        frame = self._frame(by, names).assign(upstream_ms=pd.Series(told, dtype="Float64"))  # by the place of the run
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
        """Two figures against each other, with the efficient frontier: ``tradeoff(x="cost_usd", y="score")``."""
        from .. import charts

        return charts.tradeoff(self._frame(by, names), x, y, ax=ax)

    def scores(
        self, score: str | None = None, ax: Axes | None = None, *, by: By = "variant", names: Names = None
    ) -> Axes:
        """The mean of a score for each variant with its interval; by default the first score."""
        from .. import charts

        return charts.scores(self._frame(by, names), score, ax=ax)

    def agreement(self, first: str, second: str = "rating", ax: Axes | None = None, **options: Any) -> Axes:
        """How often two columns said what, as `Comparison.agreement` compares them."""
        from .. import charts

        return charts.agreement(self._comparison.agreement(first, second, **options), ax=ax)

    def over_time(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """Each run's time against when it began."""
        return self._draw("over_time", ax, by, names)

    def timeline(self, ax: Axes | None = None, *, by: By = "variant", names: Names = None) -> Axes:
        """Queue, first text and generation of each run."""
        return self._draw("timeline", ax, by, names)

    def _draw(self, name: str, ax: Axes | None, by: By, names: Names) -> Axes:
        from .. import charts

        axes: Axes = getattr(charts, name)(self._frame(by, names), ax=ax)
        return axes
