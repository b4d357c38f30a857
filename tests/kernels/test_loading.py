"""Loading, unloading and configuring the extension in real kernels."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from bifrost_nb._notebook.magic.config import SETTINGS
from bifrost_nb._simulator.process import LocalGateway

from .conftest import TEXT, heard
from .frontend import FrontEnd

TWO = f"{TEXT} --max-tokens 2"
TRACES = """
import sys, threading
def traces():
    shell = get_ipython()
    magics = {kind: sorted(table) for kind, table in shell.magics_manager.magics.items()}
    return (magics, len(shell.Completer.custom_matchers), [type(each).__name__ for each in shell.configurables],
            sorted(each.name for each in threading.enumerate() if "bifrost" not in each.name))
"""


def test_loading(front: FrontEnd, gateway: LocalGateway) -> None:
    """It says nothing and asks nobody; twice is once; unloading removes all that it registered, any number of times."""
    front.run(f"{TRACES}\n%load_ext storemagic").wait()  # IPython then has all that it itself adds
    before = front.value("traces()")
    for _ in range(2):
        for line in ("%load_ext bifrost_nb", "%reload_ext bifrost_nb", "import bifrost_nb; bifrost_nb"):
            cell = front.run(line).wait()
            assert cell.status == "ok"
            assert not cell.of("stream", "display_data", "error")
        loaded = front.value("traces()")
        front.run("bifrost_nb.load_ipython_extension(get_ipython())").wait()
        assert before != front.value("traces()") == loaded
        assert front.run("%unload_ext bifrost_nb").wait().status == "ok"
        assert front.value("traces()") == before
    assert heard(gateway) == []


def test_somebody_elses_magic_stays(front: FrontEnd, gateway: LocalGateway) -> None:
    """Where %%bifrost is taken it is left alone, one line says so, and %%bifrost_nb works."""
    front.run(
        "from IPython.core.magic import register_line_cell_magic\n"
        "def bifrost(line, cell=None): print('other')\nregister_line_cell_magic(bifrost)"
    ).wait()
    warned = front.run("%load_ext bifrost_nb").wait()
    assert "use %%bifrost_nb" in warned.printed
    front.run(f"%config Bifrost.base_url = {gateway.url!r}").wait()
    assert front.run("%%bifrost x\ny").wait().printed == "other\n"
    assert front.run(f"%%bifrost_nb {TWO}\nhi").wait().status == "ok"
    front.run("%unload_ext bifrost_nb").wait()
    assert front.run("%%bifrost x\ny").wait().printed == "other\n"
    front.run("for kind in ('line', 'cell'): del get_ipython().magics_manager.magics[kind]['bifrost']").wait()


BAD = ["timeout = -1", "timeout = 'soon'", "base_url = 'nowhere at all'", "short_errors = 'perhaps'"]


@pytest.mark.parametrize("line", BAD)
def test_a_bad_value_never_breaks_reloading(loaded: FrontEnd, gateway: LocalGateway, line: str) -> None:
    """A refused value is named in one line, changes nothing, and every later %reload_ext works."""
    name = line.split()[0]
    refused = loaded.run(f"%config Bifrost.{line}").wait().printed
    assert name in refused
    assert refused.count("\n") == 1
    first, second = (loaded.run("%reload_ext bifrost_nb").wait() for _ in range(2))
    assert (first.status, second.status) == ("ok", "ok")
    assert f"Bifrost.{name} is ignored" in first.printed
    assert second.printed == ""
    loaded.run(f"%config Bifrost.base_url = {gateway.url!r}").wait()
    assert loaded.run(f"%%bifrost {TWO} --quiet\nhi").wait().status == "ok"


def test_config_lists_what_can_be_set(loaded: FrontEnd) -> None:
    """%config Bifrost shows each option with help, and no key: cells are saved with the notebook."""
    printed = loaded.run("%config Bifrost").wait().printed
    for name in (*SETTINGS, "short_errors"):
        assert f"Bifrost.{name}=" in printed
    assert "Seconds that a whole call may take" in printed
    assert "key" not in printed


def test_where_a_value_comes_from(new_front: Callable[[], FrontEnd], gateway: LocalGateway, tmp_path: Path) -> None:
    """Argument > magic flag > %config > project file > environment > default; `%bifrost config` says which it is."""
    front = new_front()
    front.run(f"%load_ext bifrost_nb\nimport os, pathlib; os.chdir({str(tmp_path)!r})").wait()
    gateway.script([{"prompt": "late", "silent": True}])

    def origin() -> tuple[str, str]:
        front.run("rows = %bifrost config").wait()
        rows = ast.literal_eval(front.value("[dict(each) for each in rows]"))
        (row,) = [row for row in rows if row["name"] == "timeout"]
        return str(row["value"]), str(row["from"])

    assert origin()[1] == "default"
    front.run("os.environ['BIFROST_TIMEOUT'] = '50'").wait()
    assert origin() == ("50.0", "environment BIFROST_TIMEOUT")
    front.run("pathlib.Path('pyproject.toml').write_text('[tool.bifrost_nb]\\ntimeout = 40\\n')").wait()
    assert (origin()[0], "pyproject.toml" in origin()[1]) == ("40.0", True)
    front.run("%config Bifrost.timeout = 30").wait()
    assert origin() == ("30.0", "%config")
    front.run(f"%config Bifrost.base_url = {gateway.url!r}").wait()
    failing = front.run(f"%%bifrost {TEXT} --timeout 0.2\nlate").wait()
    assert "0.2 s" in failing.error["evalue"]
    front.run(
        "from bifrost_nb import Client\ntimeouts = Client(timeout=20).timeouts.total, Client().timeouts.total"
    ).wait()
    assert front.value("timeouts") == "(20.0, 30.0)"
