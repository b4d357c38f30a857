"""The gateways under test, started once each, and the table of what works on which."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bifrost_nb import Client, GatewayError
from tests.engine.engines import ENGINES, missing

from .programs import PROGRAMS, UNSET
from .report import Report
from .subjects import EMBEDDED, SUBJECTS, Limit, Subject, embedded, engine, program

_PROGRAMS = [pytest.param(path, marks=pytest.mark.gateway) for path in PROGRAMS]
_ENGINES = [*_PROGRAMS, *(pytest.param(f"engine {name}", marks=pytest.mark.gateway) for name in ENGINES.values())]
_report = Report(list(SUBJECTS))

engines_only = pytest.mark.parametrize("running", _ENGINES, indirect=True)
"""For what the embedded gateway does not simulate."""
programs_only = pytest.mark.parametrize(
    "running", _PROGRAMS or [pytest.param("", marks=(pytest.mark.real_gateway, pytest.mark.skip(UNSET)))], indirect=True
)
"""For what only a whole gateway has."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(name): the row of the table in RESULTS.md that the test belongs to")
    config.addinivalue_line(
        "markers", "real_gateway: needs a program that no machine has by itself, so it may be skipped"
    )


@pytest.fixture(scope="session", params=[*_ENGINES, *(f"embedded {dialect}" for dialect in EMBEDDED.values())])
def running(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Each gateway under test, in turn."""
    if request.param not in SUBJECTS:
        with program(request.param) as subject:
            yield subject
        return
    version = SUBJECTS[request.param]
    if request.param.startswith("embedded"):
        with embedded(version) as subject:
            yield subject
    elif reason := missing(version):
        pytest.skip(reason)
    else:
        with engine(version) as subject:
            yield subject


@pytest.fixture
def subject(running: Subject) -> Subject:
    """The gateway under test, without rules and without memory of earlier tests."""
    running.reset()
    return running


@pytest.fixture(scope="session")
def one_client(running: Subject, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """One client for all tests of a gateway: it soon knows that an engine keeps no log, and stops asking for costs."""
    return running.client(tmp_path_factory.mktemp("log"))


@pytest.fixture
def client(subject: Subject, one_client: Client) -> Client:
    """A client of the gateway under test that repeats nothing by itself."""
    return one_client


@pytest.fixture
def limit(request: pytest.FixtureRequest, subject: Subject) -> Limit:
    """`limit(words)`: the gateway itself cannot do this; the table says so in these words.

    With ``lost=True`` it can do nothing of the feature.
    """
    [feature] = request.node.get_closest_marker("feature").args
    return lambda words, lost=False: _report.limit(feature, subject.name, words, lost=lost)


LOST_ITS_PLACE = "at the end of chunk size"
"""In the words of an engine that reads a provider's stream at the wrong place, which happens to whole ones, once in
some thousand: its own fault (maximhq/bifrost issue 1613, and pull request 6383, which calls it a race)."""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):  # type: ignore[no-untyped-def]
    """Ask once more where a real engine lost its place."""
    try:
        return (yield)
    except GatewayError as error:
        subject = pyfuncitem.funcargs.get("subject")
        if not (isinstance(subject, Subject) and subject.real and LOST_ITS_PLACE in str(error)):
            raise
        subject.reset()
        pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames})
        return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """Enter the outcome of each test into the table."""
    outcome = yield
    marker = item.get_closest_marker("feature")
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if marker is not None and "running" in parameters and (call.when == "call" or not outcome.passed):
        running = getattr(item, "funcargs", {}).get("running")  # none where it did not start
        _report.enter(marker.args[0], running.name if running else parameters["running"], outcome.outcome)
    return outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With BIFROST_NB_WRITE_TABLE set the table goes into RESULTS.md; an ordinary test run leaves that alone."""
    if not os.environ.get("BIFROST_NB_WRITE_TABLE"):
        return
    try:
        _report.write(Path(__file__).with_name("RESULTS.md"))
    except ValueError as error:  # raised here, it would hide which tests failed
        session.config.get_terminal_writer().line(f"\n{error}", red=True)
        session.exitstatus = 1
