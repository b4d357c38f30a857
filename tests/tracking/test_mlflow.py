"""A comparison as a run of MLflow, read back by MLflow itself from a file store."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import bifrost_nb as bf
from bifrost_nb import BifrostError, Client, Comparison, ConfigurationError, LocalGateway, RunLog, scorers
from tests import lazy

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # version 3.17 wants to be asked for it, when it is loaded
if find_spec("mlflow") is None:
    pytest.skip("needs the extra mlflow", allow_module_level=True)

KEY = "sk-bf-secret-0123456789"


@pytest.fixture
def comparison(gateway: LocalGateway, log: RunLog) -> Comparison:
    """Two deployments and two templates, one answer is a fallback's."""
    gateway.script([{"deployment": "azure/large", "prompt": "kindly tea", "status": 500}])
    client = Client(gateway.url, api_key=KEY, log=log, retries=0)
    return bf.compare(
        ["azure/fast", {"deployment": "azure/large", "name": "../large", "temperature": 0.5}],
        {"short": "Say {{x}}.", "long": f"Say kindly {{{{x}}}}. {KEY}"},
        inputs={"x": ["tea", "rain"]},
        score=scorers.length(max=1_000),
        fallbacks=["openai/gpt-3.5-turbo-instruct"],
        max_tokens=4,
        client=client,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """The address of a file store, and MLflow's own client of it."""
    before = lazy.mlflow.get_tracking_uri()
    address = (tmp_path / "mlruns").as_uri()
    yield address, lazy.mlflow.MlflowClient(tracking_uri=address)
    lazy.mlflow.set_tracking_uri(before)


def test_what_mlflow_reads_back(comparison: Comparison, store: tuple[str, Any], tmp_path: Path) -> None:
    """Metrics are the summary's figures, tables and report are there, no key is, unknown is no number."""
    address, client = store
    run_id = bf.export_mlflow(comparison, experiment="taglines", tracking_uri=address, tags={"team": "blue"})
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "taglines"
    assert (run.data.tags["team"], run.data.tags["bifrost.comparison_id"]) == ("blue", comparison.id)
    assert run.data.params["parameters/temperature"] == "null, 0.5"
    assert run.data.params["repeats"] == "1"
    summary = comparison.summary(by="variant")
    assert len(summary) > summary["variant"].nunique()  # one has answers of two deployments
    numbers = summary.select_dtypes("number")
    assert len(run.data.metrics) == int(numbers.notna().sum().sum())
    row = summary[summary["variant"] == "azure/fast · short"].iloc[0]
    for column in ("score_mean", "total_ms_p50", "runs"):
        assert run.data.metrics[f"azure/fast _ short/{column}"] == pytest.approx(row[column])
    names = {item.path for item in client.list_artifacts(run_id)}
    assert names == {"summary.json", "answers.json", "report.html"}
    table = json.loads(Path(client.download_artifacts(run_id, "answers.json", str(tmp_path))).read_text())
    assert len(table["data"]) == len(comparison.runs)
    responses = [each[table["columns"].index("response")] for each in table["data"]]
    assert responses == comparison.frame["response"].tolist()
    found = bf.load_report(client.download_artifacts(run_id, "report.html", str(tmp_path)))
    assert found["response"].tolist() == comparison.frame["response"].tolist()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "mlruns" in str(path))
    assert b"tea" in everything
    assert KEY.encode() not in everything


@pytest.mark.parametrize("hook", [lambda text, what: text.replace("private", "[words]"), lambda text, what: None])
def test_what_a_hook_leaves_out_of_files_stays_out(
    gateway: LocalGateway, log: RunLog, store: tuple[str, Any], tmp_path: Path, hook: Any
) -> None:
    """Parameters with texts, answers, reasons and inputs: as the client's hook wants them; no header's key anywhere."""
    gateway.script([{"text": "a private answer"}])
    comparison = bf.compare(
        [{"deployment": "openai/gpt-4o-mini", "system": "be private", "stop": ["private."], "headers": {"x-key": KEY}}],
        "private {{n}}",
        inputs={"n": ["1", "private"]},
        score=lambda run: scorers.Score(1.0, reason=f"{run.text} {KEY}"),
        user="private",
        client=Client(gateway.url, log=log, redact=hook),
    )
    run_id = bf.export_mlflow(comparison, tracking_uri=store[0], tags={"note": KEY})
    assert "parameters/stop" in store[1].get_run(run_id).data.params
    everything = b"".join(path.read_bytes() for path in (tmp_path / "mlruns").rglob("*") if path.is_file())
    assert b"azure" in everything or b"openai/gpt-4o-mini" in everything
    assert b"private" not in everything
    assert KEY.encode() not in everything


