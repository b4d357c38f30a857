"""Shared by all tests: a run log of their own, an embedded gateway, and no silent skips where none is allowed."""

from __future__ import annotations

import gc
import importlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bifrost_nb import Client
from bifrost_nb._client.client import forget_clients
from bifrost_nb._runs.log.log import RunLog
from bifrost_nb._simulator.process import LocalGateway, local_gateway

NO_SKIP = bool(os.environ.get("BIFROST_NB_NO_SKIP"))
THOROUGH = bool(os.environ.get("BIFROST_NB_THOROUGH"))
gc.disable()  # until all files are collected, see below

SDKS = (
    "tests/sdks/",
    "tests/simulator/test_sdk_routes_",
    "tests/security/test_closed.py",
    "tests/faults/test_network_route.py",
)
"""Files that load most of the SDKs, for which a process needs ten seconds."""
LONG = (
    "tests/simulator/test_captures.py",
    "tests/gate/test_workflow.py",
    "tests/faults/test_load.py",
    "tests/load/test_load_curve.py",
    "tests/compare/test_claims.py",
)
"""Files with few tests, which take long: they would come last, while the other processes have ended."""

# The same examples in every run of the same code, and no time limits on a busy machine: a change is judged by itself.
# What looks for new examples asks for it by BIFROST_NB_FUZZ.
settings.register_profile(
    "bifrost-nb",
    deadline=None,
    derandomize=not os.environ.get("BIFROST_NB_FUZZ"),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("bifrost-nb")

# Containers often forbid bytecode: then each of the hundreds of gateways and kernels that the tests start would compile
# the whole package again, which is three quarters of the time that a gateway takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The processes of the tests share the cores: numpy's threads, which wait by spinning, made a test of a second take ten.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by the processes that pytest starts, and what they start


@pytest.hookimpl(optionalhook=True)  # there may be no pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes: what shares a server, a kernel or a browser stays in one of them.

    That is a file as a rule, the browser's tests (in two halves, which take as long as each other, and the notebooks,
    where all of them run), the gateways under test, all that runs in one version of the kernel, and what loads the
    SDKs. The browser's and the few long tests of tests/fuzz run for minutes: they come first, then what has most
    tests. Marks, which `--dist loadgroup` reads, are lost with pytest 9.2 (pytest-xdist issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    browsers, notebooks = ("tests/browser", "tests/browser of widgets"), "tests/browser/test_notebooks.py"
    widgets = tuple(f"tests/browser/test_{name}" for name in ("grid", "playground", "report"))

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith("tests/browser/") and not (THOROUGH and file == notebooks):
                return browsers[file.startswith(widgets)]
            if file.startswith("tests/conformance/"):
                return "tests/conformance"
            if file.startswith(SDKS):
                return "tests/sdks"
            kernel = re.search(r"\bipykernel-[\d.]+", nodeid) if file.startswith("tests/kernels/") else None
            return kernel[0] if kernel else file

        def _assign_work_unit(self, node: Any) -> None:
            fuzz = [scope for scope in self.workqueue if scope.startswith("tests/fuzz/")]
            for scope in (*fuzz, *LONG, notebooks, *browsers):
                if scope in self.workqueue:
                    self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Collecting is quicker without garbage collections, and where not every process compiles all the files.

    In a fresh clone that takes nine seconds: each process imports another part of the files first, so that the others
    find them compiled.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    root, number = session.config.rootpath, int(worker["workerid"].removeprefix("gw"))
    places = [root / each.partition("::")[0] for each in session.config.args]
    files = sorted(file for place in places for file in ([place] if place.is_file() else place.rglob("test_*.py")))
    for file in files[number :: worker["workercount"]]:
        with suppress(Exception, pytest.skip.Exception, pytest.fail.Exception):  # collection tells it
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked thorough is left out, but in `.ci/run` and where it is named alone: `pytest file.py::test`."""
    if THOROUGH or any("::" in each for each in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_collection_finish() -> None:
    """What all the test files hold is left out of garbage collections, of which each would take 0.4 s.

    IPython collects whenever a shell ends, so for each test of the magic.
    """
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """What is left is looked through once: pytest would do it five times more, and Python twice as it ends."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Where BIFROST_NB_NO_SKIP is set a skip is a failure: all that a test needs is there.

    Only real gateways and the folder beside the repository may be missing.
    """
    report = yield
    may_be_missing = any(item.get_closest_marker(name) for name in ("real_gateway", "shared"))
    if NO_SKIP and report.skipped and not may_be_missing and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although BIFROST_NB_NO_SKIP is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's settings, run log or caches, and the interrupt key works.

    A shell that starts a job in the background lets it ignore that key, and its children with it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BIFROST_") and not name.startswith("BIFROST_NB_")]:
            patch.delenv(name)
        patch.setenv("BIFROST_RUN_LOG", str(folder / "runs.jsonl"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("MPLBACKEND", "Agg")
        yield


@pytest.fixture(autouse=True)
def _no_client_of_another_test() -> None:
    """What is called without ``client=`` uses the client that this test made last, or none."""
    forget_clients()


@pytest.fixture(scope="session")
def shared_gateway() -> Iterator[LocalGateway]:
    """One quick embedded gateway for the whole session; use `gateway`, which clears it."""
    with local_gateway(speed=20) as gateway:
        _started.append(gateway)
        yield gateway


_started: list[LocalGateway] = []


@pytest.fixture(scope="module", autouse=True)
def _no_script_of_another_file() -> None:
    """A file that uses `shared_gateway` does not meet what another told it, which may be to answer never."""
    for gateway in _started:
        gateway.reset()


@pytest.fixture
def gateway(shared_gateway: LocalGateway) -> LocalGateway:
    """The embedded gateway without scripts and without records of earlier tests."""
    shared_gateway.reset()
    return shared_gateway


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    """An empty run log of this test's own."""
    return RunLog(tmp_path / "runs.jsonl")


@pytest.fixture
def client(gateway: LocalGateway, log: RunLog) -> Client:
    """A client of the embedded gateway that waits for nobody and logs into this test's own log."""
    return Client(gateway.url, log=log)
