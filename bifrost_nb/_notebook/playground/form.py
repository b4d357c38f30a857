"""What is filled in on a playground: plain fields, and the request that they make. No widget, nothing is sent."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pprint import pformat
from typing import TYPE_CHECKING, Any

from ..._compare.api_choice import decided_kind
from ..._compare.plan import Plan, make_plan
from ..._compare.scoring import Scorer, ScorerFunction, check_columns, scorers_of
from ..._keys import without_keys
from ..._numbers import whole
from ..._prompts.inputs import rows_of
from ..._prompts.template import variables
from ..._safe_text import plain
from ..._suggest import did_you_mean
from ...errors import ConfigurationError, TemplateError

if TYPE_CHECKING:
    from ..._client.calls import Kind
    from ..._client.client import Client

__all__ = ["PARAMETERS", "Form"]

PARAMETERS = ("temperature", "max_tokens", "top_p", "stop", "seed", "n")
"""Parameters that the page has controls for; a form may hold any other that the client takes."""
MOST_WRITTEN_ROWS = 200
"""Bound rows that are written out in copied code; more are only named there."""
_ARGUMENTS = ("deployments", "prompt", "inputs", "repeats", "system", "fallbacks")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields. An empty text or list means: not set; a parameter of None means the provider's default."""

    deployments: tuple[str, ...] = ()
    """``provider/model`` each, in the order in which they were chosen."""
    api: str = ""
    """``text``, ``chat`` or ``responses``; empty: as the gateway says that each deployment can be asked."""
    system: str = ""
    """Makes a chat of what is left to the gateway; kept and not sent where text is asked for."""
    prompt: str = ""
    """A template with ``{{variables}}``."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of the prompt's variables; also of those that it does not use at the moment."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    repeats: int = 1
    score: Mapping[str, ScorerFunction] = field(default_factory=dict)
    """The scorers that were given, by the frame's column; only Python sets them."""
    scores: tuple[str, ...] = ()
    """The columns of `score` that are chosen: whose scorers judge the answers of the next round."""

    def changed(self, **given: Any) -> Form:
        """The form with some fields set anew. Raises ConfigurationError for unknown fields and wrong types."""
        known = [each.name for each in fields(self)]
        for name in given:
            if name not in known:
                meant = did_you_mean(name, known) or f" There are {', '.join(known)}."
                raise ConfigurationError(f"A playground has no field {plain(name, 60)!r}.{meant}")
        checked = {name: _CHECKS[name](name, value) for name, value in given.items()}
        if "score" in checked:
            checked.setdefault("scores", tuple(checked["score"]))  # whoever gives scorers wants them
        form = replace(self, **checked)
        for name in form.scores:
            if name not in form.score:
                meant = did_you_mean(name, form.score) or f" There are {', '.join(form.score) or 'none'}."
                raise ConfigurationError(f"scores: there is no score {plain(name, 60)!r}.{meant}")
        return form

    @property
    def scorers(self) -> dict[str, ScorerFunction]:
        """The chosen scorers, by column, in the order in which they were given."""
        return {name: scorer for name, scorer in self.score.items() if name in self.scores}

    @property
    def variables(self) -> list[str]:
        """The names in the prompt, in order."""
        return variables(self.prompt)

    def rows(self, inputs: Any) -> int:
        """How many prompts the form makes with the bound `inputs`."""
        return len(rows_of(inputs)) if inputs is not None and self.variables else 1

    def request(self, inputs: Any = None) -> dict[str, Any]:
        """The arguments of `compare` that ask the same; what is not set is left out.

        `inputs` are rows bound to the playground; variables without a column of theirs take the typed value.
        """
        seed = self.parameters.get("seed")
        # compare's own seed is the order of sending, so the model's goes with each deployment
        asked = [name if seed is None else {"deployment": name, "seed": seed} for name in self.deployments]
        system = self.system if self.api != "text" and self.system.strip() else None
        shared = {name: value for name, value in self.parameters.items() if name != "seed" and value is not None}
        optional = {
            "inputs": self._filled(inputs),
            "api": self.api or None,
            "system": system,
            "fallbacks": list(self.fallbacks) or None,
            "repeats": self.repeats if self.repeats > 1 else None,
            "score": _as_given(self.scorers),
        }
        set_ones = {name: value for name, value in optional.items() if value is not None}
        return {"deployments": asked, "prompt": self.prompt, **set_ones, **shared}

    def plan(self, client: Client, inputs: Any = None, *, known_only: bool = False) -> Plan:
        """All calls of the request, checked by the client, with inputs that its scorers can work with.

        `known_only` does not ask the gateway what its deployments can do: what was heard before counts.

        Raises ConfigurationError and TemplateError.
        """
        if not self.deployments:
            raise ConfigurationError("Choose a deployment.")
        if not self.prompt.strip():
            raise ConfigurationError("Write a prompt.")
        rest = self.request(inputs)
        rest.pop("score", None)
        named = {name: rest.pop(name) for name in _ARGUMENTS if name in rest}
        kind: Kind | None = rest.pop("api", None)
        plan = make_plan(client, kind=kind, parameters=rest, known_only=known_only, **named)
        check_columns(self.scorers, list(plan.prompts[0].values))
        return plan

    def problem(self, client: Client, inputs: Any = None) -> str | None:
        """Why this cannot be sent, in words; None where it can. Looks at the first row of `inputs` only."""
        try:
            first = None if inputs is None else rows_of(inputs)[:1]
            replace(self, repeats=1).plan(client, first, known_only=True)
        except (ConfigurationError, TemplateError) as error:
            return plain(without_keys(error), 400)
        return None

    def code(self, inputs: Any, base_url: str) -> str:
        """Python that asks the gateway at `base_url` the same.

        It runs as it stands: bound rows are written out. More than 200, or values that Python has no literal for, are
        named instead, and a comment says that they must be defined.
        """
        asked = self.request(inputs)
        note = ""
        if inputs is not None and "inputs" in asked:
            rows = _literal(rows_of(asked["inputs"]))
            note = f"inputs = {rows}\n\n" if rows else "# Define inputs first: the rows bound to the playground.\n"
            asked["inputs"] = _Name("inputs")
        if self.scorers:
            written = {name: _scorer_code(scorer) for name, scorer in self.scorers.items()}
            asked["score"] = _as_given(written)
            if missing := [name for name in dict.fromkeys(written.values()) if not name.startswith("bf.")]:
                note = f"# Define {', '.join(missing)} first: your own scorers.\n{note}"
        lines = [f"    {name}={pformat(value, width=90, sort_dicts=False)}," for name, value in asked.items()]
        lines.append(f"    client=bf.Client({base_url!r}),")
        return "\n".join(["import bifrost_nb as bf\n", f"{note}comparison = bf.compare(", *lines, ")", "comparison"])

    def _filled(self, inputs: Any) -> Any:
        names = self.variables
        if not names:
            return None
        if inputs is None:
            if empty := [name for name in names if not self.values.get(name, "")]:
                raise TemplateError(f"Fill in {', '.join(f'{{{{{name}}}}}' for name in empty)}.")
            return [{name: self.values[name] for name in names}]
        rows = rows_of(inputs)
        typed = {name: self.values[name] for name in names if name not in rows[0] and self.values.get(name, "")}
        return [{**typed, **row} for row in rows] if typed else inputs


