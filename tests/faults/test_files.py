"""Files that are none, and files that are replaced: nothing waits, nothing is half written, only the owner reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import BifrostError, Client, Comparison, LocalGateway, RunLog
from bifrost_nb._gate.gate_files import write_text
from bifrost_nb._notebook.run_file import run_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="named pipes and modes are of POSIX")


@pytest.fixture(scope="module")
def compared(shared_gateway: LocalGateway, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """One run, in a log."""
    client = Client(shared_gateway.url, log=RunLog(tmp_path_factory.mktemp("log") / "runs.jsonl"))
    return bf.compare(["azure/fast"], "Hi", client=client, max_tokens=2)


Use = Callable[[Comparison, Path], Any]
WRITES: dict[str, tuple[str, Use]] = {
    "report": (".html", lambda compared, path: compared.report(path)),
    "workbook": (".xlsx", lambda compared, path: compared.to_excel(path)),
    "grid": (".csv", lambda compared, path: compared.grid().export(path)),
    "export": (".parquet", lambda compared, path: compared.client.log.export(path)),  # type: ignore[union-attr]
    "gate": (".xml", lambda compared, path: write_text(path, "x")),
}
READS: dict[str, tuple[str, Use]] = {
    "load_report": (".html", lambda compared, path: bf.load_report(path)),
    "from_notebook": (".ipynb", lambda compared, path: bf.from_notebook(path)),
    "baseline report": (".html", lambda compared, path: compared.gate(baseline=path, p95_ms="not worse by 10%")),
    "baseline frame": (".parquet", lambda compared, path: compared.gate(baseline=path, p95_ms="not worse by 10%")),
    "gate of a script": (".py", lambda compared, path: run_file(path)),
}


@pytest.mark.parametrize("use", [*WRITES, *READS])
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_refused(compared: Comparison, tmp_path: Path, use: str, linked: bool) -> None:
    """Writing to a pipe or reading from it, by its name or a link, would wait for ever: one clear error at once."""
    suffix, act = {**WRITES, **READS}[use]
    path = tmp_path / f"x{suffix}"
    os.mkfifo(tmp_path / "pipe" if linked else path)
    if linked:
        path.symlink_to(tmp_path / "pipe")
    with pytest.raises(BifrostError, match="no file but a pipe, a socket or a device"):
        act(compared, path)


MORE: dict[str, Callable[[Any], Any]] = {
    "log": RunLog,
    "data set": lambda path: bf.export_dataset(bf.to_frame([]), path),
    "launched gateway's folder": lambda path: bf.launch_gateway(app_dir=path, providers=["openai"]),
    "sound": lambda path: bf.Client("demo").speech("openai/tts-1", "Hi", voice="alloy", path=path),
    "certificates": lambda path: bf.Client("https://localhost:9", ca_file=path),
}


FROM_A_COMMAND_LINE = {"gate", "gate of a script"}


@pytest.mark.parametrize("use", [each for each in (*WRITES, *READS, *MORE) if each not in FROM_A_COMMAND_LINE])
@pytest.mark.parametrize("path", ["a\0b", "\ud800", "~nobody-of-that-name/x", 5])
def test_what_can_be_no_path_is_told(
    compared: Comparison, use: str, path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zero byte, half a character, an unknown user's home and no path at all: one clear error, nothing sent."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    suffix, act = {**WRITES, **READS}.get(use, ("", None))
    given = path + suffix if isinstance(path, str) else path
    with pytest.raises(bf.ConfigurationError) as raised:
        MORE[use](given) if act is None else act(compared, given)
    str(raised.value).encode()  # as a notebook does


@pytest.mark.parametrize("use", ["report", "workbook", "grid", "export"])
def test_what_is_handed_on_is_its_owners(compared: Comparison, tmp_path: Path, use: str) -> None:
    """Also where a file was there that all could read, and behind a link, which stays one."""
    suffix, act = WRITES[use]
    target, link = tmp_path / f"x{suffix}", tmp_path / f"link{suffix}"
    target.write_text("before")
    target.chmod(0o644)
    act(compared, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes() != b"before"
    if use != "export":
        link.symlink_to(target)
        act(compared, link)
        assert link.is_symlink()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_file_is_whole_or_as_it_was(compared: Comparison, tmp_path: Path) -> None:
    """A folder that is gone or in the way is told, and nothing is left behind."""
    (tmp_path / "x.html").mkdir()
    for path in (tmp_path / "x.html", tmp_path / "none" / "x.html"):
        with pytest.raises(BifrostError, match="cannot be written"):
            compared.report(path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
