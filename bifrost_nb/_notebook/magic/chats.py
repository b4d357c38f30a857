"""The chats of a notebook: each cell with ``--history`` owns one turn, wherever and however often it is run.

A turn knows the turn it answers to, so a chat is a tree and its *line* the path to the turn that was last added. A
cell that is run again replaces its own turn; what was said after it answers a text that is no longer there, and is
stale until its own cells are run again. "Run All" twice therefore gives the same chat.

JupyterLab, Notebook 7 and VS Code send a cell's id with the code (``metadata.cellId`` of ``execute_request``), and
JupyterLab which cells were deleted (``deletedCells``; both read in their sources). Where none is sent (terminal,
nbclient) each execution adds a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..._display.table import Table
from ..._prompts.messages import user_turn
from ..._prompts.pictures import described
from ..._suggest import did_you_mean

if TYPE_CHECKING:
    from ..._runs.run import Run

__all__ = ["DEFAULT", "Cells", "Chat", "Chats", "NextTurn", "Turn"]

DEFAULT = "chat"
"""The name of the chat that ``--history`` without a name continues."""

Cell = tuple[str, int]
"""A cell's id, and which of its calls with ``--history`` this is."""


@dataclass(slots=True, eq=False)
class Turn:
    """One prompt of a chat and what was answered."""

    cell: Cell | None
    parent: Turn | None
    prompt: str
    system: str | None
    runs: list[Run]
    pictures: Sequence[str] = ()
    """The ``data:`` URLs behind the prompt."""
    chosen: str | None = None
    """The deployment whose answer the chat goes on with, where several were asked."""
    stale: bool = False
    """The text before it was changed, or its own cell failed, since it was answered."""

    @property
    def answer(self) -> Run | None:
        """The run that the chat goes on with; None where several answered and none was chosen."""
        if len(self.runs) == 1:
            return self.runs[0]
        return next((run for run in self.runs if run.requested == self.chosen), None)

    def path(self) -> list[Turn]:
        """The turns from the first one to this."""
        turns, turn = [self], self.parent
        while turn is not None:
            turns.append(turn)
            turn = turn.parent
        return turns[::-1]


@dataclass(slots=True)
class NextTurn:
    """A turn that is about to be asked: after `parent`, instead of the turn `old` of the same cell if there is one."""

    chat: Chat
    cell: Cell | None
    parent: Turn | None
    old: Turn | None
    prompt: str
    system: str | None
    """That of the cell, else that of the turns before."""
    pictures: Sequence[str] = ()

    def messages(self) -> list[dict[str, Any]]:
        """What is sent: the system message, all that was said before, and the prompt."""
        said: list[dict[str, Any]] = []
        if self.system is not None:
            said.append({"role": "system", "content": self.system})
        for turn in [] if self.parent is None else self.parent.path():
            text = turn.answer.text if turn.answer is not None else ""  # `Chat.next_turn` refuses to go on without one
            said += [user_turn(turn.prompt, turn.pictures), {"role": "assistant", "content": text}]
        return [*said, user_turn(self.prompt, self.pictures)]


