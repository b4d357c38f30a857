"""Numbers as people and models write them: 1,234.50 and 1.234,50, 12 345, 2.5 × 10^6, 50%, 5 million."""

from __future__ import annotations

import re

__all__ = ["numbers_in"]

_MARKS = "'\N{RIGHT SINGLE QUOTATION MARK}\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""What parts thousands and nothing else."""
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺−", "0123456789-+-")
_NUMBER = re.compile(
    rf"(?<![\w.])([-+−]?)[$€£¥]?([1-9]\d{{0,2}}(?: \d{{3}})+(?:[.,]\d+)?(?![.,]?\d)|\d+(?:[.,{_MARKS}]\d+)*|\.\d+)"
    r"([eE][-+]?\d+)?(?:\s?(?:[×x*·]|\\times|\\cdot)\s?10(?:\^\{?([-+−]?\d+)\}?|([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)))?"
    r"(?:\s?(%|(?:k|thousand|million|billion|trillion)\b))?"
)
"""Sign, digits with whatever parts them, exponent, power of ten, unit."""
_UNITS = {"%": 0.01, "k": 1e3, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_PLAIN = re.compile(r"\d*\.?\d+")
_ENGLISH = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?")  # 12,34,567 in India
_CONTINENTAL = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?|\d+,\d+")
_MARKED = re.compile(rf"[1-9]\d{{0,2}}(?:[ {_MARKS}]\d{{3}})+(?:[.,]\d+)?")
_SEVERAL_POINTS = re.compile(r"\d+(?:\.\d+){2,}")


def numbers_in(text: str) -> list[tuple[float, ...]]:
    """The numbers of `text`, each as what it is read as, and behind that what it may be in another notation or unit.

    >>> numbers_in("1.234,50 Euro, 5k, and 3.5 \u00d7 10^2")
    [(1234.5, 50.0), (5.0, 5000.0), (350.0,)]
    """
    text = text.replace("{,}", ",").replace("\\!", "").replace("\\,", "\N{THIN SPACE}")  # of LaTeX
    found = []
    for sign, digits, exponent, power, small, unit in _NUMBER.findall(text):
        ten = exponent[1:] or (power or small).translate(_POWERS)
        minus = "" if sign in ("", "+") else "-"
        if values := [float(f"{minus}{value}e{ten or 0}") for value in _readings(digits)]:
            found.append((*values, *(value * _UNITS[unit] for value in values if unit)))
    return found


def _readings(digits: str) -> list[str]:
    """`digits` as Python writes them, the likeliest reading first; none where they are no number, as in 1.2.3.

    >>> _readings("1.234,50"), _readings("1.234"), _readings("3,14")
    (['1234.50', '50'], ['1.234', '1234'], ['3.14', '14'])
    """
    continental = digits.replace(".", "").replace(",", ".")
    last = re.split(rf"[, {_MARKS}]", digits)[-1]
    if _PLAIN.fullmatch(digits):
        return [digits, continental] if _CONTINENTAL.fullmatch(digits) else [digits]
    if _ENGLISH.fullmatch(digits):
        return [digits.replace(",", ""), *([continental] if _CONTINENTAL.fullmatch(digits) else [])]
    if _CONTINENTAL.fullmatch(digits):
        return [continental, *([last] if "," in digits else [])]  # or numbers in a row, without blanks
    if _MARKED.fullmatch(digits):
        joined = re.sub(rf"[ {_MARKS}]", "", digits).replace(",", ".")
        parted = " " in digits and "," not in digits and not last.startswith("0")  # 12 345 may be two numbers
        return [last, joined] if parted else [joined]
    return [] if _SEVERAL_POINTS.fullmatch(last) else _readings(last)
