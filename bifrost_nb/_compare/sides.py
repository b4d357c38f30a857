"""Who is set beside whom: variants, or with ``by=`` templates or deployments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._safe_text import quoted
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .groups import By
    from .plan import Trial

__all__ = ["check_by", "meant", "names_of_both", "sides"]


def check_by(by: Any, templates: Sequence[str]) -> None:
    """Raises ConfigurationError where `by` is no kind, or there are no two `templates` to set beside each other."""
    if by not in ("variant", "deployment", "template"):
        raise ConfigurationError(f"by must be 'variant', 'deployment' or 'template', not {quoted(by)}.")
    if by == "template" and len(templates) < 2:
        raise ConfigurationError(
            "There are no two templates.", hint="Pass several: prompt={'short': ..., 'long': ...}."
        )


def sides(trials: Sequence[Trial], by: By) -> list[tuple[str, str]]:
    """For each trial the name that `by` says, and what two of them must share beside the input: the variant's rest."""
    if by == "template":
        return [(trial.prompt.template or "", trial.asked.name) for trial in trials]
    if by == "deployment":
        return [(trial.asked.name, trial.prompt.template or "") for trial in trials]
    return [(trial.variant, "") for trial in trials]


def names_of_both(trials: Sequence[Trial], a: str, b: str, by: By | None) -> list[str]:
    """Each trial's variant, deployment or template: of which kind both `a` and `b` are. Raises ConfigurationError."""
    ways: tuple[By, ...] = ("variant", "deployment", "template") if by is None else (by,)
    found = [[name for name, _ in sides(trials, way)] for way in ways]
    for names in found:
        if {a, b} <= set(names):
            return names
    known = list(dict.fromkeys(name for names in found for name in names if name))
    wrong = next((name for name in (a, b) if name not in known), None)
    if wrong is None:
        raise ConfigurationError(
            f"{a!r} and {quoted(b)} are not of one kind: take two variants, deployments or templates."
        )
    raise ConfigurationError(f"{wrong!r} is not in this comparison.", hint=f"It has {', '.join(known)}.")


def meant(own: Sequence[str], names: Sequence[str] | None, by: By) -> list[bool]:
    """For each name of `own` whether it is one of `names`; all are without. Raises ConfigurationError."""
    if names is None:
        return [True] * len(own)
    known = list(dict.fromkeys(own))
    hint = f"There are {', '.join(known)}."
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigurationError(f"names must be a list of names, not {names!r}.", hint=hint)
    wanted = list(names)
    wrong = [name for name in wanted if name not in known]
    if wrong or not wanted:
        raise ConfigurationError(
            f"{wrong[0]!r} is no {by} of this comparison." if wrong else "names is empty.", hint=hint
        )
    return [name in wanted for name in own]
