"""Settings: which layer wins, what is refused, what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost_nb import Client, ConfigurationError, _settings as settings


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
