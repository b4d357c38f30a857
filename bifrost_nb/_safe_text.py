"""Text from outside, made safe to show: no terminal control sequences.

Model output, gateway errors and log contents are hostile input. HTML escaping is the renderer's work
(`bifrost_nb._display.markdown`), keys are `bifrost_nb._keys`'s; this serves messages, terminals, the log.
"""

from __future__ import annotations

import re

__all__ = ["plain", "quoted", "type_with_article"]

# C0 and C1 controls except tab and newline, DEL, and the bidirectional overrides that can reorder a line on screen.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


_HALVES = re.compile("[\ud800-\udfff]")
"""Of surrogate pairs: no terminal, file or front end takes a text with one."""


def plain(text: object, limit: int | None = None) -> str:
    """`text` without control sequences, half characters replaced; cut after `limit` characters with an ellipsis."""
    result = _CONTROL.sub("", str(text))
    if not result.isascii():
        result = _HALVES.sub("\ufffd", result)
    return result if limit is None or len(result) <= limit else result[: limit - 1] + "…"


def quoted(value: object, limit: int = 80) -> str:
    """`value` as Python writes it, for an error message, cut after `limit` characters; words for what cannot be.

    Whatever a user passes comes here: what is nested too deeply, or of a class whose ``__repr__`` fails, too.
    """
    try:
        return plain(repr(value), limit)
    except Exception:  # noqa: BLE001 - anything may be raised by a class of the user's
        return f"{type_with_article(value)} that cannot be shown"


def type_with_article(value: object) -> str:
    """The type of `value` for a sentence, with its article.

    >>> type_with_article(1), type_with_article("")
    ('an int', 'a str')
    """
    name = plain(type(value).__name__, 40)
    return f"{'an' if name[:1].lower() in tuple('aeio') else 'a'} {name}"
