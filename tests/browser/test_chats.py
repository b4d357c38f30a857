"""A chat in JupyterLab itself, which tells the kernel whose cell runs: Run All, an edited cell, a deleted one."""

from __future__ import annotations

from typing import Any

from bifrost_nb._simulator.process import LocalGateway
from tests import lazy

from .lab import Notebook, Server

CHAT = "openai/gpt-4o-mini"
SETUP = "from bifrost_nb import Client\nclient = Client({url!r})\n%load_ext bifrost_nb"
EDIT = """([index, source]) => {{
    const notebook = {notebook}.content;
    notebook.model.sharedModel.getCell(index).setSource(source);
    notebook.activeCellIndex = index;
    notebook.deselectAll();
    window.__running.add(index);
    window.jupyterapp.commands.execute('notebook:run-cell').finally(() => window.__running.delete(index));
}}""".format(notebook="window.jupyterapp.shell.currentWidget")


def asked(gateway: LocalGateway) -> list[list[str]]:
    """What each chat sent, in order."""
    bodies = [one["body"] for one in gateway.requests() if one["path"] == "/v1/chat/completions"]
    return [[turn["content"] for turn in body["messages"]] for body in bodies]


def test_run_all_twice_gives_the_same_chat(context: Any, server: Server, gateway: LocalGateway) -> None:
    """Each cell owns its turn: run twice it is the same chat; an edited turn outdates the next, a deleted one goes."""
    gateway.script([{"text": ["It is said."]}])
    cells = [SETUP.format(url=gateway.url)]
    cells += [f"%%bifrost {CHAT} --history --max-tokens 5\n{word}" for word in ("one", "two", "three")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = lazy.nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    made.cells = [lazy.nbformat.v4.new_code_cell(source) for source in cells]
    lazy.nbformat.write(made, server.root / "chat.ipynb")
    notebook = Notebook(context, server, "lab", "chat.ipynb")
    once = [["one"], ["one", "It is said.", "two"], ["one", "It is said.", "two", "It is said.", "three"]]
    for times in (1, 2):
        notebook.start_all()
        ended = notebook.all_ended(120)
        assert [each for cell in ended for each in cell.outputs if each["output_type"] == "error"] == []
        assert asked(gateway) == once * times
    notebook.page.evaluate(EDIT, [1, f"%%bifrost {CHAT} --history --max-tokens 5\nanother"])
    first = ended[1].wait(60)
    assert asked(gateway)[-1] == ["another"]
    assert "Turns 2, 3 of this chat answer what is no longer there" in str([each.get("data") for each in first.outputs])
    notebook.page.evaluate(EDIT, [3, f"%%bifrost {CHAT} --history --max-tokens 5\nthree"])
    third = ended[3].wait(60)
    assert "out of date" in str(third.outputs)
    assert len(asked(gateway)) == 7
    notebook.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    notebook.command("notebook:delete-cell")
    notebook.page.evaluate(EDIT, [2, f"%%bifrost {CHAT} --history --max-tokens 5\nthree"])
    ended[2].wait(60)
    assert asked(gateway)[-1] == ["another", "It is said.", "three"]
    notebook.command("kernelmenu:shutdown")
    notebook.page.close()
