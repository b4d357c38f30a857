"""From a parsed magic line and a cell to a result: prompt, calls, live view, error."""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..comparing.prompts import escape, render, variables
from ..errors import BifrostError
from ..records.show import Runs, metadata_many
from .options import Options
from .session import Session
from .tables import Text

if TYPE_CHECKING:
    from ..calls import Call, Outcome
    from ..records.run import Run

__all__ = ["ask", "calls_for", "shorten"]

MOST_EVIDENCE = 500
"""Runs of a comparison that the notebook file keeps; the run log has all."""


def ask(session: Session, options: Options, body: str | None, local_ns: Mapping[str, Any] | None, quiet: bool) -> Any:
    """Do what a magic line asks for; the result is kept (`Session.keep`) and returned.

    `body` is the cell's text, None in the line form. Raises UsageError, BifrostError, and Interrupted after the
    interrupt key; what had arrived by then is kept all the same.
    """
    _check(options)
    values: Mapping[str, Any] = ChainMap(dict(local_ns or {}), session.shell.user_ns)
    template, prompt_id = _template(options, body)
    if options.repeat or options.inputs:
        return _compared(session, options, (template, prompt_id), values, quiet or options.quiet)
    if body is not None and options.use:
        values = {**values, "body": body.strip("\n")}
    calls = calls_for(session, options, render(template, values), values, prompt_id)
    if options.dry_run:
        shown = Text("\n\n".join(_as_sent(session, call) for call in calls))
        session.keep(shown, options.out)
        if not (quiet or options.quiet):
            _display(shown)
        return shown
    if options.bg:
        from .background import Job

        job = session.jobs[options.bg] = Job(session.client, calls, options)
        session.shell.user_ns[options.bg] = job
        return job
    return _watched(session, options, calls, quiet or options.quiet)


def calls_for(
    session: Session, options: Options, prompt: str, values: Mapping[str, Any], prompt_id: str | None = None
) -> list[Call]:
    """One checked call per deployment; nothing is sent. Raises ConfigurationError."""
    client = session.client
    chat: dict[str, Any] = {}
    if options.kind == "chat":
        system = None if options.system is None else render(options.system, values)
        if options.history:
            start = [{"role": "system", "content": system}] if system is not None and not session.conversation else []
            chat = {"messages": [*start, *session.conversation, {"role": "user", "content": prompt}]}
        else:
            chat = {"system": system}
    return [
        client.prepare(
            "chat" if options.kind == "chat" else "text",
            deployment,
            None if options.history else prompt,
            stream=True,
            fallbacks=options.fallbacks or None,
            extra=options.extra or None,
            timeout=options.timeout,
            headers=_cache_headers(options.cache),
            tags=_tags(session, options),
            prompt_id=prompt_id,
            **chat,
            **options.wire,
        )
        for deployment in options.deployments
    ]


def _check(options: Options) -> None:
    if not options.deployments:
        raise UsageError("%%bifrost: name a deployment, like azure/gpt-35-turbo-instruct. %bifrost models lists them.")
    if options.history and len(options.deployments) > 1:
        raise UsageError("%%bifrost: --history continues one chat; name one deployment.")
    comparing = options.repeat or options.inputs
    if options.max_cost is not None and not comparing:
        raise UsageError("%%bifrost: --max-cost limits a comparison; use it with --repeat or --inputs.")
    if comparing and (options.history or options.bg):
        raise UsageError(f"%%bifrost: {'--history' if options.history else '--bg'} does not go with a comparison.")


def _template(options: Options, body: str | None) -> tuple[str, str | None]:
    """The prompt's template and, where it is a saved one, its id."""
    from .saved import saved_prompts

    if options.use:
        saved = saved_prompts().get(options.use)
        if body and body.strip() and "body" not in variables(saved.template):
            raise UsageError(f"%%bifrost: the saved prompt {saved.id} has no {{{{body}}}} for this cell's text.")
        return saved.template, saved.id
    if body is None or not body.strip():
        raise UsageError("%%bifrost: the prompt is empty; write it below the line.")
    if options.save:
        return body, saved_prompts().save(options.save, body).id
    return body, None


def _watched(session: Session, options: Options, calls: list[Call], quiet: bool) -> Run | Runs:
    from .live import watch

    runs = [call.run for call in calls]
    result: Run | Runs = runs[0] if len(runs) == 1 else Runs(runs)
    try:
        outcomes = watch(session.client, calls, quiet=quiet, form=options.format)
    finally:  # also after an interrupt: what had arrived is the result
        session.keep(result, options.out)
    for outcome in outcomes:
        if outcome.log_error is not None:
            warnings.warn(str(outcome.log_error), stacklevel=2)
    if options.history and runs[0].status == "ok":
        said = {"role": "assistant", "content": runs[0].text}
        session.conversation = [*calls[0].body["messages"], said]
    if not options.no_raise:
        _raise_first(outcomes)
    return result


