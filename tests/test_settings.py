"""Settings: which layer wins, what is refused, what is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, _project_file, _settings as settings
from bifrost_nb._notebook.code_export import copy
from bifrost_nb._paths import data_path
from bifrost_nb.cli import main
from tests.faults.server import FaultServer, Wire


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_layers_win_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument > %config > project file > environment > default, each with its origin."""

    def url() -> tuple[str, str]:
        found = settings.resolve()
        return found.base_url, found.origins["base_url"]

    assert url() == ("http://localhost:8080", "default")
    monkeypatch.setenv("BIFROST_BASE_URL", "http://environment:1")
    assert url() == ("http://environment:1", "environment BIFROST_BASE_URL")
    project = tmp_path / "pyproject.toml"
    project.write_text('[tool.bifrost_nb]\nbase_url = "http://project:2/"\n')
    _project_file.trust(settings.project_file())
    assert url() == ("http://project:2", str(project))
    settings.use_notebook_config(lambda: {"base_url": "http://config:3"})
    try:
        assert url() == ("http://config:3", "%config")
        found = settings.resolve(base_url="http://argument:4")
        assert (found.base_url, found.origins["base_url"]) == ("http://argument:4", "argument")
    finally:
        settings.use_notebook_config(dict)


def test_the_nearest_project_file_with_a_table_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's folder need not be the project's root."""
    (tmp_path / "pyproject.toml").write_text("[tool.bifrost_nb]\ntimeout = 12\n")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    monkeypatch.chdir(deep)
    assert settings.resolve().timeout == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "localhost:8080"}, "http://localhost:8080"),
        ({"base_url": "ftp://x"}, "address"),
        ({"base_url": "http://user:hunter22@x"}, "password"),
        ({"base_url": "http://x/?key=1"}, "address"),
        ({"base_url": "http://x/sk-bf-hunter22-aB3dE5gH7jK9mN1p"}, "holds a key"),
        ({"base_url": "http://x/a/hunter22", "virtual_key": "hunter22"}, "The path of base_url .* holds a key"),
        ({"base_url": "http://x y"}, "address"),
        ({"base_url": "http://x:abc"}, "address"),
        ({"base_url": "http://x:99999"}, "address"),
        ({"base_url": "http://[::1"}, "address"),
        ({"base_url": "http://x\x00"}, "address"),
        ({"base_url": 5}, "int"),
        ({"timeout": "soon"}, "number"),
        ({"timeout": -1}, "above 0"),
        ({"virtual_key": "a b"}, "blanks"),
        ({"api_key": "line\nend"}, "line ends"),
    ],
)
def test_a_bad_value_names_itself_and_its_layer(arguments: dict[str, object], message: str) -> None:
    """One error says which setting, from where, and what to write; a secret is not repeated."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        settings.resolve(**arguments)
    assert "argument" in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_blanks_around_an_address_do_not_count() -> None:
    """They come along when it is copied."""
    assert settings.resolve(base_url=" http://x:8080/\n").base_url == "http://x:8080"


def test_secrets_are_refused_in_a_project_file_and_shown_nowhere(tmp_path: Path) -> None:
    """A key in a committed file is a leak; one from elsewhere shows as `configured`."""
    (tmp_path / "pyproject.toml").write_text('[tool.bifrost_nb]\nvirtual_key = "sk-bf-planted"\n')
    with pytest.raises(ConfigurationError, match="BIFROST_VIRTUAL_KEY") as caught:
        settings.resolve()
    assert "planted" not in str(caught.value)
    (tmp_path / "pyproject.toml").unlink()
    found = settings.resolve(virtual_key="sk-bf-planted", api_key="planted-too")
    assert "planted" not in repr(found) + str(found.rows())
    assert ("virtual_key", "configured", "argument") in found.rows()
    assert "planted" not in repr(Client(virtual_key="sk-bf-planted"))


