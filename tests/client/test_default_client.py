"""Which gateway is asked without ``client=``: that of the client made last, else that of the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._client.client import default_client

NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens: whatever asks it fails."""

DOORS: dict[str, Callable[[], Any]] = {
    "compare": lambda: bf.compare(["azure/fast"], "Hi", max_tokens=2).frame["status"].tolist() == ["ok"],
    "replay": lambda: (
        bf.replay(bf.compare(["azure/fast"], "Hi", max_tokens=2).frame, ["azure/large"]).frame["status"].tolist()
        == ["ok"]
    ),
    "models": lambda: len(bf.models()),
    "providers": lambda: len(bf.providers()),
    "gateway_logs": lambda: bf.gateway_logs(since="1d"),
    "gateway_stats": lambda: len(bf.gateway_stats(since="1d")),
    "doctor": lambda: bf.doctor()[1].state == "ok",
    "Admin": lambda: len(bf.Admin().models()),
    "sdk": lambda: bf.sdk("openai").completions.create(model="azure/fast", prompt="Hi", max_tokens=2),
    "recording_client": lambda: bf.recording_client().get(f"{default_client().base_url}/health"),
    "playground": lambda: bf.playground(["azure/fast"], "Hi").client is default_client(),
}


@pytest.mark.parametrize("name", DOORS)
def test_after_a_client_nothing_goes_elsewhere(
    name: str, gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings name another address, which nothing asks once there is a client."""
    monkeypatch.setenv("BIFROST_BASE_URL", NOWHERE)
    client = Client(gateway.url, log=log)
    found = DOORS[name]()
    assert found is not False
    assert default_client() is client


def test_without_a_client_the_settings_count(gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read each time, and a client of theirs is nobody's default."""
    for address in (NOWHERE, gateway.url):
        monkeypatch.setenv("BIFROST_BASE_URL", address)
        assert default_client().base_url == address
    assert len(bf.models())


def test_the_last_one_counts_and_a_failed_one_does_not(gateway: LocalGateway) -> None:
    """A second client takes over; one that could not be made changes nothing."""
    Client(NOWHERE)
    last = Client(gateway.url)
    with pytest.raises(bf.ConfigurationError):
        Client("ftp://nowhere")
    assert default_client() is last


def test_in_a_cell(gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """``%%bifrost`` asks the client made last; what ``%config`` says comes before it, and without both the settings."""
    from bifrost_nb._notebook.magic.config import Bifrost
    from bifrost_nb._notebook.magic.session import Session

    shell: Any = InteractiveShell()
    monkeypatch.setenv("BIFROST_BASE_URL", NOWHERE)
    session = Session(shell, Bifrost())
    assert session.client.base_url == NOWHERE
    client = Client(gateway.url, log=log)
    assert session.client is client
    from bifrost_nb._settings import use_notebook_config

    use_notebook_config(lambda: {"base_url": "http://127.0.0.1:7"})
    try:
        assert session.client.base_url == "http://127.0.0.1:7"
    finally:
        use_notebook_config(dict)
