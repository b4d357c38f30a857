"""Each kind of thing that people send, in a real kernel: the bodies on the wire, and what the cell shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bifrost_nb._simulator.process import LocalGateway
from tests.compare.test_messages import png
from tests.notebook.widgets.test_pictures_and_tools import url

from .frontend import FrontEnd

CHAT = "openai/gpt-4o-mini"
START = f"""
import io
import bifrost_nb as bf
from PIL import Image
from pydantic import BaseModel
class Order(BaseModel):
    city: str
    quantity: int
def red():
    made = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(made, "PNG")
    return made.getvalue()
one, two = "{CHAT}", "azure/gpt-4o"
tool = {{"type": "function", "function": {{"name": "f", "parameters": {{"type": "object"}}}}}}
"""
Bodies = list[dict[str, Any]]
USER = {"role": "user", "content": "Name a lamp."}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PICTURE = {"type": "image_url", "image_url": {"url": url(png())}}


def _chat(deployment: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": deployment, "messages": list(turns), **more}


def _order(body: dict[str, Any]) -> bool:
    form = body["response_format"]["json_schema"]
    return form["strict"] and form["schema"]["required"] == ["city", "quantity"]


def _told(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def _same(*wanted: dict[str, Any]) -> Callable[[Bodies], bool]:
    return lambda bodies: sorted(map(repr, map(_told, bodies))) == sorted(map(repr, wanted))


def _jobs(bodies: Bodies) -> bool:
    """Of a batch: the file of one provider, its job, and the list of the other."""
    upload, job, inline = bodies
    return (
        '"url":"/v1/chat/completions"' in str(upload)
        and job["model"] == CHAT
        and [one["params"]["messages"] for one in inline["requests"]] == [[{"role": "user", "content": "Name a lamp."}]]
    )


FEATURES: dict[str, tuple[str, Callable[[Bodies], bool]]] = {
    "messages": (
        """bf.compare([one, two], messages=[{"role": "system", "content": "Sell."}, {"role": "user", "content":
        "Name a {{x}}."}], inputs={"x": ["lamp"]}, client=client).frame""",
        _same(*(_chat(name, {"role": "system", "content": "Sell."}, USER) for name in (CHAT, "azure/gpt-4o"))),
    ),
    "pictures and tools": (
        """bf.compare([one], "Name a {{x}}.", inputs={"x": ["lamp"], "p": [red()]}, images="p", tools=[tool],
        client=client).grid()""",
        _same(
            _chat(CHAT, {"role": "user", "content": [{"type": "text", "text": "Name a lamp."}, PICTURE]}, tools=[TOOL])
        ),
    ),
    "the Responses API": (
        """bf.compare([one], "Name a lamp.", api="responses", max_tokens=20, client=client).frame""",
        _same({"model": CHAT, "input": "Name a lamp.", "max_output_tokens": 20}),
    ),
    "typed answers": (
        """bf.compare([one, two], "Read: 3 to {{x}}", inputs={"x": ["Oslo"]}, schema=Order,
        client=client).disagreements()""",
        lambda bodies: len(bodies) == 2 and all(map(_order, bodies)),
    ),
    "fill": (
        """import pandas as pd
bf.fill(pd.DataFrame({"x": ["Oslo", "Rome"]}), "Read: 4 to {{x}}", schema=Order, deployment=one, client=client)""",
        lambda bodies: len(bodies) == 2 and all(map(_order, bodies)),
    ),
    "replay": (
        """said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
client.chat(one, messages=[*said, {"role": "user", "content": "A lamp."}])
bf.replay(client.log.frame(limit=1), two, client=client).frame""",
        lambda bodies: (
            len(bodies) == 2 and bodies[0]["messages"] == bodies[1]["messages"] and len(bodies[1]["messages"]) == 3
        ),
    ),
    "conversations of a playground": (
        """play = bf.playground([one, two], "Name a lamp.", max_tokens=5, client=client)
play.run().wait(30)
play.go_on(each=True).update(prompt="Another?").run().wait(30)
play""",
        lambda bodies: (
            [len(body["messages"]) for body in bodies] == [1, 1, 3, 3]
            and len({body["messages"][1]["content"] for body in bodies[2:]}) == 2
        ),
    ),
    "transcriptions": (
        """sound = client.speech("openai/gpt-4o-mini-tts", "The lamp is lit.", voice="alloy", response_format="wav")
heard = bf.compare(["openai/whisper-1"], "Names: Ada", inputs={"clip": [sound]}, sounds="clip", api="transcription",
    client=client)
assert heard.frame["response"].tolist() == ["The lamp is lit."]
heard.grid()""",
        lambda bodies: (
            bodies[0]["input"] == "The lamp is lit." and "Names: Ada" in str(bodies[1]) and "RIFF" in str(bodies[1])
        ),
    ),
    "a batch": (
        """bf.compare([one, "anthropic/claude-haiku-4-5"], "Name a lamp.", api="chat", max_tokens=9, mode="batch",
        client=client).collect(wait=30).frame""",
        _jobs,
    ),
    "count tokens": (
        """client.count_tokens(one, "Name a lamp.")""",
        _same({"model": CHAT, "input": [USER]}),
    ),
}


@pytest.mark.parametrize("name", FEATURES)
def test_what_is_sent(front: FrontEnd, gateway: LocalGateway, name: str) -> None:
    """The cell ends well and shows its result; its bodies are the ones above."""
    code, right = FEATURES[name]
    fresh = "import tempfile\nshared, log = client, bf.RunLog(tempfile.mkdtemp() + '/runs.jsonl')\n"
    fresh += "client = Client(client.base_url, log=log)\n"
    cell = front.run(f"{START}{fresh}{code}").wait(180)
    front.run("client = shared").wait()  # other tests of this kernel look into its log
    assert cell.status == "ok", cell.error
    assert cell.shown, "the cell shows its result"
    bodies = [one["body"] for one in gateway.requests() if one["method"] == "POST"]
    assert right(bodies), bodies
