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


DEMO = "sk-bf-demo-0123456789abcdef"
Asked = list[dict[str, Any]]
REPO = "/api/prompt-repo"


def _asked(*wanted: str) -> Callable[[Asked], bool]:
    """Whether these were asked, as ``METHOD /path``, in this order; others may be between them."""

    def right(records: Asked) -> bool:
        left = iter(f"{one['method']} {one['path']}" for one in records)
        return all(each in left for each in wanted)

    return right


def _committed(records: Asked) -> bool:
    """Folder, prompt and version are made, the version with what was measured as the reason."""
    assert _asked(f"POST {REPO}/folders", f"POST {REPO}/prompts", f"GET {REPO}/prompts")(records)
    folder, prompt, version = (one["body"] for one in records if one["method"] == "POST" and REPO in one["path"])
    reason = version.pop("commit_message")
    assert "new" in reason, reason
    assert (folder["name"], prompt["name"]) == ("team", "lamp")
    said = {"originalType": "completion_request", "payload": {"role": "user", "content": "Name one lamp."}}
    return bool(version == {"messages": [said], "model_params": {}, "provider": "openai", "model": "gpt-4o-mini"})


def _with_prompt(records: Asked) -> bool:
    """Two chats with the version's headers, the second with an id that is none's; each looked up in the log."""
    chats = [one for one in records if one["path"] == "/v1/chat/completions"]
    ids = [one["headers"]["x-bf-prompt-id"] for one in chats]
    assert [one["body"]["messages"] for one in chats] == [[USER], [USER]]
    assert [one["headers"]["x-bf-prompt-version"] for one in chats] == ["1", "1"]
    return ids[1] == "nobody" and f"{REPO}/prompts/{ids[0]}/versions" in [one["path"] for one in records]


def _with_key(records: Asked) -> bool:
    keys = [one["headers"].get("x-bf-vk") for one in records if one["path"] == "/mcp"]
    return keys == [None, DEMO, DEMO]


def _cached(records: Asked) -> bool:
    """Three answers asked for under one key of ours; the cache is cleared by that key, after the second."""
    order = ["clear" if one["method"] == "DELETE" else "chat" for one in records if one["method"] != "GET"]
    (cleared,) = [one["path"] for one in records if one["method"] == "DELETE"]
    keys = {one["headers"]["x-bf-cache-key"] for one in records if one["path"] == "/v1/chat/completions"}
    return order == ["chat", "chat", "clear", "chat"] and len(keys) == 1 and cleared.endswith(keys.pop())