@dataclass(slots=True, eq=False)
class Chat:
    """One named chat."""

    name: str
    turns: list[Turn] = field(default_factory=list)
    last: Turn | None = None
    """The end of the line."""

    @property
    def line(self) -> list[Turn]:
        """The turns that the next one follows."""
        return [] if self.last is None else self.last.path()

    def next_turn(
        self,
        cell: Cell | None,
        after: int | None,
        prompt: str,
        system: str | None = None,
        pictures: Sequence[str] = (),
    ) -> NextTurn:
        """The turn of `cell`; `after` is the number of the turn it follows, 0 for none.

        Raises UsageError where the turns before it are stale, have no chosen answer, or one without a text.
        """
        old = next((turn for turn in self.turns if cell is not None and turn.cell == cell), None)
        if after is not None:
            if not 0 <= after <= len(self.line):
                raise UsageError(
                    f"%%bifrost: --history-from {after}: this chat has {len(self.line)} turns; {self._show} lists them."
                )
            parent = self.line[after - 1] if after else None
            if old is not None and parent is not None and old in parent.path():
                raise UsageError(f"%%bifrost: --history-from {after} is this cell's own turn or follows it.")
        else:
            parent = old.parent if old is not None else self.last
        for number, turn in enumerate([] if parent is None else parent.path(), 1):
            if turn.stale:
                raise UsageError(
                    f"%%bifrost: turn {number} of this chat is out of date, since its cell failed or what it follows"
                    f" was run again. Run its cell again, or go on from an earlier turn:"
                    f" --history-from {number - 1}. {self._show} lists the turns."
                )
            if turn.answer is None:
                names = " or ".join(str(run.requested) for run in turn.runs)
                raise UsageError(
                    f"%%bifrost: turn {number} of this chat has {len(turn.runs)} answers. Choose the one to go on"
                    f" with: {self._show} --choose DEPLOYMENT ({names})."
                )
            if not turn.answer.text.strip():  # spent on thinking, say; several providers refuse an empty turn
                raise UsageError(
                    f"%%bifrost: the answer of turn {number} of this chat has no text to go on from. Run its cell"
                    f" again, or go on from an earlier turn: --history-from {number - 1}."
                )
        if system is None and parent is not None:
            system = parent.system
        return NextTurn(self, cell, parent, old, prompt, system, pictures)

    def keep(self, asked: NextTurn, runs: Sequence[Run]) -> None:
        """Take the answers `runs` for what was asked; without one that is ok the old turn becomes out of date."""
        answered = [run for run in runs if run.status == "ok"]
        old = asked.old if asked.old in self.turns else None
        if not answered:
            if old is not None:
                old.stale = True
                self._outdate(old)
            return
        turn = Turn(asked.cell, asked.parent, asked.prompt, asked.system, answered, asked.pictures)
        turn.chosen = old.chosen if old is not None else None
        on_line = old is not None and old in self.line
        if old is None:
            self.turns.append(turn)
        else:
            self.turns[self.turns.index(old)] = turn
            self._inherit(old, turn)
        if not on_line or self.last is old:
            self.last = turn
        self._outdate(turn)

    def drop(self, cells: set[str], moved: Cell | None = None) -> None:
        """Forget the turns of deleted cells, and that of a call that now is a turn of another chat; what followed them
        is out of date."""
        for turn in [one for one in self.turns if one.cell is not None and (one.cell[0] in cells or one.cell == moved)]:
            self.turns.remove(turn)
            self._outdate(turn)
            self._inherit(turn, turn.parent)
            if self.last is turn:
                self.last = turn.parent

    def choose(self, deployment: str) -> Turn:
        """Go on with the answer of `deployment` to the last turn with several answers. Raises UsageError."""
        several = [turn for turn in self.line if len(turn.runs) > 1]
        if not several:
            raise UsageError(f"%bifrost chat: no turn of the chat {self.name!r} has several answers.")
        turn = several[-1]
        names = [str(run.requested) for run in turn.runs]
        if deployment not in names:
            meant = did_you_mean(deployment, names)
            raise UsageError(f"%bifrost chat: {deployment} has no answer to it; {', '.join(names)} have.{meant}")
        if turn.chosen not in (None, deployment):
            self._outdate(turn)
        turn.chosen = deployment
        return turn

    def outdated(self) -> str | None:
        """A sentence about the turns of the line that must be asked again; None where all hold."""
        numbers = [str(number) for number, turn in enumerate(self.line, 1) if turn.stale]
        if not numbers:
            return None
        several = len(numbers) > 1
        return (
            f"Turn{'s' * several} {', '.join(numbers)} of this chat answer{'s' * (not several)} what is no longer"
            f" there: run {'those cells' if several else 'that cell'} again, or go on with"
            f" --history-from {int(numbers[0]) - 1}."
        )

    def table(self) -> Table:
        """The line as a table that shows itself: a row for each message."""
        rows: list[dict[str, Any]] = []
        if self.last is not None and (system := self.last.system) is not None:
            rows.append({"role": "system", "text": system})
        for number, turn in enumerate(self.line, 1):
            state = "out of date" if turn.stale else None
            text = "\n".join([turn.prompt, *map(described, turn.pictures)])
            rows.append({"turn": number, "role": "user", "text": text, "state": state})
            for run in turn.runs:
                several = len(turn.runs) > 1
                chosen = "chosen" if several and run is turn.answer else "not chosen" if several else None
                said = {"role": "assistant", "text": run.text, "by": run.served or run.requested}
                rows.append({"turn": number, **said, "state": state or chosen})
        title = f"Chat {self.name!r}: {len(self.line)} turns" if rows else f"Chat {self.name!r}: nothing was said yet"
        return Table(["turn", "role", "text", "by", "state"], rows, title=title)

    @property
    def _show(self) -> str:
        return "%bifrost chat" if self.name == DEFAULT else f"%bifrost chat {self.name}"

    def _inherit(self, old: Turn, new: Turn | None) -> None:
        for turn in self.turns:
            if turn.parent is old:
                turn.parent = new

    def _outdate(self, changed: Turn) -> None:
        """What follows `changed` is out of date. Each turn is looked at once: a chat may have thousands of them."""
        follows = {changed: True}
        for turn in self.turns:
            way: list[Turn] = []
            one: Turn | None = turn
            while one is not None and one not in follows:
                way.append(one)
                one = one.parent
            follows |= dict.fromkeys(way, one is not None and follows[one])
            if turn is not changed and follows[turn]:
                turn.stale = True


class Chats(dict[str, Chat]):
    """The chats of a notebook by name."""

    def named(self, name: str) -> Chat:
        """The chat `name`, begun where there is none."""
        return self.setdefault(name, Chat(name))

    def existing(self, name: str | None) -> Chat:
        """The chat `name`; without a name the only one there is, else the usual one. Raises UsageError."""
        if name is None:
            return next(iter(self.values())) if len(self) == 1 else self.get(DEFAULT, Chat(DEFAULT))
        if name not in self:
            meant = did_you_mean(name, self) or (f" There are: {', '.join(self)}." if self else "")
            raise UsageError(f"%bifrost: there is no chat {name!r}.{meant}")
        return self[name]


class Cells:
    """Which cell is running, by what the front end says with each execution."""

    def __init__(self) -> None:
        self._running: tuple[str, int] = ("", 0)

    def current(self, request: Mapping[str, Any]) -> tuple[Cell | None, set[str]]:
        """The cell of an ``execute_request`` and the next of its calls; and the ids of cells that were deleted."""
        metadata = request.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        cell, deleted = metadata.get("cellId"), metadata.get("deletedCells")
        gone = {each for each in deleted if isinstance(each, str)} if isinstance(deleted, list) else set()
        if not isinstance(cell, str) or not cell:
            return None, gone
        message = str((request.get("header") or {}).get("msg_id"))
        count = self._running[1] + 1 if self._running[0] == message else 0
        self._running = message, count
        return (cell, count), gone - {cell}
