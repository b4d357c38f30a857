"""Our clock against the server's own, with many streams at once. How close they are is measured by bench_compare.py."""

from __future__ import annotations

from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._compare.compare import compare


def test_our_clock_covers_what_the_server_saw(gateway: LocalGateway) -> None:
    """With 100 streams at once each time to first text covers the server's own."""
    gateway.script([{"first_text_ms": 200, "gap_ms": 5, "chunks": 50}])
    client = Client(gateway.url, log=RunLog(None))
    asked = {"inputs": {"number": list(range(100))}, "concurrency": 100, "client": client}
    frame = compare(["azure/fast"], "Call {{number}}", **asked).frame
    assert frame["chunks"].eq(50).all()
    served = {one["id"]: one for one in gateway.requests() if one["first_text_at"]}
    seen = [1000 * (served[one]["first_text_at"] - served[one]["received_at"]) for one in frame["request_id"]]
    error = frame["ttft_ms"].to_numpy("float64") - seen
    assert (error >= 0).all(), "text cannot arrive before it was sent"
