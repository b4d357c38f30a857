"""What is filled in on a playground: plain fields, and the request that they make. No widget, nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ..._compare.plan import Plan, make_plan
from ..._compare.scoring import ScorerFunction, check_columns
from ..._keys import without_keys
from ..._prompts.inputs import rows_of
from ..._prompts.messages import transcript
from ..._prompts.template import variables
from ..._safe_text import plain
from ..._suggest import did_you_mean
from ...errors import ConfigurationError, TemplateError
from .checks import CHECKS, NOW, EarlierTurn, as_columns, schema_of_text
from .code import as_given
from .hidden_keys import without_own_keys

if TYPE_CHECKING:
    from ..._client.calls import Kind
    from ..._client.client import Client

__all__ = ["PARAMETERS", "Form"]

PARAMETERS = ("temperature", "max_tokens", "top_p", "stop", "seed", "n")
"""Parameters that the page has controls for; a form may hold any other that the client takes."""
_ARGUMENTS = ("deployments", "prompt", "messages", "inputs", "images", "schema", "repeats", "system", "fallbacks")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields. An empty text or list means: not set; a parameter of None means the provider's default."""

    deployments: tuple[str, ...] = ()
    """The columns, in the order in which they were chosen: ``provider/model`` each, or a name in `settings`."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of a column, by its name: what it has instead of the shared fields (parameters, ``system``, ``fallbacks``,
    ``api``), and its ``deployment`` where that is not its name. Also of columns that are not chosen at the moment."""
    api: str = ""
    """``text``, ``chat`` or ``responses``; empty: as the gateway says that each deployment can be asked."""
    system: str = ""
    """Makes a chat of what is left to the gateway; kept and not sent where text is asked for."""
    turns: tuple[EarlierTurn, ...] = ()
    """What was said before; the prompt is the user's next turn. Templates, too."""
    chats: Mapping[str, tuple[EarlierTurn, ...]] = field(default_factory=dict)
    """Of a column, by its name: what was said before in a conversation of its own, in the place of `turns`."""
    prompt: str = ""
    """A template with ``{{variables}}``."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Named prompts that are asked beside each other, each of each deployment; empty: `prompt` alone. `prompt` is one
    more of them, called ``now``, where it is none of these texts."""
    pictures: tuple[str, ...] = ()
    """``data:`` URLs that go behind the prompt."""
    images: tuple[str, ...] = ()
    """Columns of the bound rows that hold pictures."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of the prompt's variables; also of those that it does not use at the moment."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schema: Any = None
    """What answers must look like: a pydantic model or a JSON schema that Python gave, or the text of a JSON schema as
    it is typed, which may not be finished."""
    fallbacks: tuple[str, ...] = ()
    repeats: int = 1
    score: Mapping[str, ScorerFunction] = field(default_factory=dict)
    """The scorers that were given, by the frame's column; only Python sets them."""
    scores: tuple[str, ...] = ()
    """The columns of `score` that are chosen: whose scorers judge the answers of the next round."""

    def __repr__(self) -> str:
        """Each field as Python writes it, without keys: a notebook keeps what a cell shows."""
        shown = {each.name: getattr(self, each.name) for each in fields(self)}
        shown["parameters"] = without_own_keys(self.parameters)
        shown["settings"] = {name: without_own_keys(own) for name, own in self.settings.items()}
        return f"Form({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def changed(self, **given: Any) -> Form:
        """The form with some fields set anew. Raises ConfigurationError for unknown fields and wrong types."""
        known = [each.name for each in fields(self)]
        for name in given:
            if name not in known:
                meant = did_you_mean(name, known) or f" There are {', '.join(known)}."
                raise ConfigurationError(f"A playground has no field {plain(name, 60)!r}.{meant}")
        if "deployments" in given:
            given["deployments"], own = as_columns(given["deployments"])
            if own:
                settings = (
                    CHECKS["settings"]("settings", given.get("settings", {})) if "settings" in given else self.settings
                )
                given["settings"] = {**settings, **own}
        if "settings" in given:
            given |= self._with_chats(**given)
        checked = {name: CHECKS[name](name, value) for name, value in given.items()}
        if "score" in checked:
            checked.setdefault("scores", tuple(checked["score"]))  # whoever gives scorers wants them
        form = replace(self, **checked)
        for name in form.scores:
            if name not in form.score:
                meant = did_you_mean(name, form.score) or f" There are {', '.join(form.score) or 'none'}."
                raise ConfigurationError(f"scores: there is no score {plain(name, 60)!r}.{meant}")
        return form

    def _with_chats(self, settings: Any, chats: Any = None, **_: Any) -> dict[str, Any]:
        """Both fields; a conversation among a column's settings, as `compare` takes it, is one of the chats."""
        own = CHECKS["settings"]("settings", settings)
        found = {name: one.pop("history") for name, one in own.items() if "history" in one}
        return {"settings": own, "chats": {**(self.chats if chats is None else chats), **found}}

    def turns_of(self, column: str) -> tuple[EarlierTurn, ...]:
        """What was said before where `column` is asked."""
        return self.chats.get(column, self.turns)

    @property
    def scorers(self) -> dict[str, ScorerFunction]:
        """The chosen scorers, by column, in the order in which they were given."""
        return {name: scorer for name, scorer in self.score.items() if name in self.scores}

    @property
    def variables(self) -> list[str]:
        """The names in all that is sent, in order."""
        systems = [self._system_of(name) for name in self.deployments] or [self.system]
        before = dict.fromkeys(map(self.turns_of, self.deployments)) or {self.turns: None}
        texts = [*dict.fromkeys(systems), *(turn.text for turns in before for turn in turns), *self.prompts.values()]
        return list(dict.fromkeys(name for text in texts for name in variables(text or "")))

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts that are asked beside each other, by name; a single one is ``now``."""
        asked = dict(self.templates)
        if not asked or (self.prompt.strip() and self.prompt not in asked.values()):
            asked[NOW] = self.prompt
        return asked

    @property
    def answer_schema(self) -> Any:
        """`schema` as `compare` takes it. Raises ConfigurationError where its text is no schema."""
        return schema_of_text(self.schema) if isinstance(self.schema, str) else self.schema

    @property
    def text(self) -> str:
        """All that is written, to be read and compared: the system message, the turns, the prompt."""
        if not self.system.strip() and not self.turns and not self.pictures:
            return self.prompt
        system = [{"role": "system", "content": self.system}] if self.system.strip() else []
        last = EarlierTurn("user", self.prompt, self.pictures)
        return transcript([*system, *(turn.message for turn in (*self.turns, last))])

    def rows(self, inputs: Any) -> int:
        """How many prompts the form makes with the bound `inputs`."""
        return len(rows_of(inputs)) if inputs is not None and (self.variables or self.images) else 1

    def deployment(self, column: str) -> str:
        """``provider/model`` of a column."""
        return str(self.settings.get(column, {}).get("deployment", column))

    def request(self, inputs: Any = None) -> dict[str, Any]:
        """The arguments of `compare` that ask the same; what is not set is left out.

        `inputs` are rows bound to the playground; variables without a column of theirs take the typed value.
        """
        rows, pictures = self._filled(inputs), [*self.images, *self._pictures]
        if self._pictures:
            rows = [{**row, **self._pictures} for row in rows_of(rows)]
        apart = any(name in self.chats for name in self.deployments)
        asks = {"messages": [*(one.message for one in self.turns), EarlierTurn("user", self.prompt).message]}
        shared = {name: value for name, value in self.parameters.items() if name != "seed" and value is not None}
        optional = {
            "inputs": rows,
            "images": pictures or None,
            "api": self.api or None,
            "system": self.system if self.api != "text" and self.system.strip() else None,
            "schema": self.answer_schema,
            "fallbacks": list(self.fallbacks) or None,
            "repeats": self.repeats if self.repeats > 1 else None,
            "score": as_given(self.scorers),
        }
        set_ones = {name: value for name, value in optional.items() if value is not None}
        asked = [self._column(name, self.turns_of(name) if apart else ()) for name in self.deployments]
        told = asks if self.turns and not apart else {"prompt": self.prompts if self.templates else self.prompt}
        return {"deployments": asked, **told, **set_ones, **shared}

    def plan(self, client: Client, inputs: Any = None, *, known_only: bool = False) -> Plan:
        """All calls of the request, checked by the client, with inputs that its scorers can work with.

        `known_only` does not ask the gateway what its deployments can do: what was heard before counts.

        Raises ConfigurationError and TemplateError.
        """
        if not self.deployments:
            raise ConfigurationError("Choose a deployment.")
        if self.templates and any(map(self.turns_of, self.deployments)):
            raise ConfigurationError(
                "Prompts beside each other begin a conversation.", hint="Take the earlier turns out, or ask one prompt."
            )
        if not self.prompt.strip() and not self.templates:
            begun = any(map(self.turns_of, self.deployments))
            raise ConfigurationError("Write what you say next." if begun else "Write a prompt.")
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

    @property
    def _pictures(self) -> dict[str, str]:
        """The pictures behind the prompt, as columns of the inputs."""
        names = ["picture"] if len(self.pictures) == 1 else [f"picture_{n + 1}" for n in range(len(self.pictures))]
        return dict(zip(names, self.pictures, strict=True))

    def _column(self, name: str, history: Sequence[EarlierTurn]) -> Any:
        """A column as `compare` takes it."""
        own = dict(self.settings.get(name, {}))
        deployment = own.pop("deployment", name)
        # compare's own seed is the order of sending, so the model's goes with each deployment
        seed = own.pop("seed", self.parameters.get("seed"))
        asked = {"deployment": deployment, **({} if name == deployment else {"name": name}), **own}
        if own.get("api", self.api) == "text":
            asked.pop("system", None)
            if self.api != "text" and self.system.strip():
                asked["system"] = None  # a text completion takes none
        if seed is not None:
            asked["seed"] = seed
        if history:
            asked["history"] = [turn.message for turn in history]
        return name if asked == {"deployment": name} else asked

    def _system_of(self, column: str) -> str:
        own = self.settings.get(column, {})
        return "" if own.get("api", self.api) == "text" else str(own.get("system", self.system))

    def _filled(self, inputs: Any) -> Any:
        names = self.variables
        if not names and not self.images:
            return None
        if inputs is None:
            if empty := [name for name in names if not self.values.get(name, "")]:
                raise TemplateError(f"Fill in {', '.join(f'{{{{{name}}}}}' for name in empty)}.")
            return [{name: self.values[name] for name in names}]
        rows = rows_of(inputs)
        typed = {name: self.values[name] for name in names if name not in rows[0] and self.values.get(name, "")}
        return [{**typed, **row} for row in rows] if typed else inputs
