"""Charts: a DataFrame of runs in, a matplotlib Axes out.

`runs` draws frames of runs, `gateway` the gateway's histograms. ``ax`` may be given everywhere and is returned.
"""

from .runs import Style, cost, errors, latency, over_time, styles, timeline, tokens, tradeoff, ttft

__all__ = ["Style", "cost", "errors", "latency", "over_time", "styles", "timeline", "tokens", "tradeoff", "ttft"]
