"""From a parsed magic line and a cell to a result: prompt, calls, live view, error."""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..._client.typed_answers import AnswerSchema, with_schema
from ..._compare.abilities import check_images_taken
from ..._compare.api_choice import kind_of, parameters_for, system_for
from ..._display.describe import error_text
from ..._display.run import Runs
from ..._display.table import Text
from ..._foreground.environment import front_end
from ..._keys import without_tool_keys
from ..._prompts.inputs import rows_of
from ..._prompts.messages import Message, asked_as, checked_turns, user_turn, with_pictures
from ..._prompts.template import escape, render, variables
from ..._safe_text import plain
from ...errors import BifrostError
from .attachments import escaped, images_of, messages_of, pictures_sent, schema_of, variable, with_tools
from .cache_key import cache_headers
from .chats import DEFAULT, NextTurn
from .options import Options
from .scores import scorers_for
from .session import Session

if TYPE_CHECKING:
    from ..._client.calls import Call, Outcome
    from ..._compare.comparison import Comparison
    from ..._runs.run import Run

__all__ = ["ask", "calls_for", "shorten"]

_TYPOGRAPHIC = frozenset("\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb")
"""What word processors and web pages make of quotes; to the line they are letters like others."""


def ask(session: Session, options: Options, body: str | None, local_ns: Mapping[str, Any] | None, quiet: bool) -> Any:
    """Do what a magic line asks for; the result is kept (`Session.keep`) and returned.

    `body` is the cell's text, None in the line form. Raises UsageError, BifrostError, and Interrupted after the
    interrupt key; what had arrived by then is kept all the same.
    """
    _check(session, options)
    values: ChainMap[str, Any] = ChainMap(dict(local_ns or {}), session.shell.user_ns)
    options = with_tools(options, values)
    templates, prompt_id = _templates(options, body)
    if body is not None and (options.use or options.prompts):
        values = ChainMap({"body": body.strip("\n")}, *values.maps)
    elif options.save and "body" in _names(templates) and "body" not in values:
        if not options.dry_run:
            raise UsageError(
                f"%%bifrost: {prompt_id} is saved and was not sent: its {{{{body}}}} is the text of the cell that says"
                f" --use {options.save}. Add --dry-run to only save it."
            )
        values = ChainMap({"body": "{{body}}"}, *values.maps)
    if options.comparing:
        return _compared(session, options, templates, values, quiet or options.quiet)
    [template] = templates.values()
    prompt = render(template, values)
    schema = schema_of(options, values)
    turn = _turn(session, options, prompt, values) if options.chat_name else None
    calls = calls_for(session, options, prompt, values, prompt_id, turn)
    if options.dry_run:
        shown = Text("\n\n".join(_as_sent(session, call) for call in calls))
        session.keep(shown, options.out)
        if not (quiet or options.quiet):
            _display(shown)
        return shown
    if options.bg:
        from ..live.background import BackgroundJob

        job = session.jobs[options.bg] = BackgroundJob(session.client, calls, options, schema)
        session.shell.user_ns[options.bg] = job
        return job
    return _watched(session, options, calls, quiet or options.quiet, turn, schema)


def _turn(session: Session, options: Options, prompt: str, values: Mapping[str, Any]) -> NextTurn:
    """The turn of this cell in the chat that it names. Raises UsageError."""
    shell: Any = session.shell
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}  # a terminal has no front end
    cell, deleted = session.cells.current(request or {})
    for name, each in session.chats.items():
        stays = options.dry_run or name == (options.chat_name or DEFAULT)
        each.drop(deleted, None if stays else cell)
    system = None if options.system is None else render(options.system, values)
    pictures = list(pictures_sent(images_of(options, values)).values())
    chat = session.chats.named(options.chat_name or DEFAULT)
    return chat.next_turn(cell, options.history_from, prompt, system, pictures)


def calls_for(
    session: Session,
    options: Options,
    prompt: str,
    values: Mapping[str, Any],
    prompt_id: str | None = None,
    turn: NextTurn | None = None,
) -> list[Call]:
    """One checked call per deployment; nothing is sent. Raises ConfigurationError."""
    client = session.client
    system = None if options.system is None else render(options.system, values)
    schema = schema_of(options, values)
    turns = _turns(options, prompt, system, values) if turn is None else turn.messages()
    if options.images:
        check_images_taken(client, options.deployments)
    calls = []
    for deployment in options.deployments:
        kind = kind_of(client, deployment, options.kind, system, options.parameters)
        parameters = parameters_for(kind, options.wire)
        with_schema(schema, kind, parameters)
        more = system_for(kind, system) if turns is None else {}
        calls.append(
            client.prepare(
                kind,
                deployment,
                stream=True,
                fallbacks=options.fallbacks or None,
                extra=options.extra or None,
                timeout=options.timeout,
                headers=cache_headers(options.cache),
                tags=_tags(session, options),
                prompt_id=prompt_id,
                **asked_as(kind, prompt, turns),
                **more,
                **parameters,
            )
        )
    return calls


