"""Keys are planted wherever one may be given; nothing that shows, keeps or copies anything shows one of them."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import pprint
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import matplotlib as mpl
import pandas as pd
import pytest
from IPython.core.ultratb import VerboseTB
from IPython.lib.pretty import pretty

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, Timeouts, scorers
from bifrost_nb._display.run import metadata, mimebundle
from bifrost_nb._gate.gate_files import as_junit, as_markdown
from bifrost_nb._notebook.code_export import FORMS, copy as copied
from tests import lazy
from tests.faults.server import FaultServer, Wire
from tests.thorough import some_of

from .conftest import (
    API_KEY,
    CALL_KEY,
    HEADER_KEY,
    PASSWORD,
    PLANTED,
    TOKEN,
    URL_PASSWORD,
    VIRTUAL_KEY,
    below_the_tests,
    call_headers,
    leaks,
    variables,
)

Planted = Callable[[str], Client]


def silent(wire: Wire) -> None:
    wire.wait()


def test_a_client_shows_no_key(planted: Planted, gateway: LocalGateway, tmp_path: Path) -> None:
    """Neither repr nor the dictionary of a client, its settings, its admin or its sender shows one, nor do copies."""
    client = planted(gateway.url)
    client.complete("azure/fast", "Hi", max_tokens=2, headers=call_headers())
    admin = bf.Admin(client, session_token="".join(TOKEN))
    things = [client, vars(client), client.settings, admin, vars(admin), client._sender, vars(client._sender)]
    things += [client.credentials, client.credentials.secrets, client.settings.rows()]
    things += [copy.deepcopy(client.settings), client.prepare("text", "azure/fast", "Hi", headers=call_headers())]
    for thing in things:
        assert leaks(repr(thing), str(thing), pretty(thing), pprint.pformat(thing)) == []
    assert leaks("".join(map(str, client.credentials.secrets)))[:1], "the keys themselves were there to be found"


def test_an_address_is_shown(gateway: LocalGateway) -> None:
    """What was given as an address and is one is no key."""
    assert repr(Client("demo")) == "Client('demo')"
    assert repr(Client(gateway.url)) == f"Client({gateway.url!r})"


def test_keys_are_not_pickled(planted: Planted, gateway: LocalGateway) -> None:
    """No pickle of a client, its settings, a prepared call or an error holds a key."""
    client = planted(gateway.url)
    call = client.prepare("text", "azure/fast", "Hi", headers=call_headers())
    judge = scorers.rubric("Good?", judge={"deployment": "a/b", "headers": call_headers()})
    assert leaks(repr(vars(judge))) == []
    for thing in (client, client.settings, bf.Admin(client), call, client.credentials, judge):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)
    gateway.script([{"status": 401}])
    with pytest.raises(bf.AuthenticationFailed) as caught:
        client.complete("azure/fast", "Hi", headers=call_headers())
    assert leaks(pickle.dumps(caught.value.run).decode("latin-1")) == []


def _config_with_a_key() -> dict[str, object]:
    return {"providers": {"openai": {"keys": [{"name": "k", "value": "".join([API_KEY, ""])}]}}}


def fails(planted: Planted, echo: Callable[[int], str]) -> dict[str, Callable[[], object]]:
    """Ways to fail, with keys at hand in each of them."""

    def streamed(status: int) -> None:
        with planted(echo(status)).stream("azure/fast", "Hi", headers=call_headers()) as stream:
            list(stream)

    def timed_out() -> None:
        with FaultServer(silent) as server:
            planted(server.url).complete("azure/fast", "Hi", headers=call_headers(), timeout=Timeouts(first_byte=0.3))

    def signing_in() -> None:
        bf.Admin(planted(echo(200))).models()

    client = planted("http://127.0.0.1:9")
    return {
        "refused by the gateway": lambda: planted(echo(401)).complete("azure/fast", "Hi", headers=call_headers()),
        "refused while streaming": lambda: streamed(403),
        "limited": lambda: planted(echo(429)).chat("azure/fast", "Hi", headers=call_headers()),
        "broken gateway": lambda: streamed(500),
        "moved": lambda: planted(echo(302)).complete("azure/fast", "Hi", headers=call_headers()),
        "nobody there": lambda: client.complete("azure/fast", "Hi", headers=call_headers()),
        "no response": lambda: client.respond("azure/fast", "Hi", headers=call_headers()),
        "no streamed response": lambda: client.stream_respond("fast", "Hi", headers=call_headers()),
        "no embedding": lambda: client.embed("azure/fast", "Hi", headers=call_headers()),
        "no awaited response": lambda: asyncio.run(client.arespond("azure/fast", "Hi", headers=call_headers())),
        "no awaited stream": lambda: client.astream_respond("fast", "Hi", headers=call_headers()),
        "no awaited embedding": lambda: asyncio.run(client.aembed("azure/fast", "Hi", headers=call_headers())),
        "timed out": timed_out,
        "management": signing_in,
        "wrong parameter": lambda: client.complete("azure/fast", "Hi", max_tokens=-1, headers=call_headers()),
        "wrong deployment": lambda: client.stream_chat("fast", "Hi", headers=call_headers()),
        "header with a line end": lambda: client.complete("a/b", "Hi", headers={"x-api-key": CALL_KEY + "\n"}),
        "key with a blank": lambda: Client("http://127.0.0.1:9", virtual_key="".join([VIRTUAL_KEY, " "])),
        "another key with a blank": lambda: Client("http://127.0.0.1:9", api_key="".join([API_KEY, " "])),
        "client header": lambda: Client("http://127.0.0.1:9", headers={"authorization": "\r".join([HEADER_KEY, ""])}),
        "password in the address": lambda: Client("".join(["http://user:", URL_PASSWORD, "@127.0.0.1:9"])),
        "password in a wrong address": lambda: Client("".join(["ftp://user:", URL_PASSWORD, "@127.0.0.1:9"])),
        "pairs": lambda: client.complete("a/b", "Hi", max_tokens=-1, headers=[("x-api-key", CALL_KEY)]),  # type: ignore[arg-type]
        "bytes": lambda: client.complete("a/b", "Hi", max_tokens=-1, headers={b"x-api-key": CALL_KEY.encode()}),  # type: ignore[dict-item]
        "a text for headers": lambda: client.chat("a/b", "Hi", headers=f"x-api-key: {CALL_KEY}"),  # type: ignore[arg-type]
        "a list for a header": lambda: client.chat("a/b", "Hi", headers={"x-api-key": [CALL_KEY]}),  # type: ignore[dict-item]
        "key for an address": lambda: Client("".join([API_KEY, ""])),
        "virtual key for an address": lambda: Client("".join([VIRTUAL_KEY, ""])),
        "key behind a colon": lambda: Client("".join(["localhost:", HEADER_KEY])),
        "query of an address": lambda: Client("".join(["http://127.0.0.1:9/?key=", URL_PASSWORD])),
        "key in the path of an address": lambda: Client("".join(["http://127.0.0.1:9/", VIRTUAL_KEY, "/x"])),
        "path that is the key": lambda: Client("".join(["http://127.0.0.1:9/", URL_PASSWORD]), api_key=URL_PASSWORD),
        "a frame to fill": lambda: bf.fill(
            pd.DataFrame({"a": [1]}),
            "{{b}}",
            schema={"type": "object", "properties": {"c": {"type": "integer"}}},
            deployment={"deployment": "a/b", "headers": call_headers()},
            client=client,
            headers=call_headers(),
        ),
        "receiver of spans": lambda: bf.export_spans([], "nowhere", headers={"authorization": "".join([TOKEN, ""])}),
        "key of bytes": lambda: Client("http://127.0.0.1:9", api_key=API_KEY.encode(), timeout=-1),  # type: ignore[arg-type]
        "config with a key": lambda: bf.launch_gateway(_config_with_a_key()),
        "providers with a key": lambda: bf.launch_gateway(providers={"openai": {"key": "".join([API_KEY, ""])}}),
        "compare": lambda: bf.compare(["a/b"], "Hi", client=client, max_tokens=-1, headers=call_headers()),
        "entry of compare": lambda: bf.compare(
            [{"deployment": "a/b", "headers": call_headers(), "max_tokens": -1}], "Hi", client=client
        ),
        "replay": lambda: bf.replay(
            [bf.Run(requested_provider="a", requested_model="b", prompt="x", status="ok")],
            ["a/b"],
            client=client,
            headers=call_headers(),
            max_tokens=-1,
        ),
        "dry run": lambda: bf.compare(["b"], "Hi", client=client, dry_run=True, headers=call_headers()),
        "password without a user": lambda: bf.Admin(client, session_token="".join([TOKEN, " "])),
    }


FAILS = list(fails(lambda url: None, lambda status: ""))  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("name", some_of(FAILS))
def test_no_traceback_shows_a_key(planted: Planted, echo: Callable[[int], str], name: str, log: RunLog) -> None:
    """Whatever fails: not in the error, not in any variable of our frames or of those beneath, not in the log."""
    with pytest.raises(bf.BifrostError) as caught:
        fails(planted, echo)[name]()
    error, trace = caught.value, below_the_tests(caught.value.__traceback__)
    shown = list(variables(error))
    assert len(shown) > 1
    assert [text for text in shown if leaks(text)] == []
    with_locals = traceback.TracebackException(type(error), error, trace, capture_locals=True)
    verbose = VerboseTB(theme_name="nocolor") if sys.version_info else None
    assert verbose is not None
    assert leaks("".join(with_locals.format())) == []
    assert leaks(verbose.text(type(error), error, trace)) == []
    assert error.run is None or leaks(repr(error.run), repr(vars_of(error.run))) == []
    if log.path is not None and log.path.exists():
        assert leaks(log.path.read_text()) == []


def test_cgitb_shows_no_key(planted: Planted, echo: Callable[[int], str]) -> None:
    """The most talkative traceback of the standard library, where it still exists."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        cgitb = pytest.importorskip("cgitb") if sys.version_info < (3, 13) else None
    if cgitb is None:
        return
    for act in fails(planted, echo).values():
        with pytest.raises(bf.BifrostError) as caught:
            act()
        if isinstance(caught.value, OSError):  # cgitb asks each for an attribute that most of them lack
            continue
        told = (type(caught.value), caught.value, below_the_tests(caught.value.__traceback__))
        assert leaks(cgitb.html(told), cgitb.text(told)) == []


