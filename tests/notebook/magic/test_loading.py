"""Loading and unloading: quiet, repeatable, without traces; ``%config`` checked and harmless."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from bifrost_nb import _settings as settings
from bifrost_nb._simulator.process import LocalGateway

from .conftest import TEXT

Cell = Callable[[str], ExecutionResult]


def traces(shell: InteractiveShell) -> dict[str, Any]:
    magics = shell.magics_manager.magics
    return {
        "line": sorted(magics["line"]),
        "cell": sorted(magics["cell"]),
        "registry": sorted(shell.magics_manager.registry),
        "configurables": [type(each).__name__ for each in shell.configurables],
        "matchers": len(shell.Completer.custom_matchers) if shell.Completer else 0,
        "config layer": settings._notebook_config(),
    }


def test_loading_is_silent_and_sends_nothing(run: Cell, gateway: LocalGateway) -> None:
    """%load_ext prints nothing and asks nobody."""
    with capture_output() as shown:
        run("%unload_ext bifrost_nb")
        run("%load_ext bifrost_nb")
    assert (shown.stdout, shown.stderr, shown.outputs) == ("", "", [])
    asked = [record["path"] for record in gateway.requests()]
    assert [path for path in asked if not path.startswith("/api/logs")] == []  # the cost of an earlier test's run


def test_unloading_removes_everything(run: Cell, shell: InteractiveShell) -> None:
    """After unloading the shell is as it was before loading, however often it was loaded."""
    run("%unload_ext bifrost_nb")
    before = traces(shell)
    for _ in range(3):
        run("%load_ext bifrost_nb")
        loaded = traces(shell)
        run("%load_ext bifrost_nb")
        run("%reload_ext bifrost_nb")
        assert traces(shell) == loaded
        run("%unload_ext bifrost_nb")
        assert traces(shell) == before
    assert loaded != before


def test_reloading_works_and_leaves_no_thread(run: Cell, shell: InteractiveShell) -> None:
    """%reload_ext gives a working magic and starts no further thread."""
    run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi")
    threads = threading.active_count()
    for _ in range(3):
        run("%reload_ext bifrost_nb")
        assert run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi").success
    assert threading.active_count() <= threads


def test_somebody_elses_magic_stays(shell: InteractiveShell, run: Cell) -> None:
    """Where %%bifrost is taken, it stays what it was, a warning says so, and %%bifrost_nb works."""
    run("%unload_ext bifrost_nb")
    other = lambda line, cell=None: "other"  # noqa: E731
    shell.register_magic_function(other, "line_cell", "bifrost")
    with pytest.warns(UserWarning, match="use %%bifrost_nb"):
        shell.extension_manager.load_extension("bifrost_nb")
    assert run("%%bifrost x\ny").result == "other"
    assert run(f"%%bifrost_nb {TEXT} --quiet --max-tokens 2\nhi").success
    run("%unload_ext bifrost_nb")
    assert run("%%bifrost x\ny").result == "other"


def test_config_reaches_the_client(run: Cell, gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """%config comes before the environment and shows as the origin."""
    monkeypatch.setenv("BIFROST_BASE_URL", "http://127.0.0.1:9")
    run(f"%config Bifrost.base_url = {gateway.url!r}")
    assert run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi").success
    assert {"name": "base_url", "value": gateway.url, "from": "%config"} in run("%bifrost config").result


@pytest.mark.parametrize(
    "setting",
    [
        "base_url = 'not an address'",
        "base_url = 'http://user:secret@host'",
        "base_url = 5",
        "timeout = -1",
        "timeout = 'soon'",
        "short_errors = 'perhaps'",
    ],
)
def test_a_bad_value_never_breaks_reloading(run: Cell, setting: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A refused %config value is named, changes nothing, and %reload_ext goes on working."""
    run(f"%config Bifrost.{setting}")
    with pytest.warns(UserWarning, match=f"Bifrost.{setting.split()[0]} is ignored"):
        run("%reload_ext bifrost_nb")
    assert run("%reload_ext bifrost_nb").success
    assert run(f"%%bifrost {TEXT} --quiet --max-tokens 2\nhi").success


def test_a_client_that_takes_the_place_of_config_is_named(run: Cell, gateway: LocalGateway) -> None:
    """One that is made after %config is the default: where the address comes from says so."""
    run(f"%config Bifrost.base_url = {gateway.url!r}\nimport bifrost_nb as bf")
    run("passing = bf.Client('http://127.0.0.1:9')")
    [row] = [row for row in run("%bifrost config").result if row["name"] == "base_url"]
    assert (row["value"], row["from"]) == ("http://127.0.0.1:9", "bf.Client(...), the one made last")


def test_good_values_survive_reloading(run: Cell) -> None:
    """What was set well is still set after %reload_ext, also beside a bad value."""
    run("%config Bifrost.timeout = 77")
    run("%config Bifrost.base_url = 'bad one'")
    with pytest.warns(UserWarning, match="base_url is ignored"):
        run("%reload_ext bifrost_nb")
    rows = {row["name"]: row for row in run("%bifrost config").result}
    assert (rows["timeout"]["value"], rows["timeout"]["from"]) == ("77.0", "%config")


def test_config_lists_its_options_and_no_keys(run: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    """%config Bifrost shows each option with help; keys are not among them, since cells are saved."""
    run("%config Bifrost")
    shown = capsys.readouterr().out
    for name in ("base_url", "api_version", "run_log", "timeout", "short_errors"):
        assert f"Bifrost.{name}=" in shown
    assert "key" not in shown


def test_a_configuration_file_works(gateway: LocalGateway, shell: InteractiveShell) -> None:
    """c.Bifrost.base_url in a profile's configuration is read when the extension is loaded."""
    shell.run_cell("%unload_ext bifrost_nb")
    shell.config.merge(Config({"Bifrost": {"timeout": 12.5}}))
    shell.run_cell("%load_ext bifrost_nb")
    assert settings.resolve().timeout == 12.5
    assert settings.resolve().origins["timeout"] == "%config"


def test_importing_registers_nothing() -> None:
    """``import bifrost_nb`` knows no IPython; loading the extension draws in no tables and no charts."""
    check = (
        "import sys, bifrost_nb\n"
        "assert 'IPython' not in sys.modules\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "bifrost_nb.load_ipython_extension(shell)\n"
        "heavy = {'pandas', 'matplotlib', 'ipywidgets', 'aiohttp', 'starlette', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
