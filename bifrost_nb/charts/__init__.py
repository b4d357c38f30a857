"""Charts: a DataFrame of runs in, a matplotlib Axes out.

`runs` draws times, costs and outcomes, `anatomy` where the time went, `scores` what answers were judged to be worth,
`gateway` the gateway's histograms; `style` says how all of them look.

``frame`` is one of runs: ``comparison.frame``, ``bf.runs()`` or ``bf.to_frame(runs)``; its series are named by a column
``deployment`` or ``variant``, else by who was asked. ``ax`` is the Axes to draw into, and is returned; without it the
chart has a figure of its own that belongs to nobody (no pyplot) and that a notebook shows by its Axes. A frame without
such runs gives an empty chart that says so::

    from bifrost_nb import charts

    charts.latency(bf.runs(since="1d")).figure.savefig("latency.svg")
"""

from .anatomy import anatomy, anatomy_parts
from .runs import cost, errors, latency, over_time, timeline, tokens, ttft
from .scores import agreement, scores, tradeoff
from .style import Style, styles

__all__ = [
    "Style",
    "agreement",
    "anatomy",
    "anatomy_parts",
    "cost",
    "errors",
    "latency",
    "over_time",
    "scores",
    "styles",
    "timeline",
    "tokens",
    "tradeoff",
    "ttft",
]
