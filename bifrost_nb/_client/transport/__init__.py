"""The only part that opens a connection to a gateway: attempts, time limits, size limits, error mapping.

httpx is the API and aiohttp carries the bytes (``httpx-aiohttp``): it hands a stream over in blocks of many chunks
and stays cheap with many connections. All clients of a process share one pool on the private loop. Requests go to
httpx's transport itself: what its client does besides (redirects, cookies, log-ins, default headers) is wanted by no
call here, and takes a third of the processor time of a short one.
"""

from .attempt import Sink, attempt
from .body import MAX_ANSWER_BYTES
from .error_map import mapped, of_proxy_perhaps
from .fetch import Reply, fetch, get_json
from .pool import pool
from .route import NetworkRoute, ca_variable, route_to

__all__ = [
    "MAX_ANSWER_BYTES",
    "NetworkRoute",
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
