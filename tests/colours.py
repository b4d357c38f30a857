"""Contrast of colours, as WCAG 2 has it, and what a dark page makes of what it reverses."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["contrast", "reversed_colour"]

Colour = str | Sequence[float]
_TURNED = ((-0.574, 1.43, 0.144), (0.426, 0.43, 0.144), (0.426, 1.43, -0.856))
"""``hue-rotate(180deg)`` by the matrix of Filter Effects Level 1."""


def _parts(colour: Colour) -> list[float]:
    """Red, green and blue from 0 to 1, of ``#rrggbb`` or of such numbers."""
    if isinstance(colour, str):
        return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [float(part) for part in colour[:3]]


def contrast(one: Colour, other: Colour) -> float:
    """From 1, the same, to 21, black on white."""

    def light(colour: Colour) -> float:
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour)
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((light(one), light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def reversed_colour(colour: Colour) -> list[float]:
    """What ``REVERSED_IN_DARK`` makes of a colour: ``invert(.93) hue-rotate(180deg)``."""
    inverted = [0.93 - 0.86 * part for part in _parts(colour)]
    return [min(1.0, max(0.0, sum(a * b for a, b in zip(row, inverted, strict=True)))) for row in _TURNED]
