"""Whether the chunks of a stream came once each and in order, by the numbers that the gateway gives them."""

from __future__ import annotations

__all__ = ["ChunkOrder"]

_MOST = 10_000
"""Numbers remembered as missing; with more than that the numbers mean something else."""


class ChunkOrder:
    """Follows ``extra_fields.chunk_index``: 0, 1, 2, ... over all choices (so Bifrost's engine 1.4.0 to 1.7.0).

    `due` is the number that comes next; a reader who sees it adds one, and hands every other number to `odd`.
    """

    __slots__ = ("_late", "_missing", "_senseless", "_twice", "due")

    def __init__(self) -> None:
        self.due = 0
        self._missing: set[int] = set()
        self._twice = self._late = 0
        self._senseless = False

    def take(self, numbers: list[int | None]) -> None:
        """The numbers of many chunks, in the order they came; None: it has none."""
        if numbers == list(range(self.due, self.due + len(numbers))):
            self.due += len(numbers)
            return
        for number in numbers:
            if number == self.due:
                self.due += 1
            elif number is not None:
                self.odd(number)

    def odd(self, number: object) -> None:
        """A chunk whose number is not the one that is due."""
        if type(number) is not int or number < 0:
            return
        if number < self.due:
            if number in self._missing:
                self._missing.remove(number)
                self._late += 1
            else:
                self._twice += 1
            return
        if number - self.due + len(self._missing) > _MOST:
            self._senseless = True
        elif self.due or number != 1:  # a gateway that begins with 1 counts like people do
            self._missing.update(range(self.due, number))
        self.due = number + 1

    def note(self) -> str | None:
        """What was wrong, in words; None where nothing was, or where the numbers do not count chunks."""
        # An event without text before Anthropic's last one is counted and not sent on (engine 1.4.0 to 1.7.0).
        counted = self.due - 2 in self._missing and self.due - 3 not in self._missing
        missing = len(self._missing) - counted
        told = [
            f"{count} {'chunk' if count == 1 else 'chunks'} {what}"
            for count, what in (
                (missing, "never came"),
                (self._twice, "came twice"),
                (self._late, "came late"),
            )
            if count
        ]
        odd = missing + self._twice + self._late
        if not told or self._senseless or odd > self.due - missing:
            return None
        return f"By the gateway's numbers {', '.join(told)}: the text is as it was received, and may be wrong there."
