"""JSON as the SDKs' own readers take it, which is more than a strict reader does.

Python's `json`, by which all of them read, also takes infinities and NaN, half of a surrogate pair and a byte-order
mark; gateways pass on what providers write of these. What such a reader accepted was an answer, and is kept as one.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

__all__ = ["loads", "unfenced", "whole", "whole_characters"]

MOST_LEVELS = 100
"""Of what is kept of an answer. orjson reads 1,024 and writes 254; Python's functions can call each other 1,000 deep,
of which a notebook and each level take several."""


def loads(content: bytes | str) -> Any:
    """The JSON value of `content`, bytes that are not UTF-8 replaced. Raises orjson.JSONDecodeError where it has none.

    >>> loads(b'\\xef\\xbb\\xbf{"logprob": -Infinity}')
    {'logprob': -inf}
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as strict:
        try:
            return _as_python_reads(content)
        except (ValueError, RecursionError):  # nesting without end, or a number of thousands of digits
            raise strict from None


def _as_python_reads(content: bytes | str) -> Any:
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        return json.loads(str(content, "utf-8-sig", "replace"))  # type: ignore[arg-type]


_LANGUAGE = re.compile(r"\A[ \t]*\w{1,20}[ \t\r]*(?=[\n{\[])")
"""What stands behind the opening of a block of code, as ``JSON``."""


def unfenced(text: str) -> str:
    """What a model wrote for JSON without the block of code around all of it, blanks and a byte-order mark.

    No one pattern does it: models that may write blanks between tokens sometimes write nothing else until their limit,
    and to look for the end of a block at each of 50,000 blanks takes minutes.

    >>> unfenced('\\ufeff```JSON\\n{"a": 1}\\n```\\n')
    '{"a": 1}'
    """
    text = text.strip().removeprefix("\ufeff").strip()
    mark = text[:3]
    if mark not in ("```", "~~~") or len(text) < 6 or not text.endswith(mark):
        return text
    return _LANGUAGE.sub("", text.strip(mark[0]), count=1).strip()


def whole_characters(text: str) -> str:
    """`text` with the halves of each surrogate pair joined, and each half that is alone replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def whole(value: Any) -> Any:
    """`value` with whole characters only, and ``"…"`` for what nests deeper than files and functions can carry."""
    if not value or (type(value) is str and value.isascii()):
        return value
    try:
        # Far quicker than to go through it, which is hardly ever needed. Files hold it some levels further down.
        orjson.dumps([[[[[[[[[[[[[[[[value]]]]]]]]]]]]]]]])
    except TypeError:  # half of a character, a number of more than 64 bits, more than 254 levels
        return _repaired(value, MOST_LEVELS)
    return value


def _repaired(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if levels == 0 and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        return {whole_characters(name): _repaired(each, levels - 1) for name, each in value.items()}
    return [_repaired(each, levels - 1) for each in value] if isinstance(value, list) else value