def _turns(options: Options, prompt: str, system: str | None, values: Mapping[str, Any]) -> list[Message] | None:
    """What is sent where that is more than a text: earlier messages, pictures. Raises UsageError, ConfigurationError.

    The notebook's variables do not go into earlier messages: what others wrote in them names nothing here.
    """
    before, images = messages_of(options, values), images_of(options, values)
    if before is None and not images:
        return None
    turns: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    turns += before or []
    if prompt.strip():
        turns.append(user_turn(prompt))
    checked_turns(turns)
    return list(with_pictures(turns, list(images), pictures_sent(images)))  # type: ignore[arg-type]


def _check(session: Session, options: Options) -> None:
    options.kind  # noqa: B018 - raises what contradicts itself on the line
    if not options.deployments:
        raise UsageError("%%bifrost: name a deployment, like azure/gpt-35-turbo-instruct. %bifrost models lists them.")
    if twice := next((name for name in options.deployments if options.deployments.count(name) > 1), None):
        raise UsageError(f"%%bifrost: {twice} is given twice; --repeat 2 asks each deployment twice.")
    if odd := next((name for name in options.deployments if _TYPOGRAPHIC & {*name}), None):
        raise UsageError(f'%%bifrost: {odd} has a typographic quote; values with blanks stand in plain ones: "...".')
    if options.max_cost is not None and not options.comparing:
        raise UsageError("%%bifrost: --max-cost limits a comparison; use it with --repeat or --inputs.")
    if options.save is not None and (options.use or options.prompts):
        raise UsageError("%%bifrost: --save keeps this cell's text as a prompt; leave --use and --prompt out.")
    if options.comparing and (options.chat_name or options.bg):
        raise UsageError(f"%%bifrost: {'--history' if options.chat_name else '--bg'} does not go with a comparison.")
    if options.history is not None and not options.history.strip():
        raise UsageError("%%bifrost: --history= names no chat; leave the = out for the usual one.")
    if options.bg and options.chat_name:
        raise UsageError("%%bifrost: --history goes on when an answer is complete; ask without --bg.")
    if options.chat_name and (options.messages or options.tools or "tools" in options.parameters):
        other = "--messages" if options.messages else "--tools"
        raise UsageError(f"%%bifrost: {other} does not go with --history, which keeps the turns itself: texts.")
    if options.bg and options.out:
        raise UsageError(f"%%bifrost: --bg {options.bg} names the job; {options.out} = await {options.bg} its result.")
    if options.bg and (running := session.jobs.get(options.bg)) is not None and not running.done:
        raise UsageError(
            f"%%bifrost: the job {options.bg} is still running; %bifrost cancel {options.bg} ends it,"
            " or give this one another name."
        )


def _templates(options: Options, body: str | None) -> tuple[dict[str, str], str | None]:
    """The templates by name ("" for the cell's own text) and, where there is a single saved one, its id."""
    from .saved_prompts import saved_prompts

    if options.use or options.prompts:
        saved = {found.id: found.template for found in map(saved_prompts().get, options.use)}
        if twice := saved.keys() & options.prompts.keys():
            raise UsageError(f"%%bifrost: two prompts are called {min(twice)}.")
        templates = {**options.prompts, **saved}
        if body and body.strip() and "body" not in _names(templates):
            names = " and ".join(templates)
            raise UsageError(
                f"%%bifrost: {names} {'have' if len(templates) > 1 else 'has'} no {{{{body}}}} for this cell's text;"
                f" ask in one line: %bifrost DEPLOYMENT {_written(options)}"
            )
        return templates, next(iter(saved)) if len(templates) == len(saved) == 1 else None
    if body is None or not body.strip():
        if options.messages and not options.save:
            return {"": ""}, None
        raise UsageError("%%bifrost: the prompt is empty; write it below the line.")
    if options.save is not None:
        id = saved_prompts().save(options.save, body).id
        return {id: body}, id
    return {"": body}, None


def _written(options: Options) -> str:
    return f"--use {options.use[0]}" if options.use else f"--prompt {next(iter(options.prompts))}=..."


def _names(templates: Mapping[str, str]) -> set[str]:
    """The variables of all."""
    return {name for template in templates.values() for name in variables(template)}


def _watched(
    session: Session,
    options: Options,
    calls: list[Call],
    quiet: bool,
    turn: NextTurn | None,
    schema: AnswerSchema | None,
) -> Run | Runs:
    from ..live.watch import watch

    runs = [call.run for call in calls]
    result: Run | Runs = runs[0] if len(runs) == 1 else Runs(runs)
    try:
        outcomes = watch(session.client, calls, quiet=quiet, form=options.format, schema=schema)
    finally:  # also after an interrupt: what had arrived is the result
        session.keep(result, options.out)
        if turn is not None:
            turn.chat.keep(turn, runs)
    for outcome in outcomes:
        if outcome.log_error is not None:
            warnings.warn(str(outcome.log_error), stacklevel=2)
    if turn is not None:
        session.tell_outdated(turn.chat, quiet)
    if not options.no_raise:
        _raise_first(outcomes, seen=not quiet and _watches())
    return result


def _watches() -> bool:
    """Whether somebody sees what was shown above: of a cell that nobody watches, logs have the error alone."""
    return front_end() in ("notebook", "terminal")


