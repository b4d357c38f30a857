"""What a comparison will send: prompts x deployments x repeats, each cell with an identity by content.

Everything that can be wrong is found here, before anything is sent. The identity (`identity`) is what lets a second
run of the same notebook cell send only what is missing.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._client.calls import AnyKind, Call, same_for
from .._client.typed_answers import AnswerSchema, with_schema
from .._keys import Secret, without_tool_keys
from .._numbers import whole_number
from .._prompts.inputs import Rendered, prompts_of
from .._prompts.messages import (
    Message,
    Template,
    asked_as,
    checked_templates,
    filled_in,
    transcript,
    with_history,
)
from .._prompts.template import render
from .._safe_text import quoted
from ..errors import ConfigurationError
from .abilities import check_images_taken
from .api_choice import MEDIA, system_for, with_kinds
from .asked_deployments import AskedDeployment, asked_deployments, check_prompts
from .groups import SEPARATOR
from .identity import address_of, digest_of, identity_of, numbered, shown_values
from .kept_media import keeper
from .planned_prompt import PlannedPrompt
from .row_parameters import check_columns_of, columns_of, for_row, shared_by_rows
from .sound_prompts import sound_prompts

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = [
    "TAGS",
    "Plan",
    "Trial",
    "make_plan",
    "without_keys",
]

TAGS = ("cell", "variant", "template", "input", "sweep")
"""Tags that a comparison sets on its runs: the cell's identity, the names of its variant and template, the row of
inputs, and the pass in which it was sent."""
MOST_CALLS = 10_000_000
"""Of one comparison: each is an object before the first is sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One call to make."""

    trial_id: str
    prompt: PlannedPrompt
    asked: AskedDeployment
    repeat: int
    system: str | None = None
    """Filled in."""
    history: Sequence[Message] | None = field(default=None, repr=False)
    """Its own earlier turns, filled in."""

    @property
    def turns(self) -> Sequence[Message] | None:
        """The messages that are sent, where that is more than the prompt's text."""
        return with_history(self.history, self.prompt.messages or self.prompt.text) or self.prompt.messages

    @property
    def variant(self) -> str:
        """The deployment's name where there is one template, else ``deployment · template``."""
        template = self.prompt.template
        return self.asked.name if template is None else f"{self.asked.name}{SEPARATOR}{template}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """All calls of a comparison. `trials` are in the order of the table, `order` in the order of sending."""

    comparison_id: str
    kind: AnyKind
    stream: bool
    system: str | None
    tags: Mapping[str, Any]
    asked: tuple[AskedDeployment, ...]
    prompts: tuple[PlannedPrompt, ...]
    repeats: int
    trials: tuple[Trial, ...] = field(repr=False)
    order: tuple[Trial, ...] = field(repr=False)
    schema: AnswerSchema | None = None
    """By which its answers are read."""
    sweep_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    """Marks the runs that this plan sends: only their times may be set against each other."""
    seed: int | None = None
    """By which `order` was shuffled; None where it was not."""
    folder: Path | None = None
    """Where pictures and sound of the answers are written."""

    def for_files(self) -> Plan:
        """The plan without what sending alone needs."""
        return self

    def tags_of(self, trial: Trial) -> dict[str, Any]:
        """The tags of a cell's run: the user's, the cell's identity, and the names given in the comparison."""
        tags = {**self.tags, "cell": trial.trial_id, "sweep": self.sweep_id}
        if trial.prompt.input_id:
            tags["input"] = trial.prompt.input_id
        if trial.variant != trial.asked.deployment:
            tags["variant"] = trial.variant
        if trial.prompt.template is not None:
            tags["template"] = trial.prompt.template
        return tags

    def call(self, client: Client, trial: Trial, like: Call | None = None) -> Call:
        """The checked call of a cell, with a fresh run that carries the cell's identity.

        `like` is a call of the same variant: what differs in its text alone is not checked again.
        """
        asked, prompt = trial.asked, trial.prompt
        if like is not None and trial.turns is None and _differ_in_text(asked, like):
            call = same_for(
                like,
                prompt.text,
                system=trial.system,
                tags=self.tags_of(trial),
                prompt_id=prompt.prompt_id,
                repeat=trial.repeat,
            )
            client.made_ready(call)
            return call
        parameters = _without_hint(asked, for_row(asked.parameters, prompt.values))
        options: dict[str, Any] = {"retries": 0, **parameters, **system_for(asked.kind, trial.system)}
        call = client.prepare(
            asked.kind,
            asked.deployment,
            stream=self.stream,
            **_asked(asked, prompt, trial.turns),
            fallbacks=list(asked.fallbacks) or None,
            tags=self.tags_of(trial),
            comparison_id=self.comparison_id,
            prompt_id=prompt.prompt_id,
            repeat=trial.repeat,
            **options,
        )
        call.headers = _with_own_cache_key(call.headers, trial, self.asked)
        if asked.kind in ("image", "speech"):
            call.before_log = keeper(self, trial)
        return call


