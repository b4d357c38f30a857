"""The examples of public names and methods do what they show: each is run as it stands, before the embedded gateway."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import LocalGateway, charts

from .test_docstrings import ERRORS, MEMBERS, NAMES, doc, examples

TAKES_PLACE_ELSEWHERE = {
    "Gate": "its rules need hundreds of inputs: tests/gate",
    "LaunchedGateway": "needs a gateway program: tests/launch",
    "launch_gateway": "needs a gateway program: tests/launch",
    "export_mlflow": "needs MLflow's server: tests/tracking",
    "export_spans": "needs a collector: tests/tracking",
    "from_notebook": "needs a notebook that was run: tests/notebook",
    "load_curve": "takes a minute: tests/load",
    "LoadCurve": "takes twenty seconds: tests/load",
    "LoadCurve.plot": "takes twenty seconds: tests/load",
    "LaunchedGateway.stop": "needs a gateway program: tests/launch",
}
THINGS = {**{name: getattr(bf, name) for name in NAMES if name not in ERRORS}, **MEMBERS}
RUN = [name for name in THINGS if name not in TAKES_PLACE_ELSEWHERE]


@pytest.fixture(scope="module")
def known(shared_gateway: LocalGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the examples take for granted: a client, a day's runs, data, prompts, reports, packages."""
    shared_gateway.reset()
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("BIFROST_RUN_LOG", str(folder / "log.jsonl"))
        patch.setenv("OPENAI_API_KEY", "none")
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        client = bf.Client(shared_gateway.url)
        right = bf.scorers.regex(".")
        birds = {
            "what": [f"bird {number}" for number in range(8)],
            "city": "Rome",
            "amount": 3,
            "total": 3,
            "expected": '{"total": 3}',
            "must_mention": "bird",
        }
        comparison = bf.compare(
            ["azure/fast", "azure/large"],
            "Name a {{what}}.",
            inputs=pd.DataFrame(birds),
            client=client,
            max_tokens=4,
            score=right,
        )
        comparison.score(right=right, mentions=bf.scorers.contains("bird"), brief=bf.scorers.length(400))
        for name in ("today.html", "main.html", "report.html"):
            comparison.report(name)
        for name in ("a.mp3", "morning.mp3"):
            client.speech("openai/gpt-4o-mini-tts", "Hi", voice="alloy", path=name)
        prompt = bf.prompt("marketing/tagline", create=True, client=client)
        for _ in range(2):
            prompt = prompt.commit("Write a tagline for {{product}}.", message="first")
        yield {
            "bf": bf,
            "client": client,
            "comparison": comparison,
            "deployments": ["azure/fast", "azure/large"],
            "new": "Advertise {{product}}.",
            "password": "secret",
            "products": {"product": ["tea"]},
            "reviews": pd.DataFrame({"text": ["Good.", "Bad."]}),
            "rows": pd.DataFrame({"country": ["France", "Peru"]}),
            "admin": bf.Admin(client),
            "charts": charts,
            "frame": comparison.frame,
            "scorers": bf.scorers,
            "run": comparison.runs[0],
        }


def taken_for_granted(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """`known`, with an object of the class whose method is shown: it may end it, or need what was done before."""
    client, comparison = known["client"], known["comparison"]
    kind = name.partition(".")[0]
    if kind == "Playground":
        values = {"what": "bird"}
        play = bf.playground(["azure/fast"], "Please name a {{what}}.", values=values, client=client, max_tokens=4)
        play.keep("long")
        play.update(prompt="Name a {{what}}.").keep("short")
        play.run().wait()
        return {**known, "play": play}
    if kind == "LocalGateway":
        gateway = bf.local_gateway(speed=20)
        bf.Client(gateway.url).chat("openai/gpt-4o-mini", "Hi")
        return {**known, "gateway": gateway}
    make: dict[str, tuple[str, Callable[[], Any]]] = {
        "BatchComparison": (
            "batch",
            lambda: bf.compare(["openai/gpt-4o-mini"], "Name a bird.", mode="batch", client=client),
        ),
        "Judgement": ("judged", lambda: comparison.judge("Which?", judge="openai/gpt-4o-mini", limit=2)),
        "Replayed": ("replayed", lambda: bf.replay(known["frame"].head(3), ["azure/large"], client=client)),
        "TextDiff": ("changes", lambda: comparison.diff("azure/fast", "azure/large")),
        "Vote": ("vote", lambda: comparison.vote(limit=2)),
    }
    if name == "Comparison.disagreements":
        schema = {"type": "object", "properties": {"bird": {"type": "string"}}, "required": ["bird"]}
        typed = bf.compare(["azure/fast", "azure/large"], "Name a bird.", client=client, schema=schema)
        return {**known, "comparison": typed}
    if kind in make:
        return {**known, make[kind][0]: make[kind][1]()}
    return dict(known)


@pytest.mark.parametrize("name", RUN)
def test_the_example_runs(name: str, known: dict[str, Any]) -> None:
    """Pasted into a cell after `import bifrost_nb as bf` and a client, an example works."""
    bf.Client(known["client"].base_url)  # what is called without client= asks it
    names = taken_for_granted(name, known)
    for example in examples(doc(THINGS[name])):
        for package in ("boto3", "openai", "pydantic"):
            if f"{package}." in example and f"bf.sdk('{package}')" not in example:
                names.setdefault(package, pytest.importorskip(package))
        code = compile(example, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        try:
            result = eval(code, names)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        finally:
            for made in names.values():  # a user's kernel ends; here sockets would be left to whoever comes next
                if type(made).__module__.partition(".")[0] in ("openai", "botocore") or isinstance(made, bf.Playground):
                    made.close()
                elif isinstance(made, bf.LocalGateway):
                    made.stop()


def test_the_readme_runs(gateway: LocalGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snippets one after another ask the client that they made, though the settings name where nobody listens."""
    for package in ("openai", "mlflow", "opentelemetry.exporter.otlp.proto.http"):
        pytest.importorskip(package)
    from tests.tracking.receiver import Receiver

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIFROST_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "runs.jsonl"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert sum('bf.Client("demo")' in each for each in snippets) == 1
    with Receiver() as receiver:
        names: dict[str, Any] = {}
        for each in snippets:
            code = each.replace('"demo"', repr(gateway.url)).replace('"http://localhost:4318"', repr(receiver.url))
            if "bf.difference(frame" in code:  # any frame of runs
                bf.Client(gateway.url)
                names["frame"] = bf.compare(["azure/fast", "azure/large"], "Hi", max_tokens=2).frame
            exec(compile(code, "README.md", "exec"), names)
        names["openai"].close()
        assert len(receiver.spans) == len(names["comparison"].runs)
    assert set(bf.runs()["status"].dropna()) == {"ok"}
    assert (tmp_path / "report.html").exists()
