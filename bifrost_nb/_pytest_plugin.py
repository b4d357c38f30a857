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


_ARGUMENTS = {"base_url": None, "undecided": "fail"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--bifrost-log FILE``: where answers are kept, so that a second run asks only what is new."""
    group = parser.getgroup("bifrost")
    group.addoption("--bifrost-log", metavar="FILE", help="run log of tests marked bifrost (default: a temporary one)")


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known under --strict-markers; a log that cannot be one is told before any test is run."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--bifrost-log") is not None:
        _checked_log(config)


@pytest.hookimpl(tryfirst=True)  # before the fixtures are made
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marked test has its run log without asking for it; a marker that says something else than it may, fails."""
    if item.get_closest_marker("bifrost") is None or not isinstance(item, pytest.Function):
        return
    _marked(item)
    if "bifrost_run_log" not in item.fixturenames:  # the list is shared by all parameters of a test
        item.fixturenames = ["bifrost_run_log", *item.fixturenames]


def _checked_log(config: pytest.Config) -> Path:
    """The file of ``--bifrost-log``, where pytest was called. Raises UsageError."""
    from ._files import check_file, user_path
    from .errors import ConfigurationError

    try:
        path = config.invocation_params.dir / user_path(config.getoption("--bifrost-log"), "--bifrost-log")
        check_file(path)
    except (ConfigurationError, OSError) as error:
        raise pytest.UsageError(f"--bifrost-log cannot be used: {getattr(error, 'strerror', None) or error}") from None
    if path.is_dir():
        raise pytest.UsageError(f"--bifrost-log {path} is a folder; name a file.")
    return path


@pytest.fixture(scope="session")
def _bifrost_log_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One log for the session, so that tests share answers to the same questions."""
    if request.config.getoption("--bifrost-log") is None:
        return tmp_path_factory.mktemp("bifrost") / "runs.jsonl"
    return _checked_log(request.config)


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
        yield Client(_marked(request.node)["base_url"], log=RunLog(bifrost_run_log))


@pytest.fixture
def bifrost_gate(request: pytest.FixtureRequest) -> Callable[..., Gate]:
    """``bifrost_gate(comparison, "candidate", baseline=..., score=...)``: `Comparison.gate`, which has to pass.

    The test fails with a sentence for each rule where it does not, also where the data does not say.
    """

    def gate(comparison: Comparison, *arguments: Any, **rules: Any) -> Gate:
        __tracebackhide__ = True
        if not callable(getattr(comparison, "gate", None)):
            pytest.fail(f"bifrost_gate takes a comparison, not {type(comparison).__name__}.", pytrace=False)
        found = comparison.gate(*arguments, **rules)
        if found.outcome == "undecided" and _marked(request.node)["undecided"] == "skip":
            pytest.skip(str(found))
        if not found:
            pytest.fail(str(found), pytrace=False)
        return found

    return gate


def _marked(item: pytest.Item) -> dict[str, Any]:
    """What the markers of a test say, each word of the nearest that says it: a module's address holds for a test whose
    own marker says something else. Fails the test for what is no argument: it would be sent elsewhere, and paid for."""
    found: dict[str, Any] = {}
    for marker in item.iter_markers("bifrost"):
        given = dict(zip(_ARGUMENTS, marker.args, strict=False))
        wrong = [repr(each) for each in marker.args[len(_ARGUMENTS) :]]
        wrong += [f"{name}=" for name in marker.kwargs if name not in _ARGUMENTS or name in given]
        if wrong:
            pytest.fail(f"The marker bifrost takes base_url and undecided, not also {wrong[0]}.", pytrace=False)
        found = {**given, **marker.kwargs, **found}
    found = {**_ARGUMENTS, **found}
    if found["undecided"] not in ("fail", "skip"):
        pytest.fail(f"undecided must be 'fail' or 'skip', not {found['undecided']!r}.", pytrace=False)
    if found["base_url"] is not None and not (isinstance(found["base_url"], str) and found["base_url"].strip()):
        pytest.fail(f"The marker's base_url must be an address or 'demo', not {found['base_url']!r}.", pytrace=False)
    return found
