"""A magic's line, split into words as a shell splits it; JSON behind ``=`` needs no quotes."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
from collections.abc import Iterator

from IPython.core.error import UsageError

__all__ = ["split", "split_prompt"]

_NAMED_JSON = re.compile(r"[A-Za-z_][\w.-]*=(?=[{\[])")
_WINDOWS_PATH = re.compile(r"(?:-*[A-Za-z_][\w.-]*=)*(?:[A-Za-z]:\\|\\\\\w)")


def split(line: str) -> list[str]:
    """The words of a magic line. Quotes and ``# comments`` are as in a shell; JSON behind ``=`` needs no quotes.

    Raises UsageError where a quote is left open, or where the line ends in a backslash.
    """
    return [word for word, _, _ in _words(line)]


def split_prompt(line: str) -> tuple[list[str], str | None]:
    """The words in front of a ``--`` that stands alone, and the text behind it as it was typed; None: there is none."""
    words: list[str] = []
    for word, start, end in _words(line):
        if line[start:end] == "--":
            return words, line[end + 1 :]
        words.append(word)
    return words, None


def _words(line: str) -> Iterator[tuple[str, int, int]]:
    """Each word, and where it stands on the line."""
    line = _unbroken(line)
    place = 0
    while (start := place + len(line[place:]) - len(line[place:].lstrip())) < len(line) and line[start] != "#":
        if found := _json(line, start) or _python(line, start):
            yield found[0], start, (place := found[1])
            continue
        stream = io.StringIO(line[start:])
        words = shlex.shlex(stream, posix=True, punctuation_chars=False)
        words.whitespace_split, words.commenters = True, ""
        if _WINDOWS_PATH.match(line, start):
            words.escape = ""
        try:
            word = words.get_token()
        except ValueError as error:
            if "escaped" in str(error):  # shlex: "No escaped character", of which there is none behind the last one
                raise UsageError(
                    "%%bifrost: the line ends in a backslash; options do not go on below it, where the prompt stands."
                    " Write them all on one line."
                ) from None
            raise UsageError("%%bifrost: a quote on the line is not closed.") from None
        place = start + stream.tell()
        yield word or "", start, start + len(line[start:place].rstrip())


def _unbroken(line: str) -> str:
    """`line` with plain blanks for the no-break ones of a web page, outside of quotes: they stand between words."""
    return re.sub(r"""(\\.|"(?:[^"\\]|\\.)*"|'[^']*')|\xa0""", lambda found: found[1] or " ", line)


def _json(line: str, start: int) -> tuple[str, int] | None:
    """``name={...}`` or ``name=[...]`` at `start`, where that is JSON as it stands, and its end; else None."""
    named = _NAMED_JSON.match(line, start)
    if named is None:
        return None
    try:
        end = json.JSONDecoder().raw_decode(line, named.end())[1]
    except (ValueError, RecursionError):
        return None
    return (line[start:end], end) if end == len(line) or line[end].isspace() else None


def _python(line: str, start: int) -> tuple[str, int] | None:
    """The same for a dict or list of Python's own plain values, as JSON: without their quotes they would be a text."""
    named = _NAMED_JSON.match(line, start)
    if named is None:
        return None
    for bracket in re.finditer(r"[}\]](?=\s|$)", line[start:]):
        end = start + bracket.end()
        try:
            value = ast.literal_eval(line[named.end() : end])
            return named[0] + json.dumps(value, allow_nan=False, ensure_ascii=False), end
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # names, sets, or not yet its end
            continue
    return None
