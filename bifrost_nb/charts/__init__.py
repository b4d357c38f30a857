"""Charts: a DataFrame of runs in, a matplotlib Axes out.

`runs` draws times, costs and outcomes, `scores` what answers were judged to be worth, `gateway` the gateway's
histograms; `style` says how all of them look. ``ax`` may be given everywhere and is returned.
"""

from .runs import cost, errors, latency, over_time, timeline, tokens, ttft
from .scores import agreement, scores, tradeoff
from .style import Style, styles

__all__ = [
    "Style",
    "agreement",
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