GATEWAYS_OWN: dict[str, tuple[str, Callable[[Asked], bool], tuple[str, ...]]] = {
    "a prompt is committed and read again": (
        """seen = bf.compare([one], {"now": "Name a lamp.", "new": "Name one lamp."}, score=bf.scorers.length(max=9),
    max_tokens=9, client=client)
why = seen.difference("now", "new", "score")
made = bf.prompt("team/lamp", create=True, client=client).commit("Name one lamp.", message=why, deployment=one)
again = bf.prompt("team/lamp", client=client)
assert (again.version, again.text, again.deployment, again.message) == (1, "Name one lamp.", one, str(why))
bf.prompts(client)""",
        _committed,
        ("team/lamp", "Name one lamp.", CHAT),
    ),
    "whether a prompt was used": (
        """made = bf.prompt("lamp", create=True, client=client).commit([{"role": "system", "content": "Sell."}])
runs = [client.chat(one, "Name a lamp.", headers=headers, max_tokens=3)
    for headers in (made.headers, {**made.headers, "x-bf-prompt-id": "nobody"})]
[made.used_by(run) for run in runs]""",
        _with_prompt,
        ("[True, False]",),
    ),
    "tools of my key": (
        """mine = Client(client.base_url, virtual_key="sk-bf-demo-0123456789abcdef", log=log)
assert len(bf.mcp_tools(client)) == len(bf.mcp_tools(mine)) == 2  # both tools are this key's
bf.mcp_tools(mine)""",
        _with_key,
        ("calculator", "divide"),
    ),
    "the log of tools": (
        """import json, time, httpx
said = {"id": "c1", "type": "function", "function": {"name": "calculator-add", "arguments": '{"a": 19, "b": 23}'}}
assert httpx.post(client.base_url + "/v1/mcp/tool/execute", json=said).json()["content"] == "42"
end = time.monotonic() + 30
while not len(found := bf.mcp_logs(tool="add", client=client)) and time.monotonic() < end:
    time.sleep(0.05)
found[["server", "tool", "status", "arguments", "result"]]""",
        lambda records: (
            _asked("POST /v1/mcp/tool/execute", "GET /api/mcp-logs")(records)
            and {one["query"]["tool_names"] for one in records if one["path"] == "/api/mcp-logs"} == {"add"}
        ),
        ("calculator", "add", "42"),
    ),
    "budgets": (
        "bf.budgets(client)",
        _asked("GET /api/governance/virtual-keys", "GET /api/governance/budgets"),
        ("demo", "8.75", "spent"),
    ),
    "rate limits": (
        "bf.rate_limits(client)",
        _asked("GET /api/governance/virtual-keys", "GET /api/governance/rate-limits"),
        ("token_limit", "request_limit"),
    ),
    "routing rules": (
        "bf.routing_rules(client)",
        _asked("GET /api/governance/routing-rules"),
        ("condition", "targets", "fallbacks"),
    ),
    "the cache is cleared": (
        """shell = get_ipython()
hits = []
def ask():
    run = shell.run_cell_magic("bifrost", f"{one} --cache on --max-tokens 5 -o said", "Name a lamp.")
    hits.append(shell.user_ns["said"].cache_hit)
bf.Client(client.base_url, log=log)
shell.run_line_magic("load_ext", "bifrost_nb")
ask(); ask()
told = shell.run_line_magic("bifrost", "cache clear")
ask()
assert hits == [False, True, False], hits
told""",
        _cached,
        ("nobody else's",),
    ),
    "all else is only read": (
        """client.chat(one, "Name a lamp.", max_tokens=3)
frames = [bf.models(client), bf.providers(client), bf.virtual_keys(client), bf.gateway_stats(client=client),
    bf.gateway_histogram("cost", client=client), bf.prompts(client)]
assert all(hasattr(frame, "columns") for frame in frames)
bf.reconcile(since="1h", client=client)
bf.gateway_logs(since="1h", client=client)[["requested_model", "status"]]""",
        lambda records: (
            [one["path"] for one in records if one["method"] != "GET"] == ["/v1/chat/completions"]
            and len({one["path"] for one in records}) > 6
        ),
        ("gpt-4o-mini",),
    ),
    "what doctor says": (
        "bf.doctor(client)",
        _asked("GET /api/config"),
        ("plugins", "cache", "content"),
    ),
}


@pytest.mark.parametrize("name", GATEWAYS_OWN)
def test_what_the_gateway_keeps(front: FrontEnd, gateway: LocalGateway, name: str) -> None:
    """The gateway's own data in a real kernel: what is asked of it, what the cell shows, and no key in it."""
    code, right, words = GATEWAYS_OWN[name]
    fresh = "import tempfile\nshared, log = client, bf.RunLog(tempfile.mkdtemp() + '/runs.jsonl')\n"
    fresh += "client = Client(client.base_url, log=log)\n"
    cell = front.run(f"{START}{fresh}{code}").wait(180)
    front.run("client = shared").wait()
    assert cell.status == "ok", cell.error
    shown = str(cell.shown)
    assert [each for each in words if each not in shown] == [], shown
    assert "sk-bf-" not in shown
    records = gateway.requests()
    assert right(records), [(one["method"], one["path"], one["query"]) for one in records]