def _asked(asked: AskedDeployment, prompt: PlannedPrompt, turns: Sequence[Message] | None) -> dict[str, Any]:
    """The arguments of `Client.prepare` that ask this. Raises ConfigurationError."""
    if asked.kind != "transcription":
        return asked_as(asked.kind, prompt.text, turns)
    return {"prompt": next(iter(prompt.sounds.values())), "hint": asked.parameters.get("prompt", prompt.hint)}


def _without_hint(asked: AskedDeployment, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A transcription's ``prompt`` goes by another name, see `_asked`."""
    own = asked.kind == "transcription"
    return {name: value for name, value in parameters.items() if not (own and name == "prompt")}


def _differ_in_text(asked: AskedDeployment, like: Call) -> bool:
    """Whether the calls of a variant are the same as `like`, one of them, but for their text."""
    return (
        asked.kind in ("text", "chat")
        and not columns_of(asked.parameters)
        and not any(map(_is_cache_key, like.headers))
    )


def _is_cache_key(name: str) -> bool:
    return name.lower() == "x-bf-cache-key"


def _with_own_cache_key(
    headers: Mapping[str, str], trial: Trial, asked: Sequence[AskedDeployment]
) -> Mapping[str, str]:
    """Each repeat has a cache key of its own: an answer out of the cache is no second sample."""
    if not any(map(_is_cache_key, headers)):
        return headers
    twin = trial.prompt.prompt_id.partition("-")[2]  # the same text once more is a sample of its own, too,
    names = [one.name for one in asked if one.deployment == trial.asked.deployment]
    variant = names.index(trial.asked.name)  # and so is the same deployment under another name
    mark = f"-{trial.repeat}{f'-{twin}' if twin else ''}{f'-variant{variant}' if variant else ''}"
    return {name: value + mark if _is_cache_key(name) else value for name, value in headers.items()}


def make_plan(
    client: Client,
    deployments: Any,
    prompt: str | Mapping[str, str] | None = None,
    *,
    messages: Any = None,
    inputs: Any = None,
    images: Any = None,
    sounds: Any = None,
    schema: Any = None,
    repeats: int = 1,
    kind: AnyKind | None = "text",
    stream: bool = True,
    system: str | None = None,
    fallbacks: Sequence[str] | None = None,
    concurrency: int = 16,
    requests_per_minute: float | None = None,
    seed: int = 0,
    tags: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    known_only: bool = False,
    batch: bool = False,
    folder: Path | None = None,
) -> Plan:
    """The plan of a comparison. Raises ConfigurationError or TemplateError; sends no call.

    Answers of a `batch` have no times and another price, so its trials are others than those of single calls.

    `kind` None: as the gateway's list of models says for each deployment; messages, images and
    a schema are a chat's. `known_only`: as far as the list was heard before, so that nobody waits.
    """
    if kind in MEDIA:
        _check_media(kind, messages=messages, images=images, schema=schema, system=system, batch=batch)
        stream = False
    if sounds is not None and kind != "transcription":
        raise ConfigurationError("sounds are to be written down.", hint="They go with api='transcription'.")
    if folder is not None and kind not in ("image", "speech"):
        raise ConfigurationError("folder is for pictures and sound.", hint="It goes with api='image' or 'speech'.")
    read_by = None if schema is None else AnswerSchema.of(schema)
    templates: Any = None if kind == "transcription" and prompt is None else _templates(prompt, messages)
    repeats, seed = whole_number("repeats", repeats), whole_number("seed", seed, least=None)
    _check_tags(tags)
    shared = {
        "system": system,
        "fallbacks": fallbacks,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        **(parameters or {}),
    }
    asked = asked_deployments(deployments, shared)
    needs_chat = any(one is not None for one in (messages, images, schema, *(who.history for who in asked)))
    asked = with_kinds(client, asked, "chat" if needs_chat and kind is None else kind, known_only=known_only)
    check_prompts(asked)
    asked = tuple(_typed(one, read_by) for one in asked)
    if images is not None:
        check_images_taken(client, (one.deployment for one in asked), known_only=known_only)
    kind = asked[0].kind if len({who.kind for who in asked}) == 1 else "text"
    _check_turns(asked, kind)
    gateway = address_of(client.settings.base_url)
    systems: list[Template] = [each for who in asked for each in (who.system, who.history) if each is not None]
    by_row = {column for who in asked for column in columns_of(who.parameters).values()}
    if kind == "transcription":
        prompts = sound_prompts(templates, inputs, sounds, by_row)
    else:
        prompts = _prompts(prompts_of(templates, inputs, systems, images, also=by_row), _question_of(kind), system)
    prompts = _with_twins(prompts, asked)
    rows = list({id(one.values): one.values for one in prompts}.values())
    for who in asked:
        check_columns_of(who.parameters, rows)
    _check_number(len(prompts) * len(asked) * repeats)
    _check_variants(prompts, asked)
    contents = dict(zip(asked, _contents(client, asked, stream, prompts[0]), strict=True))
    trials = tuple(
        trial
        for one in prompts
        for who in asked
        for trial in _trials(one, who, repeats, [gateway, one.prompt_id, *contents[who]], ["batch"] if batch else [])
    )
    plan = Plan(
        comparison_id=digest_of(
            [gateway, _question_of(kind), system, _in_order(templates), *(one for one in (images, sounds) if one)], 16
        ),
        kind=kind,
        stream=stream,
        system=system,
        tags=dict(tags or {}),
        asked=asked,
        prompts=prompts,
        repeats=repeats,
        trials=trials,
        order=_shuffled(trials, seed),
        schema=read_by,
        seed=seed,
        folder=folder,
    )
    _check_calls(client, plan)
    return plan


def _check_variants(prompts: Iterable[PlannedPrompt], asked: Iterable[AskedDeployment]) -> None:
    """Raises ConfigurationError where two variants have one name, by which everything tells them apart."""
    templates = dict.fromkeys(prompt.template for prompt in prompts)
    names = Counter(f"{who.name}{SEPARATOR}{template}" for who in asked for template in templates)
    for name, count in names.items():
        if count > 1:
            raise ConfigurationError(
                f"{count} variants are called {quoted(name)}.", hint="Give a deployment or a template another name."
            )


def _trials(
    prompt: PlannedPrompt, asked: AskedDeployment, repeats: int, content: list[Any], mark: list[str]
) -> Iterator[Trial]:
    """The repeats of a cell; its identity is of `content`, what the row fills in, and `mark`."""
    system, past, own = _filled(asked.system, prompt.values), _past(asked, prompt.values), _of_row(asked, prompt)
    for repeat in range(repeats):
        identity = [*content, system, repeat, *own, *([past] if past else []), *mark]
        yield Trial(digest_of(identity, 16), prompt, asked, repeat, system, past)


def _check_calls(client: Client, plan: Plan) -> None:
    """What the parameters get wrong shows before the first call. Raises ConfigurationError."""
    for who in plan.asked:
        theirs = [trial for trial in plan.trials if trial.asked is who and trial.repeat == 0]
        for trial in theirs if columns_of(who.parameters) else theirs[:1]:
            plan.call(client, trial)


def _check_tags(tags: object) -> None:
    if tags is not None and not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags must be a dict, not {type(tags).__name__}.")
    if found := sorted(TAGS & (tags or {}).keys()):
        raise ConfigurationError(f"The tag {found[0]!r} is set by the comparison itself.", hint="Use another name.")


def _check_turns(asked: Sequence[AskedDeployment], kind: AnyKind) -> None:
    """Raises ConfigurationError where a system message or a history is no part of a deployment's calls."""
    if any(who.kind not in ("chat", "responses", "text") and who.system is not None for who in asked):
        raise ConfigurationError(f"api={kind!r} takes no system message.", hint="Leave it out.")
    if any(who.kind == "text" and who.system is not None for who in asked):
        raise ConfigurationError("A text completion takes no system message.", hint="Pass api='chat'.")
    if other := next((who for who in asked if who.history and who.kind not in ("chat", "responses")), None):
        raise ConfigurationError(f"{other.name} has a history, which goes with chats only.", hint="Pass api='chat'.")


def _check_number(calls: int) -> None:
    if calls > MOST_CALLS:
        many = f"{calls:,}" if calls < 10**30 else "far too many"  # Python writes no number of 5,000 digits
        raise ConfigurationError(
            f"That makes {many} calls; a comparison sends {MOST_CALLS:,} at most.",
            hint="Send fewer inputs, deployments or repeats.",
        )


def _check_media(kind: AnyKind, **given: Any) -> None:
    """Raises ConfigurationError for what is no part of a call for pictures or speech."""
    wrong = next((name for name, value in given.items() if value is not None and value is not False), None)
    if wrong is not None:
        said = "mode='batch'" if wrong == "batch" else f"{wrong}="
        raise ConfigurationError(
            f"api={kind!r} takes {'sounds=' if kind == 'transcription' else 'a prompt'}, and no {said}.",
            hint="Leave it out.",
        )


def _of_row(asked: AskedDeployment, prompt: PlannedPrompt) -> list[Any]:
    """What a row adds to the identity of its trials besides the prompt."""
    by_row = columns_of(asked.parameters)
    return [for_row({name: asked.parameters[name] for name in by_row}, prompt.values)] if by_row else []


def _templates(prompt: Any, messages: Any) -> Any:
    """What is asked: of `prompt` and `messages` the one that was given. Raises ConfigurationError."""
    if prompt is not None and messages is not None:
        raise ConfigurationError("prompt and messages are alternatives; pass one of them.")
    if messages is not None:
        return checked_templates(messages)
    if prompt is None:
        raise ConfigurationError("There is nothing to send: pass a prompt, or messages=[...].")
    return prompt


def _typed(asked: AskedDeployment, schema: AnswerSchema | None) -> AskedDeployment:
    parameters = dict(asked.parameters)
    with_schema(schema, asked.kind, parameters)
    return replace(asked, parameters=parameters)


def _question_of(kind: AnyKind) -> AnyKind:
    """What of the API is part of a question's identity: whether a text is wanted, by whichever API.

    A deployment that is added and asked otherwise than the others changes none of their trials.
    """
    return kind if kind in MEDIA else "chat"


def _in_order(templates: Any) -> list[Any]:
    every = list(templates.values()) if isinstance(templates, Mapping) else [templates]
    return sorted(every) if all(isinstance(one, str) for one in every) else sorted(every, key=repr)


def _prompts(rendered: list[Rendered], kind: AnyKind, system: str | None) -> tuple[PlannedPrompt, ...]:
    """Prompts with their ids. The same text twice is two prompts: the second is a sample of its own."""
    seen: Counter[str] = Counter()
    rows: dict[int, str] = {}  # a row is one object, whichever template it fills in
    known: Counter[str] = Counter()
    prompts = []
    for template, asked, values, pictures in rendered:
        if id(values) not in rows:
            _check_characters(len(rows), values)
            shown = shown_values({**values, **{name: digest_of(url, 16) for name, url in pictures.items()}})
            rows[id(values)] = numbered(digest_of(["input", shown], 12), known)
        prompt_id = numbered(digest_of([kind, _filled(system, values), asked], 12), seen)
        messages = None if isinstance(asked, str) else asked
        prompts.append(
            PlannedPrompt(prompt_id, transcript(asked), template, values, rows[id(values)], messages, pictures)
        )
    return tuple(prompts)


def _check_characters(row: int, values: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for half of a character that UTF-16 writes in two: text that was cut in its middle."""
    for name, value in values.items():
        try:
            if isinstance(value, str) and not value.isascii():
                value.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"{quoted(name)} in row {row} of inputs has half of a character, which cannot be sent.",
                hint="Repair its text: value.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace').",
            ) from None


def _with_twins(prompts: tuple[PlannedPrompt, ...], asked: Sequence[AskedDeployment]) -> tuple[PlannedPrompt, ...]:
    """Inputs of which the same calls come, such as rows that differ in a column that nothing uses, have the id of the
    first and a number: to set variants beside each other they are one (`groups.questions`), asked repeatedly."""
    rows: dict[str, list[PlannedPrompt]] = {}
    for one in prompts:
        rows.setdefault(one.input_id, []).append(one)
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, theirs in rows.items():
        alike.setdefault(tuple(one.prompt_id.partition("-")[0] for one in theirs), []).append(name)
    ids: dict[str, str] = {}
    for names in alike.values():
        first: dict[str, str] = {}
        seen: Counter[str] = Counter()
        for name in names if len(names) > 1 else ():
            row = rows[name][0]
            own = [[_filled(who.system, row.values), _past(who, row.values), _of_row(who, row)] for who in asked]
            ids[name] = numbered(first.setdefault(digest_of(own, 12), name), seen)
    return tuple(replace(one, input_id=ids.get(one.input_id, one.input_id)) for one in prompts) if ids else prompts


def _filled(system: str | None, values: Mapping[str, Any]) -> str | None:
    return None if system is None else render(system, values, where="the system message")


def _past(asked: AskedDeployment, values: Mapping[str, Any]) -> Sequence[Message] | None:
    if asked.history is None:
        return None
    found = filled_in(asked.history, values, f"the history of {asked.name}")
    return None if isinstance(found, str) else found


def _shuffled(trials: Sequence[Trial], seed: int) -> tuple[Trial, ...]:
    """Round by round of repeats, each round with its prompts in random order and all deployments of a prompt together.

    So a drift of the gateway or the network during the sweep hits all deployments alike, and the two runs of a pair
    are close in time.
    """
    rng = random.Random(seed)
    blocks: dict[tuple[int, str], list[Trial]] = {}
    for trial in trials:
        blocks.setdefault((trial.repeat, trial.prompt.prompt_id), []).append(trial)
    keys = sorted(blocks, key=lambda key: (key[0], rng.random()))
    order: list[Trial] = []
    for key in keys:
        rng.shuffle(blocks[key])
        order += blocks[key]
    return tuple(order)


def _contents(client: Client, asked: Sequence[AskedDeployment], stream: bool, prompt: PlannedPrompt) -> list[list[Any]]:
    """What each deployment adds to a cell's identity.

    One that is there twice under two names, to see how far apart equals come out, is two samples.
    """
    seen: Counter[str] = Counter()
    contents = []
    for one in asked:
        parameters = {**_without_hint(one, shared_by_rows(one.parameters)), **system_for(one.kind, one.system)}
        call = client.prepare(
            one.kind, one.deployment, stream=stream, fallbacks=list(one.fallbacks) or None,
            **_asked(one, prompt, prompt.messages), **parameters,
        )  # fmt: skip
        content = identity_of(call, question=False)
        if one.kind == "transcription" and "prompt" in one.parameters:
            content.append(one.parameters["prompt"])
        digest = digest_of(content, 16)
        seen[digest] += 1
        contents.append([*content, seen[digest]])
    return contents


def without_keys(plan: Plan) -> Plan:
    """`plan` for other processes and files: no header that is a key is in it, and no key of a tool."""
    asked = {id(one): replace(one, parameters=_keyless(one.parameters)) for one in plan.asked}
    trials = {trial.trial_id: replace(trial, asked=asked[id(trial.asked)]) for trial in plan.trials}
    return replace(
        plan,
        asked=tuple(asked.values()),
        trials=tuple(trials.values()),
        order=tuple(trials[trial.trial_id] for trial in plan.order),
    )


def _keyless(parameters: Mapping[str, Any]) -> dict[str, Any]:
    parameters = without_tool_keys(parameters)
    headers = parameters.get("headers")
    if not isinstance(headers, Mapping):
        return dict(parameters)
    kept = {name: value for name, value in headers.items() if not isinstance(value, Secret)}
    return {**parameters, "headers": kept}
