"""Completion: what fits where, quickly, whether or not a gateway answers."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

import bifrost_nb
from bifrost_nb._notebook import known_models as models
from bifrost_nb._notebook.magic.completion import complete
from bifrost_nb._paths import cache_path
from bifrost_nb._simulator.deployments import DEFAULT_DEPLOYMENTS
from bifrost_nb._simulator.process import LocalGateway

from .conftest import TEXT

Cell = Callable[[str], ExecutionResult]


def offered(shell: InteractiveShell, text: str) -> list[str]:
    """What the shell offers at the mark ``|`` in a cell, as a front end asks."""
    cursor = text.index("|")
    with provisionalcompleter():
        return [completion.text for completion in shell.Completer.completions(text.replace("|", ""), cursor)]


@pytest.fixture
def known(shell: InteractiveShell, gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """A shell whose list of deployments has been fetched."""
    client = shell.magics_manager.registry["BifrostMagics"].session.client
    monkeypatch.setattr(models, "_asked", {})
    while (job := models.refresh(client)) is None:  # loading the extension asks, too, on a thread of its own
        if models._job is not None:
            models._job.result(10)
        models._asked.clear()
    job.result(10)
    shell.user_ns.update(
        products=pd.DataFrame({"name": ["a"], "two words": [1]}), topic="tea", row={"deep": 1, "no-name": 2}, _hidden=1
    )
    return shell


@pytest.mark.parametrize(
    ("text", "expected", "missing"),
    [
        ("%%bifrost --fall|\nhi", ["--fallback"], ["--chat"]),
        ("%%bifrost azure/x --|\nhi", ["--fallback", "--max-tokens", "--chat"], []),
        ("%%bifrost azure/x --chat --c|\nhi", ["--cache"], ["--chat"]),
        ("%%bifrost |\nhi", [TEXT, "openai/gpt-4o-mini"], ["models"]),
        ("%%bifrost azure/g|\nhi", [TEXT, "azure/gpt-4o"], ["openai/gpt-4o-mini"]),
        ("%%bifrost fast|\nhi", ["azure/fast"], []),
        ("%%bifrost azure/fast op|\nhi", ["openai/gpt-4o-mini"], []),
        ("%%bifrost azure/fast --fallback op|\nhi", ["openai/gpt-4o-mini"], []),
        ("%%bifrost azure/fast --format |\nhi", ["md", "text", "json", "code"], [TEXT]),
        ("%%bifrost azure/fast --cache |\nhi", ["on", "off"], []),
        ("%%bifrost azure/fast -i pro|\nhi", ["products"], []),
        ("%%bifrost_nb azure/g|\nhi", [TEXT], []),
        ("%bifrost mo|", ["models"], []),
        ("%bifrost |", ["models", "doctor", TEXT], []),
        ("x = %bifrost do|", ["doctor"], []),
        ("%bifrost use azure/g|", [TEXT], []),
        ("%%bifrost azure/fast\n{{|", ["topic", "products", "row"], ["_hidden", "get_ipython"]),
        ("%%bifrost azure/fast\nAbout {{ to|", ["topic"], ["row"]),
        ("%%bifrost azure/fast\na\nb {{products.|", ["products.name"], ["products.two words"]),
        ("%%bifrost azure/fast\n{{row.d|", ["row.deep"], ["row.no-name"]),
    ],
)
def test_what_fits_is_offered(known: InteractiveShell, text: str, expected: list[str], missing: list[str]) -> None:
    """Options, deployments, values, commands and variables, each at its place."""
    found = offered(known, text)
    assert set(expected) <= set(found)
    assert not set(missing) & set(found)


def test_public_names_are_what_they_are_told_to_be(known: InteractiveShell) -> None:
    """After ``bf.`` each public name comes with what it really is; other modules and other ends are left to Jedi."""
    session = known.magics_manager.registry["BifrostMagics"].session
    known.user_ns.update(bf=bifrost_nb, other=inspect)
    found = complete(session, "f(bf.", 0, 5)
    assert found is not None
    assert found[0] == ""
    really = {
        name: "module" if inspect.ismodule(value) else "class" if inspect.isclass(value) else "function"
        for name, value in ((name, getattr(bifrost_nb, name)) for name in bifrost_nb.__all__)
    }
    assert dict(found[1]) == really
    assert complete(session, "bf.comp", 0, 7) == ("comp", [("compare", "function")])
    for text in ("other.", "x.bf.", "bf._", "bf.nothing_such", "bf.compare.", "f().bf."):
        assert complete(session, text, 0, len(text)) is None, text


@pytest.mark.parametrize("text", ["%%timeit\n--fall", "x = '--fall", "%%bifrostx --fa", "%%bi", "x = 1\n%%bifrost --f"])
def test_nothing_of_ours_elsewhere(known: InteractiveShell, text: str) -> None:
    """Other cells and plain Python get no completion of ours."""
    session = known.magics_manager.registry["BifrostMagics"].session
    lines = text.split("\n")
    assert complete(session, text, len(lines) - 1, len(lines[-1])) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("%%bifrost azure/fast\nimport o|", "o"),
        ("%%bifrost azure/fast\nTell me pri|nt", "pri"),
        ("%%bifrost azure/fast\n{{{{to|", "{{{{to"),
        ("%%bifrost azure/fast\n{{undefi|", "undefi"),
        ("%%bifrost azure/unheard-of|\nhi", "azure/unheard-of"),
        ("%bifrost models azu|", "azu"),
    ],
)
def test_a_prompt_is_not_completed_as_python(known: InteractiveShell, text: str, word: str) -> None:
    """In our cells nothing but ours is offered: no Python names in prose, and no wait for them."""
    assert offered(known, text) == [word]


def test_saved_prompts_are_offered(known: InteractiveShell, run: Cell) -> None:
    """--use is followed by saved names."""
    run(f"%%bifrost {TEXT} --save greeting --dry-run --quiet\nhello")
    assert "greeting" in offered(known, "%%bifrost azure/fast --use gr|\nhi")


def test_a_dead_gateway_costs_no_time(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nobody at the address completion answers within 50 ms: options at once, deployments from memory or none."""
    monkeypatch.setenv("BIFROST_BASE_URL", "http://10.255.255.1:9")  # packets there are lost: connecting hangs
    offered(shell, "%%bifrost az|\nhi")  # the first one loads modules and starts the question in the background
    for text in ("%%bifrost az|\nhi", "%%bifrost --fa|\nhi", "%bifrost mo|"):
        assert min(seconds(shell, text) for _ in range(9)) < 0.05  # the best: the machine may be busy


