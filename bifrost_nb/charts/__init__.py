"""Charts: a DataFrame of runs in, a matplotlib Axes out.

`runs` draws times, costs and outcomes, `anatomy` where the time went, `scores` what answers were judged to be worth,
`gateway` the gateway's histograms; `style` says how all of them look. ``ax`` may be given everywhere and is returned.
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
