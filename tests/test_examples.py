"""The examples of the public names do what they show: each is run as it stands, before the embedded gateway."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import LocalGateway

from .test_docstrings import ERRORS, NAMES, doc, examples

TAKES_PLACE_ELSEWHERE = {
    "Gate": "its rules need hundreds of inputs: tests/gate",
    "LaunchedGateway": "needs a gateway program: tests/launch",
    "launch_gateway": "needs a gateway program: tests/launch",
    "export_mlflow": "needs MLflow's server: tests/tracking",
    "export_spans": "needs a collector: tests/tracking",
    "from_notebook": "needs a notebook that was run: tests/notebook",
    "load_curve": "takes a minute: tests/load",
    "LoadCurve": "takes twenty seconds: tests/load",
}
RUN = [name for name in NAMES if name not in ERRORS and name not in TAKES_PLACE_ELSEWHERE]


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
        pictures = {"what": [f"bird {number}" for number in range(8)]}
        comparison = bf.compare(
            ["azure/fast", "azure/large"], "Name a {{what}}.", inputs=pictures, client=client, max_tokens=4, score=right
        )
        for name in ("today.html", "main.html", "report.html"):
            comparison.report(name)
        client.speech("openai/gpt-4o-mini-tts", "Hi", voice="alloy", path="a.mp3")
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
        }


@pytest.mark.parametrize("name", RUN)
def test_the_example_runs(name: str, known: dict[str, Any]) -> None:
    """Pasted into a cell after `import bifrost_nb as bf` and a client, an example works."""
    bf.Client(known["client"].base_url)  # what is called without client= asks it
    names = dict(known)
    for example in examples(doc(getattr(bf, name))):
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
                if type(made).__module__.partition(".")[0] in ("openai", "botocore"):
                    made.close()


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