def seconds(shell: InteractiveShell, text: str) -> float:
    """How long an offer takes."""
    began = time.perf_counter()
    offered(shell, text)
    return time.perf_counter() - began


def test_a_list_is_remembered_with_its_age(known: InteractiveShell, gateway: LocalGateway) -> None:
    """Deployments come from a file with an age; asking again within minutes asks nobody."""
    client = known.magics_manager.registry["BifrostMagics"].session.client
    before = asked(gateway)
    found, age, problem = models.known_models(client)
    assert TEXT in found
    assert problem is None
    assert age is not None
    assert 0 <= age < 60
    assert asked(gateway) == before


def asked(gateway: LocalGateway) -> int:
    """How often the gateway was asked for its models."""
    return sum("models" in record["path"] for record in gateway.requests())


def test_the_demo_gateway_is_known_without_asking(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    """For 'demo' the deployments are known; completing starts no process."""
    monkeypatch.setenv("BIFROST_BASE_URL", "demo")
    assert {each.id for each in DEFAULT_DEPLOYMENTS} <= set(offered(shell, "%%bifrost |\nhi"))


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"x": 1}', '{"http://127.0.0.1:9": {"at": "x", "deployments": 5}}']
)
def test_a_damaged_memory_is_no_harm(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """A list that cannot be read is as good as none."""
    path: Any = cache_path("models.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    monkeypatch.setenv("BIFROST_BASE_URL", "http://127.0.0.1:9")
    assert not [each for each in offered(shell, "%%bifrost azure/|\nhi") if each.startswith("azure/g")]
