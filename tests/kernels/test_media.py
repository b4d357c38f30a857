"""Pictures and speech in a kernel: what is sent, what the cell shows, and nothing paid for twice."""

from __future__ import annotations

import time
from pathlib import Path

from bifrost_nb._simulator.process import LocalGateway

from .frontend import FrontEnd

ASK = """
import bifrost_nb as bf
drawn = bf.compare(["openai/gpt-image-1", {{"deployment": "openai/gpt-image-1", "name": "small", "size": "16x16"}}],
    "A {{{{what}}}}", inputs={{"what": [{what!r}]}}, api="image", size="32x32", folder={folder!r}, live={live},
    client=client)
drawn.grid()
"""


def test_pictures_in_a_cell(front: FrontEnd, gateway: LocalGateway, tmp_path: Path) -> None:
    """The bodies on the wire, pictures in the cell's saved output, and the same cell again sends nothing."""
    mark = f"kite {time.monotonic()}"
    for live in (True, False):
        shown = front.run(ASK.format(folder=str(tmp_path), live=live, what=mark)).wait()
        assert shown.status == "ok", shown.error
        assert "&lt;img" not in str(shown.shown)
        assert str(shown.shown[-1]["text/html"]).count("data:image/webp;base64,") == 2
    bodies = [one["body"] for one in gateway.requests() if mark in str(one["body"])]
    wanted = [{"model": "openai/gpt-image-1", "prompt": f"A {mark}", "size": size} for size in ("16x16", "32x32")]
    assert sorted(bodies, key=lambda body: body["size"]) == wanted
    assert len(list(tmp_path.iterdir())) == 2
    said = front.run("client.transcribe('openai/whisper-1', client.speech('openai/gpt-4o-mini-tts', 'Hi', voice='a'))")
    assert "Hi" in said.wait().shown[-1]["text/html"]