def _as_given(scorers: Mapping[str, Any]) -> Any:
    """Scorers by column, as `compare` takes them; None without any."""
    if not scorers:
        return None
    return scorers["score"] if "score" in scorers else {n.removeprefix("score_"): one for n, one in scorers.items()}


def _scorer_code(scorer: ScorerFunction) -> _Name:
    """A scorer of `bifrost_nb.scorers` as it is made, where its text says all; any other by its name."""
    if isinstance(scorer, Scorer):
        try:
            call = ast.parse(repr(scorer), mode="eval").body
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                for argument in (*call.args, *(each.value for each in call.keywords)):
                    ast.literal_eval(argument)
                return _Name(f"bf.scorers.{scorer!r}")
        except (ValueError, SyntaxError):
            pass
    name = str(getattr(scorer, "__name__", ""))
    return _Name(name if name.isidentifier() else "scorer")


def _literal(rows: list[Any]) -> str | None:
    """The rows as Python; None where they are too many, or their text would not give the same values again."""
    if len(rows) > MOST_WRITTEN_ROWS:
        return None
    # NumPy's numbers are written as calls of NumPy; Python's own of the same value are not
    same = [{name: each.item() if hasattr(each, "item") else each for name, each in row.items()} for row in rows]
    written = pformat(same, width=100, sort_dicts=False)
    try:
        return written if ast.literal_eval(written) == same else None
    except (ValueError, SyntaxError):
        return None


class _Name(str):
    """A name in written code, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}.")
    return value


def _names(name: str, value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise ConfigurationError(f"{name} must be a list like ['azure/fast'], not {plain(repr(value), 60)}.")
    return tuple(dict.fromkeys(each.strip() for each in listed if each.strip()))


def _api(name: str, value: Any) -> str:
    return decided_kind(value or None) or ""


def _values(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{name} must be a dict of name to text, not {plain(repr(value), 60)}.")
    return {key: each if isinstance(each, str) else str(each) for key, each in value.items()}


def _parameters(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{name} must be a dict like {{'temperature': 0.2}}, not {plain(repr(value), 60)}.")
    return {key: each for key, each in value.items() if each is not None and each != []}


def _count(name: str, value: Any) -> int:
    found = whole(value)
    if found is None or not 1 <= found <= 1000:
        raise ConfigurationError(f"{name} must be a whole number from 1 to 1000, not {plain(repr(value), 60)}.")
    return found


def _scorers(name: str, value: Any) -> dict[str, ScorerFunction]:
    return scorers_of(value)


_CHECKS: Mapping[str, Any] = {
    "deployments": _names,
    "api": _api,
    "system": _text,
    "prompt": _text,
    "values": _values,
    "parameters": _parameters,
    "fallbacks": _names,
    "repeats": _count,
    "score": _scorers,
    "scores": _names,
}
