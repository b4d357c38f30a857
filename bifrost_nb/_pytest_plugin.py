"""The pytest plugin, by entry point: a marker, a client, a gate, and a run log in a temporary place.

    @pytest.mark.bifrost("demo")                       # or an address; without one, that of the settings
    def test_fast_is_good_enough(bifrost_client, bifrost_gate):
        comparison = bf.compare(["azure/fast", "azure/large"], "...", inputs=cases, score=..., client=bifrost_client)
        bifrost_gate(comparison, "azure/fast", baseline="azure/large", score="not worse by 0.02")

Loading it imports pytest alone; a run without the marker or a fixture of ours is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from . import Client, Comparison, Gate

MARKER = (
    "bifrost(base_url=None, undecided='fail'): sends to a Bifrost gateway (deselect with -m 'not bifrost'); runs are "
    "logged in a temporary place; an undecided bifrost_gate fails, or is a skip with undecided='skip'"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bifrost-log FILE``: where answers are kept, so that a second run asks only what is new."""
    group = parser.getgroup("bifrost")
    group.addoption("--bifrost-log", metavar="FILE", help="run log of tests marked bifrost (default: a temporary one)")


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known under --strict-markers."""
    config.addinivalue_line("markers", MARKER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A marked test has its run log without asking for it."""
    if item.get_closest_marker("bifrost") is not None and isinstance(item, pytest.Function):
        item.fixturenames.insert(0, "bifrost_run_log")


@pytest.fixture(scope="session")
def _bifrost_log_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One log for the session, so that tests share answers to the same questions."""
    given = request.config.getoption("--bifrost-log")
    return Path(given).absolute() if given else tmp_path_factory.mktemp("bifrost") / "runs.jsonl"


@pytest.fixture
def bifrost_run_log(_bifrost_log_path: Path) -> Iterator[Path]:
    """The path of the run log that is in force during this test: temporary, or that of ``--bifrost-log``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIFROST_RUN_LOG", str(_bifrost_log_path))
        yield _bifrost_log_path


@pytest.fixture
def bifrost_client(request: pytest.FixtureRequest, bifrost_run_log: Path) -> Iterator[Client]:
    """A `Client` of the marker's gateway, else of the settings', whose runs are in `bifrost_run_log`.

    It is what this test uses without ``client=``; clients that the test made are nobody's default after it.
    """
    from . import Client, RunLog
    from ._client.client import default_kept

    with default_kept():
        yield Client(_option(request, 0, "base_url", None), log=RunLog(bifrost_run_log))


@pytest.fixture
def bifrost_gate(request: pytest.FixtureRequest) -> Callable[..., Gate]:
    """``bifrost_gate(comparison, "candidate", baseline=..., score=...)``: `Comparison.gate`, which has to pass.

    The test fails with a sentence for each rule where it does not, also where the data does not say.
    """

    def gate(comparison: Comparison, *arguments: Any, **rules: Any) -> Gate:
        __tracebackhide__ = True
        found = comparison.gate(*arguments, **rules)
        if found.outcome == "undecided" and _option(request, 1, "undecided", "fail") == "skip":
            pytest.skip(str(found))
        if not found:
            pytest.fail(str(found), pytrace=False)
        return found

    return gate


def _option(request: pytest.FixtureRequest, place: int, name: str, default: Any) -> Any:
    """An argument of the marker nearest to the test."""
    marker = request.node.get_closest_marker("bifrost")
    if marker is None:
        return default
    return marker.args[place] if len(marker.args) > place else marker.kwargs.get(name, default)