def vars_of(run: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(run)


def test_a_gateway_that_repeats_our_keys_spreads_none(
    planted: Planted, echo: Callable[[int], str], log: RunLog, tmp_path: Path
) -> None:
    """Answer, frame, log, exports and the saved notebook hold none, though the gateway sent every one back."""
    client = planted(echo(200))
    run = client.complete("azure/fast", "Hi", headers=call_headers())
    assert "[hidden]" in run.text
    assert log.path is not None
    exports = [log.export(tmp_path / f"export.{kind}") for kind in ("csv", "jsonl")]
    bundle = mimebundle(run, ["text/markdown"])
    notebook = lazy.nbformat.v4.new_notebook()
    output = lazy.nbformat.v4.new_output("display_data", data=bundle, metadata=metadata(run))
    notebook.cells = [lazy.nbformat.v4.new_code_cell("run", outputs=[output])]
    lazy.nbformat.write(notebook, tmp_path / "x.ipynb")
    files = [path.read_text() for path in (log.path, *exports, tmp_path / "x.ipynb")]
    frames = [log.frame(), bf.to_frame([run]), bf.from_notebook(tmp_path / "x.ipynb")]
    assert leaks(*files, *(frame.to_csv() for frame in frames), repr(run), bundle) == []
    assert len(frames[2]) == 1


def test_no_attribute_of_an_error_holds_a_key(planted: Planted, echo: Callable[[int], str]) -> None:
    """Whatever a gateway calls the provider that failed: the error's attributes are as clean as its message."""
    with pytest.raises(bf.GatewayError) as raised:
        planted(echo(400)).complete("azure/fast", "Hi", headers=call_headers())
    assert leaks(repr({name: value for name, value in vars(raised.value).items() if name != "run"})) == []


def test_no_chart_holds_a_key(planted: Planted, gateway: LocalGateway) -> None:
    """Neither the text of an SVG nor a PNG with what it says of itself."""
    result = bf.compare(["azure/fast"], "Hello {{n}}", inputs={"n": [1, 2]}, client=planted(gateway.url))
    with mpl.rc_context({"svg.fonttype": "none"}):
        for name in ("latency", "ttft", "cost", "tokens", "errors"):
            figure = getattr(result.plot, name)().figure
            for kind in ("svg", "png"):
                file = io.BytesIO()
                figure.savefig(file, format=kind)
                assert leaks(file.getvalue().decode("latin-1")) == []
    assert leaks(repr(result), result._repr_html_(), result.summary().to_csv()) == []


def test_nothing_that_is_handed_on_holds_a_key(
    planted: Planted, echo: Callable[[int], str], gateway: LocalGateway, log: RunLog, tmp_path: Path
) -> None:
    """Report, workbook, CSV, spans, a gate's files and what is kept of batch jobs, though the gateway sent all back."""
    result = bf.compare(
        ["azure/fast"],
        "Hello {{n}}",
        inputs={"n": [1, 2]},
        client=planted(echo(200)),
        headers=call_headers(),
        score=scorers.contains("n"),
    )
    assert "[hidden]" in result.runs[0].text
    paths = [result.report(tmp_path / "x.html"), result.to_csv(tmp_path / "x.csv")]
    with ZipFile(result.to_excel(tmp_path / "x.xlsx")) as book:
        texts = [book.read(name).decode() for name in book.namelist()]
    gates = {"speed": result.gate("azure/fast", p95_ms=1e6, error_rate=0.1)}
    texts += [as_junit(gates, "x"), as_markdown(gates)]
    if find_spec("opentelemetry.sdk"):
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        spans = InMemorySpanExporter()
        assert bf.export_spans(result, exporter=spans, content=True) == 2
        texts += [span.to_json() for span in spans.get_finished_spans()]
    batch = bf.compare(["openai/gpt-4o-mini"], "Hi", client=planted(gateway.url), chat=True, mode="batch")
    assert log.path is not None
    paths += [log.path.with_name(f"{log.path.name}.batches"), log.path]
    texts += [repr(batch), batch._repr_html_(), batch.batches.to_csv()]
    assert leaks(*texts, *(path.read_text() for path in map(Path, paths))) == []


@pytest.mark.parametrize("form", FORMS)
def test_copied_code_names_variables(planted: Planted, gateway: LocalGateway, form: str) -> None:
    """curl, httpx, SDK and magic: keys become environment variables, other headers stay."""
    client = planted(gateway.url)
    run = client.complete("azure/fast", "Hi", max_tokens=2, headers=call_headers())
    code = str(copied(client, run, form))
    assert leaks(code) == []
    if form in ("curl", "httpx"):
        assert {"BIFROST_VIRTUAL_KEY", "BIFROST_API_KEY", "X_PORTKEY_AUTH"} <= set(code.replace("$", '"').split('"'))


def test_the_embedded_gateway_logs_no_key(planted: Planted, gateway: LocalGateway) -> None:
    """Its log, its answers about itself and its command line hold none of what it was sent."""
    client = planted(gateway.url)
    client.complete("azure/fast", "Hi", max_tokens=2, headers=call_headers())
    sent = str([one["headers"] for one in gateway.requests() if one["method"] == "POST"])
    assert leaks(sent) == sorted({VIRTUAL_KEY, API_KEY, HEADER_KEY, CALL_KEY}), "they were sent"
    import httpx

    for path in (
        "/api/logs",
        "/api/providers",
        "/api/governance/virtual-keys",
        "/api/config",
        "/v1/models",
        "/metrics",
    ):
        assert leaks(httpx.get(gateway.url + path, params={"limit": 100}).text) == []
    if Path("/proc").exists():
        assert leaks(Path(f"/proc/{gateway.pid}/cmdline").read_text()) == []


def test_doctor_and_configuration_show_no_key(planted: Planted, echo: Callable[[int], str]) -> None:
    """What people paste into reports."""
    client = planted(echo(401))
    found = bf.doctor(client)
    assert leaks(repr(found), found._repr_html_(), found.frame.to_csv(), repr(client.settings)) == []


def test_warnings_and_log_errors_show_no_key(planted: Planted, gateway: LocalGateway, tmp_path: Path) -> None:
    """A log that fails is warned of in words of our own."""
    client = planted(gateway.url)
    client._log = RunLog(tmp_path)  # a folder
    with pytest.warns(RuntimeWarning) as caught:
        client.complete("azure/fast", "Hi", max_tokens=2, headers=call_headers())
    assert leaks(*(warning.message for warning in caught)) == []


def test_what_is_planted_can_be_found() -> None:
    """The search itself works: each planted key is found where it stands."""
    assert leaks(" ".join(PLANTED)) == sorted(PLANTED)
    assert len(PLANTED) == 8
    assert PASSWORD in PLANTED


TOOL_KEY = "tool-" + "KEY" + "-of-a-server"
SERVERS: dict[str, Any] = {
    "authorization": {"tools": [{"type": "mcp", "server_label": "a", "authorization": TOOL_KEY}]},
    "headers": {"tools": [{"type": "mcp", "server_label": "a", "headers": {"X-Api-Key": TOOL_KEY, "x-team": "blue"}}]},
    "scheme": {"tools": [{"type": "mcp", "server_label": "a", "headers": {"Authorization": f"Bearer {TOOL_KEY}"}}]},
    "query": {"tools": [{"type": "mcp", "server_label": "a", "server_url": f"https://h/x?v=1&api_key={TOOL_KEY}#a"}]},
    "password": {"tools": [{"type": "mcp", "server_label": "a", "server_url": f"https://me:{TOOL_KEY}@h/x"}]},
    "Anthropic's": {"extra": {"mcp_servers": [{"url": "https://h/x", "authorization_token": TOOL_KEY}]}},
}


@pytest.mark.parametrize("kind", some_of(SERVERS, 3))
def test_a_key_for_a_server_of_tools_is_sent_and_not_shown(
    client: Client, gateway: LocalGateway, tmp_path: Path, kind: str
) -> None:
    """It goes to the gateway whole, and into no run, frame, log, pickle, report or copy; the same call is the same."""
    asked = SERVERS[kind]
    run = client.chat("openai/gpt-4o-mini", "Hi", max_tokens=5, **asked)
    for _ in range(2):
        compared = bf.compare(["openai/gpt-4o-mini"], "Hi {{i}}", inputs={"i": [1]}, client=client, chat=True, **asked)
    shown = [repr(run), str(run.params), str(mimebundle(run)), str(pickle.dumps(run)), bf.to_frame([run]).to_csv()]
    played = bf.playground(["openai/gpt-4o-mini"], "Hi", api="chat", max_tokens=5, client=client, **asked).run()
    played.wait(30)
    shown += [repr(compared.plan), repr(played.form), str(played.kept()), played.code(), str(vars(played.view.form))]
    shown += [str(pickle.dumps(compared)), compared.report(tmp_path / "r.html").read_text("utf-8")]
    shown += [str(copied(client, run, form)) for form in FORMS] + [client.log.path.read_text("utf-8")]
    assert not [text for text in shown if TOOL_KEY in text]
    assert "[hidden]" in shown[0] + shown[1]
    with pytest.raises(bf.ConfigurationError, match="the keys of its tools are not recorded"):
        bf.replay(client.log.frame(), ["openai/gpt-4o"], client=client)
    bf.replay(client.log.frame(limit=1), ["openai/gpt-4o"], client=client, **asked)
    sent = [str(one["body"]) for one in gateway.requests() if one["path"].endswith("completions")]
    assert [TOOL_KEY in body for body in sent] == [True] * 4


def test_a_tool_without_keys_is_recorded_as_it_is(client: Client) -> None:
    """Schemas that speak of keys, addresses without any, and short words stay."""
    schema = {"type": "object", "properties": {"api_key": {"type": "string", "default": "a long default"}}}
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": schema, "token": "a long word"}},
        {
            "type": "mcp",
            "server_url": "https://h/x?transport=streamable-http&v=1",
            "headers": {"x-team": "the blue one"},
        },
        {"type": "mcp", "authorization": "none", "auth_type": "connection-managed", "author": "Somebody Long"},
    ]
    assert client.chat("openai/gpt-4o-mini", "Hi", max_tokens=5, tools=tools).params["tools"] == tools
