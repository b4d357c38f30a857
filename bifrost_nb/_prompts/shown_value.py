"""What a value becomes where a person or a file reads it beside what was asked with it."""

from __future__ import annotations

from typing import Any

from .value_text import Fault, as_text

__all__ = ["shown_value"]


def shown_value(value: Any) -> str:
    """`value` as a prompt has it, lists and mappings as JSON; what has no text there (NaN in a list) as Python has it.

    >>> shown_value({"a": None}), shown_value("b")
    ('{"a": null}', 'b')
    """
    try:
        return as_text(value)
    except Fault:
        return str(value)
