"""A page of the gateway's log, of which only that is read which a run may learn from it.

Made into objects whole, the 1.3 kB of a row take three times as long. Fields: measured on gateways 1.3.63 to
2.0.0-prerelease3.
"""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

__all__ = ["log_page"]


class _Row(TypedDict, total=False):
    # All that `_runs.late_facts` and `_runs.cost` read, and `_client.cost_lookup` to find it.
    id: Any
    parent_request_id: Any
    status: Any
    object: Any
    provider: Any
    model: Any
    alias: Any
    fallback_index: Any
    cost: Any
    latency: Any
    token_usage: Any


class _Page(TypedDict, total=False):
    logs: list[_Row] | None
    has_logs: Any


_decoder = msgspec.json.Decoder(_Page)


def log_page(body: bytes) -> dict[str, Any] | None:
    """The page that `body` holds, its rows with the fields above; None where it holds something else.

    >>> log_page(b'{"logs": [{"id": "a", "cost": 0.5, "input_history": []}]}')
    {'logs': [{'id': 'a', 'cost': 0.5}]}
    """
    try:
        return _decoder.decode(body)  # type: ignore[return-value]  # a TypedDict is a dict
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