def _raise_first(outcomes: list[Outcome], *, seen: bool) -> None:
    """Raise the first failure, so that Run All stops; of several calls it says how many failed.

    `seen`: what went wrong stands above, and is not said twice.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return
    error = errors[0]
    if seen:
        failed = (
            f"{len(errors)} of {len(outcomes)} deployments failed, as" if len(outcomes) > 1 else "what went wrong is"
        )
        vars(error)["in_short"] = f"{failed} shown above"
    if len(outcomes) > 1:
        asked = error.run.requested if error.run is not None else "?"
        error.args = (f"{len(errors)} of {len(outcomes)} deployments failed; {asked}: {error.message}",)
    raise error


def _compared(
    session: Session, options: Options, templates: Mapping[str, str], values: Mapping[str, Any], quiet: bool
) -> Any:
    """A comparison: every row of the inputs, so many times. What an interrupt left is kept, too."""
    from ..._compare.compare import ComparisonInterrupted, compare

    prompts: dict[str, Any] = dict(templates)
    system, before = options.system, messages_of(options, values)
    inputs = _inputs(options.inputs, [*prompts.values(), system or ""], values) if options.inputs else None
    images = images_of(options, values, [] if inputs is None else list(inputs[0]))
    if inputs is None:  # the notebook's own values go in here; what comes out is no template any more
        prompts = {name: escape(render(template, values)) for name, template in prompts.items()}
        system = None if system is None else escape(render(system, values))
        before = None if before is None else escaped(before)
    if more := {name: value for name, value in images.items() if value is not None}:
        inputs = [{**more, **row} for row in inputs or [{}]]
    if before is not None:
        prompts = {name: [*before, *([user_turn(text)] if text.strip() else [])] for name, text in prompts.items()}
    asked: dict[str, Any] = {
        "inputs": inputs,
        "images": list(images) or None,
        "schema": schema_of(options, values),
        "repeats": options.repeat or 1,
        "api": options.kind,
        "system": system,
        "fallbacks": options.fallbacks or None,
        "client": session.client,
        "dry_run": options.dry_run,
        "max_cost_usd": options.max_cost,
        "score": scorers_for(options.score, values),
        "live": False if options.quiet else None,
        "tags": _tags(session, options) or None,
        "extra": options.extra or None,
        "timeout": options.timeout,
        "headers": cache_headers(options.cache),
    }
    # With each deployment, because `compare` has a seed of its own: the one that orders the calls.
    asking = [{"deployment": deployment, **options.wire} for deployment in options.deployments]
    try:
        what = "prompt" if before is None else "messages"
        compared: Any = compare(asking, **{what: prompts.get("", prompts)}, **asked)
    except ComparisonInterrupted as interrupted:
        session.keep(interrupted.comparison, options.out)
        raise
    session.keep(compared, options.out)
    if not quiet:
        _display(compared)
    if not (options.dry_run or options.no_raise):
        _raise_if_all_failed(compared, seen=not quiet and _watches())
    return compared


def _raise_if_all_failed(compared: Comparison, *, seen: bool) -> None:
    """Failures are rows of a comparison; but one without a single answer must stop Run All."""
    runs = compared.runs
    if not runs or any(run.status not in ("error", "timeout") for run in runs):
        return
    first = runs[0]
    none = f"None of {len(runs)} calls was answered"
    error = BifrostError(f"{none}; {first.requested}: {error_text(first)}", run=first)
    if seen:
        vars(error)["in_short"] = f"{none}, as shown above"
    raise error


def _inputs(name: str, templates: Sequence[str], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the variable `name`, with what the templates need beyond its columns taken from the notebook."""
    rows = rows_of(variable("--inputs", name, values, "a DataFrame, a dict or a list of dicts"))
    columns = {column for row in rows for column in row}
    needed = [each for template in templates for each in variables(template)]
    more = {each: values[each] for each in needed if each not in columns and each in values}
    return [{**more, **row} for row in rows]


def _tags(session: Session, options: Options) -> dict[str, Any]:
    """The cell's own tags beside the notebook's name, by which ``%bifrost cost`` finds its runs."""
    return {**({"notebook": session.notebook} if session.notebook else {}), **options.tags}


def _display(result: Any) -> None:
    from IPython.display import display

    display(result)  # type: ignore[no-untyped-call]


def _as_sent(session: Session, call: Call) -> str:
    """A call as it would be sent, without keys."""
    import orjson

    query = "&".join(f"{name}={value}" for name, value in call.query.items())
    address = session.client.settings.base_url + call.path + (f"?{query}" if query else "")
    body = without_tool_keys(call.body)
    return f"POST {address}\n{orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()}"


def shorten(error: BifrostError) -> None:
    """Let IPython show `error` as one line instead of a traceback; the exception itself stays what it is."""
    said = vars(error).pop("in_short", None) or " ".join(plain(error, 2_000).split())
    line = f"\x1b[31m{type(error).__name__}\x1b[0m: {said} (whole traceback: %config Bifrost.short_errors = False)"
    vars(error)["_render_traceback_"] = lambda *_, **__: [line]
