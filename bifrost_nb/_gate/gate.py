"""A gate: does a candidate hold what was asked of it, against limits and against a baseline? Passed, failed, undecided.

Error rates, measured with a planted truth on the very edge of each rule (400 trials for each of ten kinds of rules and
of 40 and 100 inputs, confidence 95 %, standard error 1.1): of 100 gates 1.5 to 7.0 passed and 2.8 to 6.8 failed where 5
are meant; the 95th percentile never passed at 40 inputs. ``tests/gate/test_gate.py`` repeats it in small. Limits of
graded scores hold at 10 inputs too, for each of eleven shapes of grades, see `bifrost_nb._statistics.bounded_means`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._compare import groups
from .._compare.difference import Mixed
from .._compare.unlike_sides import asked_of, other_parameters
from .._files import check_file, user_path
from .._numbers import number, whole_number
from .._safe_text import plain, quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError, LogError
from .gate_rules import GateOutcome, RuleCheck, Sides, decide, parse_rules

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Gate", "gate"]

_FILES = (".html", ".htm", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a gate found: `outcome` is ``passed``, ``failed`` or ``undecided``; true in an ``if`` only where it passed.

        found = comparison.gate("azure/fast", baseline="azure/large", score="not worse by 0.02", p95_ms=1500)
        found.outcome                  # 'undecided': the data does not say, send more inputs
        print(found)                   # a sentence for each rule
        assert found, found            # in a test
        found.frame                    # a row for each rule

    It passes where each of `checks` does; it fails where one fails.
    """

    candidate: str
    """The variant that was held to the rules."""
    baseline: str | None
    """What it was set against; None where all rules are limits."""
    confidence: float
    """Shared by all rules."""
    checks: tuple[RuleCheck, ...]
    notes: tuple[str, ...] = ()
    """What the two sides do not share beside the candidate: parameters that were others on another day."""

    @property
    def outcome(self) -> GateOutcome:
        """``failed`` where one check failed, ``passed`` where all passed, else ``undecided``."""
        found = {check.outcome for check in self.checks}
        return "failed" if "failed" in found else "undecided" if "undecided" in found else "passed"

    @property
    def exit_status(self) -> int:
        """0 passed, 1 failed, 2 undecided: what ``bifrost-nb gate`` exits with."""
        return {"passed": 0, "failed": 1, "undecided": 2}[self.outcome]

    @property
    def verdict(self) -> str:
        """One line for people."""
        against = "" if self.baseline is None else f" against {self.baseline}"
        return f"{self.outcome.capitalize()}: {self.candidate}{against}"

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each rule, with the fields of a `RuleCheck`."""
        import pandas as pd

        names = ("name", "rule", "outcome", "estimate", "low", "high", "n", "sentence")
        table = pd.DataFrame([{name: getattr(check, name) for name in names} for check in self.checks], columns=names)
        kinds = dict.fromkeys(("estimate", "low", "high"), "Float64") | {"n": "Int64"}
        return table.astype({name: kinds.get(name, "string") for name in names})

    def __bool__(self) -> bool:
        return self.outcome == "passed"

    def __repr__(self) -> str:
        lines = [f"{_MARKS[check.outcome]} {plain(check.sentence)}" for check in self.checks]
        return "\n".join([plain(self.verdict), *lines, *(f"{plain(note)}." for note in self.notes)])

    def _repr_html_(self) -> str:
        from .._display.html import Markup, table, text

        rows = ([Markup(f"<b>{check.outcome}</b>"), plain(check.rule), plain(check.sentence)] for check in self.checks)
        notes = "".join(f"<p>{text(plain(note))}.</p>" for note in self.notes)
        return f'<p style="font-weight:600">{text(plain(self.verdict))}</p>{table(rows, _HEADS, label="Rules")}{notes}'


_HEADS = ("outcome", "rule", "what was found")
_MARKS: Mapping[GateOutcome, str] = {"passed": "✓", "failed": "✗", "undecided": "?"}


def gate(
    frame: pd.DataFrame,
    candidate: str | None = None,
    *,
    baseline: str | os.PathLike[str] | pd.DataFrame | None = None,
    baseline_variant: str | None = None,
    confidence: float = 0.95,
    mixed: Mixed = "refuse",
    seed: int = 0,
    missing: int = 0,
    **rules: Any,
) -> Gate:
    """Hold one variant of a frame of runs to `rules`; see `Comparison.gate`, which passes its own frame.

        bf.gate(bf.load_report("today.html"), "azure/fast", baseline="main.html", score="not worse by 0.02")

    `missing` is how many runs were to be in the frame and are not: with any, nothing passes.

    `candidate` is the variant that is held to them (None: the only one there is), `baseline` a variant, another frame
    or a file with one, `baseline_variant` its variant there. `confidence` is shared by all rules, `mixed` and `seed`
    are as in `difference`. Raises ConfigurationError for a rule or a name that is not known, LogError for a file that
    cannot be read.
    """
    share = number(confidence)
    if share is None or not 0.8 <= share < 1:
        raise ConfigurationError(f"confidence must be from 0.8 to below 1, not {quoted(confidence)}.")
    if mixed not in ("refuse", "drop", "keep"):
        raise ConfigurationError(f"mixed must be 'refuse', 'drop' or 'keep', not {quoted(mixed)}.")
    frame = groups.runs_frame(frame)
    asked = parse_rules(rules, frame)
    seed = whole_number("seed", seed, least=0)
    if not asked:
        raise ConfigurationError("A gate needs rules.", hint="For example score='not worse by 0.02' or p95_ms=1500.")
    names = _names(frame)
    inside, other, source = _baseline(baseline, names)
    candidate = _candidate(candidate, inside, names)
    if inside is None and other is None and len(names) == 2 and any(rule.relative for rule in asked):
        (inside,) = (name for name in names if name != candidate)
    theirs: pd.DataFrame | None = None
    label: str | None = None
    if other is not None:
        theirs, label = _from_elsewhere(other, baseline_variant or candidate, baseline_variant is not None, source)
    elif inside is not None:
        theirs, label = _runs_of(frame, inside), inside
    if label == candidate:
        raise ConfigurationError(f"{plain(candidate)!r} is the candidate and the baseline.")
    sides = Sides(
        candidate=_slim(_runs_of(frame, candidate), candidate, mixed),
        name=candidate,
        baseline=None if theirs is None or label is None else _slim(theirs, label, mixed),
        baseline_name=label,
        mixed=mixed,
        seed=seed,
    )
    checks = [decide(rule, sides, confidence, len(asked)) for rule in asked]
    if missing:
        checks.append(_incomplete(missing))
    told = "params" in frame and (other is None or "params" in other)
    notes = _notes(sides) if told and any(rule.relative for rule in asked) else ()
    return Gate(candidate=candidate, baseline=label, confidence=confidence, checks=tuple(checks), notes=tuple(notes))


def _notes(sides: Sides) -> Iterable[str]:
    """As verdicts say it. Other prompts are not told: of many a gate they are what is judged."""
    if sides.baseline is None or sides.baseline_name is None:
        return ()
    ours, theirs = (asked_of(side, groups.Labels(side)) for side in (sides.candidate, sides.baseline))
    return other_parameters(sides.name, ours, sides.baseline_name, theirs)


def _incomplete(missing: int) -> RuleCheck:
    nan = float("nan")
    said = f"complete: {missing:,} runs are missing; run the comparison again to add them."
    return RuleCheck(
        name="complete", rule="no run missing", outcome="undecided", sentence=said, estimate=nan, low=nan, high=nan, n=0
    )


def _names(frame: pd.DataFrame) -> list[str]:
    for name in ("status", "prompt_id", "requested_model"):
        if name not in frame:
            raise ConfigurationError(f"This frame has no column {name!r}.", hint="Take that of a comparison or report.")
    return [str(name) for name in groups.names(frame, "variant").dropna().unique()]


def _baseline(given: Any, names: list[str]) -> tuple[str | None, pd.DataFrame | None, str]:
    """The variant of this frame that is the baseline, or another frame and what to call it."""
    import pandas as pd

    if given is None:
        return None, None, ""
    if isinstance(given, pd.DataFrame):
        return None, groups.runs_frame(given, "baseline"), "baseline"
    if isinstance(given, str) and given in names:
        return given, None, ""
    if not isinstance(given, str | os.PathLike):
        raise ConfigurationError(f"baseline must be a name, a path or a frame, not {type(given).__name__}.")
    path = user_path(given, "baseline")
    if path.suffix.lower() not in _FILES:
        hint = did_you_mean(str(given), names).strip() or "Or give the path of a report (.html) or a .parquet file."
        raise ConfigurationError(f"{plain(str(given), 80)!r} is no variant of this comparison.", hint=hint)
    return None, _read(path), path.name


def _read(path: Path) -> pd.DataFrame:
    if path.suffix.lower() != ".parquet":
        from .._report.load_report import load_report

        return load_report(path)
    import pandas as pd

    try:
        check_file(path)
        return pd.read_parquet(path)
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError, MemoryError) as error:
        # pyarrow's errors are all of these, and pandas' too, for what the file's metadata say of its columns
        reason = getattr(error, "strerror", None) or plain(error, 200)
        raise LogError(f"{path} cannot be read as Parquet: {reason}.") from None


def _candidate(given: str | None, baseline: str | None, names: list[str]) -> str:
    if given is not None:
        if given in names:
            return given
        hint = did_you_mean(given, names).strip() or f"It has {', '.join(map(plain, names)) or 'none'}."
        raise ConfigurationError(f"{plain(given, 80)!r} is no variant of this comparison.", hint=hint)
    others = [name for name in names if name != baseline]
    if len(others) == 1:
        return others[0]
    raise ConfigurationError(
        "Which variant is the candidate?", hint=f"Name it: gate({plain(others[0])!r}, ...)." if others else None
    )


def _from_elsewhere(frame: pd.DataFrame, wanted: str, named: bool, source: str) -> tuple[pd.DataFrame, str]:
    """The baseline's runs of another frame: the variant named, that of the candidate's name, or the only one."""
    names = _names(frame)
    if wanted not in names and (named or len(names) != 1):
        known = ", ".join(map(plain, names)) or "nothing"
        raise ConfigurationError(
            f"{source} has no variant {plain(wanted, 80)!r}.", hint=f"Pass baseline_variant=; it has {known}."
        )
    name = wanted if wanted in names else names[0]
    return _runs_of(frame, name), f"{name} ({source})"


def _runs_of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[(groups.names(frame, "variant") == name).fillna(value=False)]


def _slim(frame: pd.DataFrame, name: str, mixed: Mixed) -> pd.DataFrame:
    """The runs of one side under its name, with the columns that figures need: two sources fit together."""
    import pandas as pd

    texts = ("status", "provider", "model", "model_deployment", "requested_provider", "requested_model", "prompt_id")
    asked = ("prompt", "params")  # by which inputs that ask the same are found among those of both sides
    kinds = {
        **dict.fromkeys((*texts, *asked, "tags"), "string"),
        "cache_hit": "boolean",
        "is_fallback": "boolean",
        "repeat": "Int64",
    }
    kinds |= dict.fromkeys(("total_ms", "ttft_ms", "cost_usd"), "Float64")
    table = pd.DataFrame({column: _column(frame, column, kind) for column, kind in kinds.items()}, index=frame.index)
    for column in map(str, frame.columns):
        if column == "valid" or (column.startswith("score") and frame[column].dtype.kind in "iufb"):
            table[column] = _column(frame, column, "Float64")
    table["input_id"] = groups.inputs_told(frame)
    if "started_at" in frame:
        table["started_at"] = frame["started_at"]
    table["variant"] = pd.Series(name, index=frame.index, dtype="string")
    if mixed == "drop":
        table = table[~table["is_fallback"].fillna(value=False).astype(bool)]
    return table.reset_index(drop=True)


def _column(frame: pd.DataFrame, name: str, kind: Any) -> pd.Series[Any]:
    import pandas as pd

    try:
        found: pd.Series[Any] = (
            frame[name].astype(kind) if name in frame else pd.Series(pd.NA, index=frame.index, dtype=kind)
        )
        if kind == "Float64" and found.isin([float("inf"), float("-inf")]).any():
            raise ValueError("it holds infinities, of which there is no mean")
        return found
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ConfigurationError(
            f"The column {name!r} of the frame is not of type {kind}: {plain(error, 100)}."
        ) from None