def test_an_unknown_name_in_the_project_file_is_refused(tmp_path: Path) -> None:
    """A typing mistake in the project file is not silently nothing."""
    (tmp_path / "pyproject.toml").write_text('[tool.bifrost_nb]\nbase_ulr = "http://x"\n')
    with pytest.raises(ConfigurationError, match="base_ulr"):
        settings.resolve()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told once in this process is told again, and nothing is trusted yet."""
    monkeypatch.setattr(_project_file, "_told", set())
    data_path("trusted-projects").unlink(missing_ok=True)


KEYS = {"VIRTUAL_KEY": "sk-bf-mine-0123456789", "API_KEY": "mine-0123456789", "ADMIN_USER": "root"}
KEYS |= {"ADMIN_PASSWORD": "mine-as-well-0123456789"}


@pytest.mark.usefixtures("told")
def test_a_strangers_project_file_sends_no_key_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: LocalGateway
) -> None:
    """Neither calls nor the management API nor copied code follow its address; the warning says how to allow it."""
    asked: list[object] = []
    with FaultServer(asked.append) as stranger:
        (tmp_path / "pyproject.toml").write_text(f'[tool.bifrost_nb]\nbase_url = "{stranger.url}"\ntimeout = 9\n')
        (tmp_path / "notebooks").mkdir()
        monkeypatch.chdir(tmp_path / "notebooks")
        for name, value in {**KEYS, "BASE_URL": gateway.url, "RUN_LOG": "off"}.items():
            monkeypatch.setenv(f"BIFROST_{name}", value)
        with pytest.warns(UserWarning, match="bifrost trust"):
            client = Client()
        assert client.complete("azure/fast", "Hi", max_tokens=2).status == "ok"
        assert len(bf.models(client)) > 0
        assert gateway.url in str(copy(client, client.complete("azure/fast", "Hi", max_tokens=2)))
    assert asked == []
    assert (client.settings.timeout, client.settings.origins["base_url"]) == (9, "environment BIFROST_BASE_URL")


@pytest.mark.usefixtures("told")
def test_a_strangers_certificates_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may sit between a person and an https gateway is no project file's to say; trusted, it is."""
    pem = Path(__file__).parent / "faults" / "self_signed.pem"
    (tmp_path / "pyproject.toml").write_text(f'[tool.bifrost_nb]\nca_file = "{pem}"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIFROST_RUN_LOG", "off")

    def ask(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n")
        wire.send(b'{"choices": [{"text": "Yes"}]}')

    with FaultServer(ask, tls=True) as server:
        with pytest.warns(UserWarning, match="ca_file"):
            client = Client(server.url, retries=0)
        with pytest.raises(bf.ConnectionFailed, match="certificate"):
            client.complete("openai/m", "Hi")
        assert main(["trust", str(tmp_path)]) == 0
        assert Client(server.url, retries=0).complete("openai/m", "Hi").text == "Yes"


@pytest.mark.usefixtures("told")
def test_a_project_file_is_trusted_with_the_values_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bifrost-nb trust` lets it choose; other values ask again, `--remove` takes it back."""
    project = tmp_path / "pyproject.toml"
    monkeypatch.delenv("BIFROST_RUN_LOG")

    def chosen() -> tuple[str, str | None]:
        found = settings.resolve()
        return found.base_url, found.run_log

    project.write_text(f'[tool.bifrost_nb]\nbase_url = "http://project:1"\nrun_log = "{tmp_path}/x"\n')
    with pytest.warns(UserWarning, match=r"base_url to 'http://project:1' and run_log to"):
        assert chosen() == ("http://localhost:8080", None)
    assert chosen() == ("http://localhost:8080", None), "told once"
    assert main(["trust", str(tmp_path)]) == 0
    assert "your keys go to http://project:1, runs are recorded in" in capsys.readouterr().out
    assert chosen() == ("http://project:1", f"{tmp_path}/x")
    project.write_text(f'[tool.bifrost_nb]\nbase_url = "http://project:1"\nrun_log = "{tmp_path}/.bashrc"\n')
    with pytest.warns(UserWarning, match="bashrc"):
        assert chosen() == ("http://localhost:8080", None)
    assert main(["trust"]) == 0
    assert chosen()[1] == f"{tmp_path}/.bashrc"
    assert main(["trust", "--remove"]) == 0
    monkeypatch.setattr(_project_file, "_told", set())
    with pytest.warns(UserWarning, match="bashrc"):
        assert chosen() == ("http://localhost:8080", None)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("name", ["new\nline", "new\n{other}\tbase_url='http://a:1'\n", "tab\there", "b\udcff", "ü\\n"])
def test_a_folders_name_is_no_entry_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Trust in a folder, whatever it is called, is found again, taken back, and trusts nothing else."""
    other = tmp_path / "other"
    folder = tmp_path / name.replace("{other}", str(other / "pyproject.toml")).replace("/", "\u2215")
    for one in (other, folder):
        one.mkdir()
        (one / "pyproject.toml").write_text("[tool.bifrost_nb]\nbase_url = 'http://a:1'\n")
    asked = [_project_file.find(settings.DEFAULTS, settings.SECRETS, one) for one in (folder, other)]
    assert "is trusted" in _project_file.trust(asked[0])
    assert [one.trusted for one in asked] == [True, False]
    assert len(data_path("trusted-projects").read_text(encoding="utf-8").splitlines()) == 1
    assert "no longer" in _project_file.distrust(asked[0])
    assert not asked[0].trusted


@pytest.mark.usefixtures("told")
def test_what_redirects_nothing_needs_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded gateway, no log, a time limit, more silence: but never less silence than the person asked for."""
    monkeypatch.setenv("BIFROST_REDACT", "response")
    monkeypatch.delenv("BIFROST_RUN_LOG")
    text = '[tool.bifrost_nb]\nbase_url = "demo"\nrun_log = "off"\ntimeout = 3\nredact = "prompt"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    found = settings.resolve()
    assert (found.base_url, found.run_log, found.timeout, found.redact) == ("demo", "off", 3, "prompt,response")


SOMEBODY_ELSES: dict[str, bytes] = {
    "another tool's, half written": b"[tool.ruff\nline=1\n",
    "byte-order mark": b'\xef\xbb\xbf[project]\nname = "x"\n',
    "template": b"[project]\nname = {{ cookiecutter.name }}\n",
    "merge conflict": b"<<<<<<< HEAD\n[project]\n=======\n>>>>>>> other\n",
    "tool is a number": b"tool = 3\n",
    "not UTF-8": b"name = '\xff\xfe'\n",
    "endless nesting": b"a = " + b"[" * 100_000 + b"\n",
    "endless number": b"a = " + b"1" * 10_000 + b"\n",
    "NUL": b"\0" * 10,
}


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("name", SOMEBODY_ELSES)
def test_somebody_elses_file_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever it holds, the search goes on above it."""
    (tmp_path / "pyproject.toml").write_text("[tool.bifrost_nb]\ntimeout = 5\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "pyproject.toml").write_bytes(SOMEBODY_ELSES[name])
    monkeypatch.chdir(tmp_path / "below")
    assert settings.resolve().timeout == 5


@pytest.mark.usefixtures("told")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in the file system here")
def test_what_is_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe would be waited for, a device read for ever; a folder and a loop of links are no files either."""
    makers = [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
    for number, make in enumerate(makers):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / "pyproject.toml")
        monkeypatch.chdir(folder)
        assert settings.resolve().timeout is None


@pytest.mark.usefixtures("told")
def test_a_broken_file_with_our_table_is_told_once(tmp_path: Path) -> None:
    """Who sets something there wants to know why it does not count; calls go on."""
    (tmp_path / "pyproject.toml").write_text("[tool.bifrost_nb]\ntimeout = \n")
    with pytest.warns(UserWarning, match=r"no valid TOML.*line 2"):
        settings.resolve()
    assert settings.resolve().timeout is None


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("[tool.bifrost-nb]", r"\[tool.bifrost-nb\], which is not used: settings belong in \[tool.bifrost_nb\]"),
        ("[[tool.bifrost_nb]]", r"no table, so it is not used: write \[tool.bifrost_nb\] once"),
    ],
)
def test_a_table_that_is_nearly_ours_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, said: str
) -> None:
    """Settings under the package's name, or in a list of tables, are not ignored without a word; others above count."""
    (tmp_path / "pyproject.toml").write_text("[tool.bifrost_nb]\ntimeout = 5\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "pyproject.toml").write_text(f"{head}\ntimeout = 9\n")
    monkeypatch.chdir(tmp_path / "below")
    with pytest.warns(UserWarning, match=said) as warned:
        assert settings.resolve().timeout == settings.resolve().timeout == 5
    assert len(warned) == 1


def test_no_error_repeats_a_key_in_an_address() -> None:
    """In the query or the fragment as little as before the host."""
    for address in ("http://gw/?api_key=planted", "http://gw/#planted", "ftp://u:planted@gw/x?token=planted"):
        with pytest.raises(ConfigurationError) as caught:
            settings.resolve(base_url=address)
        assert "planted" not in str(caught.value)
        assert "planted" not in repr(settings.masked({"base_url": address}))


@pytest.mark.usefixtures("told")
def test_trusting_an_address_repeats_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a project file sets is named before it is checked: where to, without user, password and query."""
    (tmp_path / "pyproject.toml").write_text("[tool.bifrost_nb]\nbase_url = 'http://u:planted@gw:1/?key=planted'\n")
    assert main(["trust", str(tmp_path)]) == 0
    assert "your keys go to gw:1/." in capsys.readouterr().out
