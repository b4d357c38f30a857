"""Our clock against the server's own, with many streams at once."""

from __future__ import annotations

import numpy as np

from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb.comparing.compare import compare


def test_100_streams_are_timed_within_60_ms(gateway: LocalGateway) -> None:
    """With 100 concurrent streams of 200 chunks, our time to first text is within 60 ms (p95) of what the server saw.

    Another process on the machine can only make it worse, so the best of eight rounds counts.
    """
    client, errors = Client(gateway.url, log=RunLog(None)), []
    for number in range(9):
        gateway.reset()
        gateway.script([{"first_text_ms": 200, "gap_ms": 5, "chunks": 200}])
        asked = {"inputs": {"number": list(range(100))}, "concurrency": 100, "client": client}
        frame = compare(["azure/fast"], f"Round {number}, call {{{{number}}}}", **asked).frame
        assert frame["chunks"].eq(200).all()
        served = {one["id"]: one for one in gateway.requests() if one["first_text_at"]}
        seen = [1000 * (served[one]["first_text_at"] - served[one]["received_at"]) for one in frame["request_id"]]
        if number:  # the first round opens the connections
            errors.append(float(np.percentile(abs(frame["ttft_ms"].to_numpy("float64") - seen), 95)))
            if errors[-1] <= 60:
                return
    raise AssertionError(f"p95 of the error in each round, ms: {errors}")
