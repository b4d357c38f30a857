"""A comparison on MLflow's own tracking server: over HTTP, into a database, files through the server.

The extra has what talks to a server and no server; that comes with all of MLflow. BIFROST_NB_MLFLOW names its program::

    BIFROST_NB_MLFLOW=$(.ci/mlflow.sh) pytest tests/tracking/test_mlflow_server.py
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog, scorers
from tests import lazy

if find_spec("mlflow") is None:
    pytest.skip("needs the extra mlflow", allow_module_level=True)
PROGRAM = os.environ.get("BIFROST_NB_MLFLOW", "")
pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="BIFROST_NB_MLFLOW names no program of all of MLflow, which has the server"
)
KEY = "sk-bf-secret-0123456789"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of MLflow on this machine; its processes end with the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PROGRAM, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [f"--backend-store-uri=sqlite:///{tmp_path}/mlflow.db", f"--artifacts-destination={tmp_path}/files"]
    log = tmp_path / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no server of MLflow: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.timeout(300)
def test_a_server_gives_back_what_it_was_given(server: str, gateway: LocalGateway, log: RunLog, tmp_path: Path) -> None:
    """The run is found by its tag and its figures, the files come back whole, no key reached database or files."""
    client = Client(gateway.url, api_key=KEY, log=log)
    comparison = bf.compare(
        ["azure/fast", "azure/large"],
        {"short": "Say {{x}}.", "long": f"Say kindly {{{{x}}}}. {KEY}"},
        inputs={"x": ["tea", "rain"]},
        score=scorers.length(max=1_000),
        max_tokens=4,
        client=client,
    )
    made = bf.export_mlflow(comparison, experiment="taglines", tracking_uri=server, tags={"team": "blue"})
    store = lazy.mlflow.MlflowClient(tracking_uri=server)
    experiment = store.get_experiment_by_name("taglines")
    asked = "tags.team = 'blue' and metrics.\"azure/fast _ short/score_mean\" > 0.5"
    (run,) = store.search_runs([experiment.experiment_id], filter_string=asked)
    assert (run.info.run_id, run.info.status) == (made, "FINISHED")
    summary = comparison.summary(by="variant").select_dtypes("number")
    assert len(run.data.metrics) == int(summary.notna().sum().sum())
    table = json.loads(Path(store.download_artifacts(made, "answers.json", str(tmp_path))).read_text())
    responses = [each[table["columns"].index("response")] for each in table["data"]]
    assert responses == comparison.frame["response"].tolist()
    report = bf.load_report(store.download_artifacts(made, "report.html", str(tmp_path)))
    assert report["response"].tolist() == comparison.frame["response"].tolist()
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "runs.jsonl"]
    assert any(path.suffix == ".db" for path in kept)
    assert [path.name for path in kept if KEY.encode() in path.read_bytes()] == []
