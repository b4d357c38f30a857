"""Calls that are measured are not held up by garbage collections of what the process had before."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import LocalGateway
from bifrost_nb._foreground.undisturbed import undisturbed


class Cycle:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    """The tests freeze what their files hold."""
    gc.unfreeze()
    yield
    gc.freeze()


ASKING: dict[str, Callable[[bf.Client], Any]] = {
    "compare": lambda client: bf.compare(["azure/fast"], "Hi", client=client),
    "load curve": lambda client: bf.load_curve("azure/fast", "Hi", rates=[20], seconds=1, client=client),
}


@pytest.mark.usefixtures("nothing_frozen")
@pytest.mark.parametrize("way", ASKING)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_was_there_is_not_looked_through(way: str, gateway: LocalGateway, tmp_path: Path) -> None:
    """While calls are under way; afterwards it is, as before."""
    frozen = []

    def redact(text: str, what: str) -> str:  # is asked whenever a call has ended
        frozen.append(gc.get_freeze_count())
        return text

    client = bf.Client(gateway.url, log=bf.RunLog(tmp_path / "runs.jsonl", redact=redact))
    ASKING[way](client)
    assert frozen
    assert min(frozen) > 10_000
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("nothing_frozen")
def test_only_that_is_left_out() -> None:
    """Garbage that is made meanwhile is collected at once, older one when the last of several blocks has ended."""
    old = Cycle()
    seen_old = weakref.ref(old)
    with undisturbed():
        with undisturbed():
            del old
        seen_new = weakref.ref(Cycle())
        gc.collect()
        assert seen_new() is None
        assert seen_old() is not None
    gc.collect()
    assert seen_old() is None


def test_what_the_user_has_frozen_stays_so() -> None:
    """Also after an error."""
    gc.freeze()
    before = gc.get_freeze_count()
    with pytest.raises(ZeroDivisionError), undisturbed():
        1 / 0  # noqa: B018
    assert gc.get_freeze_count() > before - 1_000
