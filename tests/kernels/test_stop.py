"""A click stops a call while the cell that shows it is busy, on whichever way the front end sends it."""

from __future__ import annotations

import time
from collections.abc import Callable

from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from .frontend import FrontEnd

AT_ONCE_S = 1.0
"""Soon enough to be the click's doing: every stream here goes on for a minute. `test_how_soon` is stricter."""
BEST_S = 0.1


def gone_at(gateway: LocalGateway, prompt: str) -> float:
    """When the gateway saw that the client of this prompt's request had gone."""

    def records(requests: list[dict]) -> list[float]:
        mine = (request for request in requests if prompt in str(request["body"]))
        return [request["disconnected_at"] for request in mine if request["disconnected_at"] is not None]

    (at,) = records(gateway.wait_for(records, 10))
    return at


def test_cancel(front: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """A click on Cancel closes the connection at once; the cell ends well and the partial text is in the log."""
    for route in front.routes:
        prompt = f"slowly, cancelled by {route} {time.monotonic()}"
        cell = front.run(f"run, = show({prompt!r}); print(run.status, len(run.text))")
        pane = cell.pane()
        pane.wait_for_text(20)
        clicked = pane.send({"stop": 0}, route)
        cell.wait()
        assert gone_at(slow, prompt) - clicked < AT_ONCE_S
        run = logged(prompt)
        assert (cell.status, run.status) == ("ok", "cancelled")
        assert len(run.text) >= 20
        assert run.text.startswith(pane.text())
        assert cell.printed.split() == ["cancelled", str(len(run.text))]
        assert run.text[:20] in cell.shown[0]["text/plain"]


def test_stop_one_of_several(front: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """Stop ends its own column only; the others go on to their end."""
    for route in front.routes:
        mark = time.monotonic()
        prompts = [f"slowly {mark}", f"quickly {mark}", f"slowly too {mark}"]
        cell = front.run(f"print(*(run.status for run in show(*{prompts!r})))")
        pane = cell.pane()
        pane.wait_for_text(20, column=0)
        clicked = pane.send({"stop": 0}, route)
        assert gone_at(slow, f"slowly {mark}") - clicked < AT_ONCE_S
        front.until(lambda: logged(f"quickly {mark}").status == "ok", 60, "the quick column to end")  # noqa: B023
        assert cell.reply is None
        pane.send({"stop": 2}, route)
        assert cell.wait().printed.split() == ["cancelled", "ok", "cancelled"]


def test_stop_all(front: FrontEnd, slow: LocalGateway) -> None:
    """Stop all ends every column at once."""
    for route in front.routes:
        mark = time.monotonic()
        prompts = [f"slowly {number} {mark}" for number in range(4)]
        cell = front.run(f"print(*(run.status for run in show(*{prompts!r})))")
        pane = cell.pane()
        pane.wait_for_text(20, column=3)
        clicked = pane.send({"stop": "all"}, route)
        assert cell.wait().printed.split() == ["cancelled"] * 4
        assert all(gone_at(slow, prompt) - clicked < AT_ONCE_S for prompt in prompts)


def test_nonsense_from_the_page(front: FrontEnd, slow: LocalGateway) -> None:
    """Messages that the pane's page never sends stop nothing and break nothing."""
    mark = time.monotonic()
    cell = front.run(f"print(*(run.status for run in show('slowly {mark}')))")
    pane = cell.pane()
    pane.wait_for_text(20)
    before = len(pane.text())
    for content in ({"stop": 1}, {"stop": -1}, {"stop": True}, {"stop": "0"}, {"stop": [0]}, {"whole": "yes"}, {}):
        pane.send(content)
    pane.wait_for_text(before + 100)
    pane.send({"stop": 0})
    assert cell.wait().printed.split() == ["cancelled"]
    assert not cell.of("error")


def test_lost_frame(front: FrontEnd, slow: LocalGateway) -> None:
    """A page that missed a frame, or came later, gets the whole text so far, and numbered frames after it."""
    cell = front.run(f"show('slowly {time.monotonic()}');")
    pane = cell.pane()
    pane.wait_for_text(100)
    pane.send({"whole": True})
    front.until(lambda: any("w" in frame for frame in pane.frames), 60, "the whole text")
    whole = next(frame for frame in pane.frames if "w" in frame)
    assert len(whole["w"][0]) >= 100
    assert whole["f"]["0"]["asked"] == "azure/fast"
    pane.send({"stop": 0})
    cell.wait()
    numbers = [frame["n"] for frame in pane.frames]
    assert numbers == list(range(len(numbers)))


def test_blocking_inside_a_callback(front: FrontEnd, slow: LocalGateway) -> None:
    """A call that a button's callback waits for can be stopped too, on every route of both clicks."""
    for route in front.routes:
        prompt = f"slowly, in a callback {route} {time.monotonic()}"
        made = front.run(
            "import ipywidgets\n"
            "done = []\n"
            "button = ipywidgets.Button()\n"
            f"button.on_click(lambda _: done.extend(run.status for run in show({prompt!r})))\n"
            "print(button.comm.comm_id)"
        ).wait()
        panes = len(front.panes())
        front.send_comm(made.printed.strip(), {"method": "custom", "content": {"event": "click"}}, route)
        front.until(lambda: len(front.panes()) > panes, 60, "the pane of the callback")  # noqa: B023
        slow.wait_for(lambda requests: any(prompt in str(r["body"]) and r["chunks"] > 3 for r in requests), 20)  # noqa: B023
        clicked = front.panes()[-1].send({"stop": 0}, route)
        assert gone_at(slow, prompt) - clicked < AT_ONCE_S
        end = time.monotonic() + 5
        while front.value("done") == "[]" and time.monotonic() < end:
            pass
        assert front.value("done") == "['cancelled']"


def test_how_soon(front: FrontEnd, slow: LocalGateway) -> None:
    """A click and an interrupt reach the server's socket within 0.1 s: the best of a few, for machines are shared."""
    for stop in ("click", "interrupt"):
        taken = []
        for number in range(4):
            prompt = f"slowly, timed {stop} {number} {time.monotonic()}"
            cell = front.run(f"show({prompt!r})")
            pane = cell.pane()
            pane.wait_for_text(20)
            at = pane.send({"stop": 0}) if stop == "click" else front.interrupt()
            cell.wait()
            taken.append(gone_at(slow, prompt) - at)
        assert min(taken) < BEST_S, taken


def test_the_card_of_a_background_job(loaded: FrontEnd, slow: LocalGateway, logged: Callable[[str], Run]) -> None:
    """``--bg``: Cancel on its card ends the call between cells, and the answer so far takes the card's place."""
    for number, route in enumerate(loaded.routes):
        prompt = f"slowly in the background {number} {time.monotonic()}"
        cell = loaded.run(f"%%bifrost azure/fast --bg later{number}\n{prompt}")
        pane = cell.pane()
        cell.wait()
        pane.wait_for_text(20)
        assert "%bifrost cancel" not in str(cell.shown[0])  # a front end with widgets has the button
        clicked = pane.send({"stop": 0}, route)
        assert gone_at(slow, prompt) - clicked < AT_ONCE_S

        said = pane.text()[:20]

        def answers(said: str = said) -> list[str]:  # under whatever message the kernel was at just then
            updates = [one["content"] for one in loaded.messages if one["msg_type"] == "update_display_data"]
            return [one["data"]["text/plain"] for one in updates if said in str(one["data"])]

        loaded.until(lambda: bool(answers()), 60, "the answer in the card's place")
        assert "· cancelled" in answers()[-1]
        assert logged(prompt).status == "cancelled"
