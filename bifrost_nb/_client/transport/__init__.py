"""The only part that opens a connection to a gateway: attempts, time limits, size limits, error mapping.

aiohttp does it: it hands a stream over in blocks of many chunks and stays cheap with many connections. All clients of a
process share one pool on the private loop. httpx's API over it (``httpx-aiohttp``) took a quarter of the processor time
of a short call (measured 2026-11-28, ``tests/benchmarks/bench_calls.py`` before and after).

What is still httpx's work, and would have to move where httpx dies, is all in ``httpx_work.py``.
"""

from .attempt import Sink, attempt
from .body import MAX_ANSWER_BYTES
from .fetch import Reply, fetch, get_json
from .network_errors import mapped, of_proxy_perhaps
from .network_route import NetworkRoute, ca_variable, route_to
from .pool import Pool, pool

__all__ = [
    "MAX_ANSWER_BYTES",
    "NetworkRoute",
    "Pool",
    "Reply",
    "Sink",
    "attempt",
    "ca_variable",
    "fetch",
    "get_json",
    "mapped",
    "of_proxy_perhaps",
    "pool",
    "route_to",
]