def _raise_first(outcomes: list[Outcome]) -> None:
    """Raise the first failure, so that Run All stops; of several calls it says how many failed."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return
    error = errors[0]
    if len(outcomes) > 1:
        asked = error.run.requested if error.run is not None else "?"
        error.args = (f"{len(errors)} of {len(outcomes)} deployments failed; {asked}: {error.message}",)
    raise error


def _compared(
    session: Session, options: Options, template: tuple[str, str | None], values: Mapping[str, Any], quiet: bool
) -> Any:
    """A comparison: every row of the inputs, so many times. What an interrupt left is kept, too."""
    from ..comparing.compare import Interrupted, compare

    prompt, prompt_id = template
    inputs = _inputs(options.inputs, prompt, values) if options.inputs else None
    if inputs is None:  # the notebook's own values go in here; what comes out is no template any more
        prompt = escape(render(prompt, values))
    asked: dict[str, Any] = {
        "inputs": inputs,
        "repeats": options.repeat or 1,
        "chat": options.kind == "chat",
        "system": options.system,
        "fallbacks": options.fallbacks or None,
        "client": session.client,
        "dry_run": options.dry_run,
        "max_cost_usd": options.max_cost,
        "tags": _tags(session, options) or None,
        "extra": options.extra or None,
        "timeout": options.timeout,
        "headers": _cache_headers(options.cache),
        **options.wire,
    }
    try:
        compared: Any = compare(options.deployments, {prompt_id: prompt} if prompt_id else prompt, **asked)
    except Interrupted as interrupted:
        session.keep(interrupted.comparison, options.out)
        raise
    session.keep(compared, options.out)
    if not quiet:
        _display(compared, None if options.dry_run else compared.runs)
    return compared


def _inputs(name: str, template: str, values: Mapping[str, Any]) -> Any:
    """The variable `name`, with what the template needs beyond its columns taken from the notebook."""
    if name not in values:
        raise UsageError(f"%%bifrost: --inputs {name}: there is no such variable.")
    inputs = values[name]
    if isinstance(inputs, list):
        columns = {str(key) for row in inputs if isinstance(row, Mapping) for key in row}
    else:
        columns = {str(key) for key in getattr(inputs, "columns", inputs)}
    more = {each: values[each] for each in variables(template) if each not in columns and each in values}
    if not more:
        return inputs
    if isinstance(inputs, list):
        return [{**more, **row} for row in inputs]
    if isinstance(inputs, Mapping):
        count = max((len(column) for column in inputs.values()), default=0)
        return {**inputs, **{each: [value] * count for each, value in more.items()}}
    return inputs.assign(**{each: [value] * len(inputs) for each, value in more.items()})


def _tags(session: Session, options: Options) -> dict[str, Any]:
    """The cell's own tags beside the notebook's name, by which ``%bifrost cost`` finds its runs."""
    return {**({"notebook": session.notebook} if session.notebook else {}), **options.tags}


def _cache_headers(cache: str | None) -> dict[str, str] | None:
    """The gateway caches only what has a cache key; ``off`` also keeps this answer out of it."""
    if cache is None:
        return None
    return {"x-bf-cache-key": "bifrost-nb"} if cache == "on" else {"x-bf-cache-no-store": "true"}


def _display(result: Any, runs: list[Run] | None = None) -> None:
    """Show `result` once; the evidence of its `runs` goes into the notebook file."""
    from IPython.display import display

    facts = metadata_many(runs[:MOST_EVIDENCE]) if runs else None
    display(result, metadata=facts)  # type: ignore[no-untyped-call]


def _as_sent(session: Session, call: Call) -> str:
    """A call as it would be sent, without keys."""
    import orjson

    query = "&".join(f"{name}={value}" for name, value in call.query.items())
    address = session.client.settings.base_url + call.path + (f"?{query}" if query else "")
    return f"POST {address}\n{orjson.dumps(call.body, option=orjson.OPT_INDENT_2).decode()}"


def shorten(error: BifrostError, line: str) -> None:
    """Let IPython show `error` as `line` instead of a traceback; the exception itself stays what it is."""
    vars(error)["_render_traceback_"] = lambda *_, **__: [line]