def test_inside_a_run_it_is_a_child(comparison: Comparison, store: tuple[str, Any]) -> None:
    """It goes where the user's run is, leaves that open, and the report can be left out."""
    address, client = store
    lazy.mlflow.set_tracking_uri(address)
    with lazy.mlflow.start_run() as parent:
        run_id = bf.export_mlflow(comparison, run_name="today", report=False)
        assert lazy.mlflow.active_run().info.run_id == parent.info.run_id
    run = client.get_run(run_id)
    assert (run.info.run_name, run.data.tags["mlflow.parentRunId"]) == ("today", parent.info.run_id)
    assert {item.path for item in client.list_artifacts(run_id)} == {"summary.json", "answers.json"}
    assert client.get_run(parent.info.run_id).data.metrics == {}


def test_what_it_refuses(comparison: Comparison, store: tuple[str, Any], tmp_path: Path) -> None:
    """Wrong arguments are told before anything is made; what MLflow refuses is one error without a password."""
    with pytest.raises(ConfigurationError, match="takes a comparison, not DataFrame"):
        bf.export_mlflow(comparison.frame)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="tags must map names to text"):
        bf.export_mlflow(comparison, tags={"n": 1})  # type: ignore[dict-item]
    for odd in (5, ["a"], b"x", "a\0b", "\ud800"):
        for name in ("experiment", "run_name", "tracking_uri"):
            with pytest.raises(ConfigurationError, match=f"^{name} (must be text|holds a character)"):
                bf.export_mlflow(comparison, **{"tracking_uri": store[0], name: odd})
    for tags in ([1], "x", {"a": "\0"}, {"a": "\ud800"}):
        with pytest.raises(ConfigurationError, match="tag"):
            bf.export_mlflow(comparison, tags=tags, tracking_uri=store[0])  # type: ignore[arg-type]
    with pytest.raises(BifrostError, match="MLflow did not take the comparison") as refused:
        bf.export_mlflow(comparison, tracking_uri="nowhere://user:sesame123@host/x")
    assert "sesame123" not in str(refused.value)
    address, client = store
    gone = client.create_experiment("gone")
    client.delete_experiment(gone)
    with pytest.raises(BifrostError, match="non-active experiment"):
        bf.export_mlflow(comparison, experiment="gone", tracking_uri=address)


def test_a_key_is_in_no_name(comparison: Comparison, store: tuple[str, Any]) -> None:
    """Nor in a run's name, nor in the name of a tag; our own tag says which comparison it was, whatever tags say."""
    address, client = store
    tags = {"who": KEY, KEY: "x", "bifrost.comparison_id": "another"}
    run = client.get_run(
        bf.export_mlflow(comparison, run_name=f"with {KEY}", tags=tags, tracking_uri=address, report=False)
    )
    assert KEY not in str(run.to_dictionary())
    assert (run.info.run_name, run.data.tags["who"]) == ("with [hidden]", "[hidden]")
    assert run.data.tags["bifrost.comparison_id"] == comparison.id


def test_a_server_that_goes_away(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the run and then nothing: the error is why, not that the run could not be closed either."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            made = b'{"run": {"info": {"run_id": "r1", "experiment_id": "0"}, "data": {}}}'
            good = self.path.endswith("runs/create")
            body = made if good else f'{{"error_code": "INTERNAL_ERROR", "message": "full of {KEY}"}}'.encode()
            self.send_response(200 if good else 500)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever).start()
        with pytest.raises(BifrostError, match=r"MLflow did not take the comparison: .*log-batch failed") as refused:
            bf.export_mlflow(comparison, tracking_uri=f"http://127.0.0.1:{server.server_port}", report=False)
        server.shutdown()
    assert KEY not in str(refused.value)


def test_without_the_extra(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the library."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigurationError, match="pip install mlflow-skinny"):
        bf.export_mlflow(comparison)


def test_inputs_of_any_type_are_there_as_text(client: Client, store: tuple[str, Any], tmp_path: Path) -> None:
    """Paths, bytes, pictures beside none: what JSON has no form for is no reason to lose the export."""
    inputs = {
        "x": ["tea", "rain"],
        "path": [tmp_path / "a", None],
        "bytes": [b"\xff", "text"],
        "picture": [Image.new("RGB", (2, 2)), None],
        "tools": [[{"type": "function"}], None],
    }
    comparison = bf.compare(["azure/fast"], "Say {{x}}.", inputs=inputs, client=client)
    run_id = bf.export_mlflow(comparison, tracking_uri=store[0], report=False)
    path = lazy.mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="answers.json", tracking_uri=store[0])
    table = json.loads(Path(path).read_text())
    told = dict(zip(table["columns"], table["data"][0], strict=True))
    assert (told["input_path"], told["input_bytes"]) == (str(tmp_path / "a"), "b'\\xff'")
    assert told["input_picture"].startswith("<PIL.Image")
    assert told["input_tools"] == [{"type": "function"}]
