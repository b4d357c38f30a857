"""``%bifrost``: administration in the line form, and one-liners. Each command returns something that shows itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from IPython.core.error import UsageError

from ..._client.portal import portal
from ..._display.table import Table, Text
from ..._runs.run import Run
from ..._safe_text import quoted
from ..._suggest import did_you_mean
from ...errors import BifrostError
from ..code_export import FORMS, copy
from .chats import DEFAULT, Chat
from .line_words import split_prompt
from .options import HELP, Options, help_text, parse
from .run_cell import ask
from .saved_prompts import saved_prompts
from .session import Session

__all__ = ["COMMANDS", "Command", "run"]


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command: what it does, and its arguments as `argparse` declares them."""

    do: Callable[[Session, argparse.Namespace], Any]
    help: str
    arguments: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = ()


def run(session: Session, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
    """Do what ``%bifrost line`` asks for: a sub-command, or one call whose prompt is the last argument.

    Raises UsageError and BifrostError.
    """
    words, prompt = split_prompt(line)
    if (not words and prompt is None) or words in HELP:
        return COMMANDS["help"].do(session, argparse.Namespace())
    first = words[0] if words else ""
    if first in COMMANDS:
        command = COMMANDS[first]
        if first == "use":
            return _use(session, words[1:])
        return command.do(session, _parsed(first, command, words[1:]))
    if first.isidentifier():
        raise UsageError(
            f"%bifrost: there is no command {quoted(first)}.{did_you_mean(first, COMMANDS)} %bifrost help lists them."
        )
    if prompt is None and words[-2:-1] == ["--history"] and not {"--use", "--prompt"} & {*words}:
        words = [*words[:-2], f"--history={DEFAULT}", words[-1]]  # the last word is the prompt, not a chat's name
    options = parse(words, replace(session.defaults, deployments=[]))
    if prompt is None and not options.use and not options.prompts and not options.messages:
        if not options.deployments or _no_prompt(options.deployments, session):
            raise UsageError(
                '%bifrost: write the prompt last and in quotes: %bifrost azure/fast "Why is the sky blue?"'
            )
        prompt = options.deployments.pop()
    options.deployments = options.deployments or list(session.defaults.deployments)
    return ask(session, options, prompt, local_ns, quiet=True)


def _no_prompt(words: Sequence[str], session: Session) -> bool:
    """Whether the only word is a deployment, of which nothing is asked, and not a prompt for that of ``use``."""
    return len(words) == 1 and "/" in words[0] and " " not in words[0] and not session.defaults.deployments


def _parsed(name: str, command: Command, words: Sequence[str]) -> argparse.Namespace:
    parser = _SubcommandParser(prog=f"%bifrost {name}", add_help=False, allow_abbrev=False)
    for names, facts in command.arguments:
        parser.add_argument(*names, **facts)
    return parser.parse_args(list(words))


class _SubcommandParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}. {' '.join(self.format_usage().split())}")


def _models(session: Session, given: argparse.Namespace) -> Any:
    from ..._admin.api import models

    found = models(session.client)
    return found[found["id"].str.contains(given.pattern, case=False, regex=False)].reset_index(drop=True)


def _use(session: Session, words: Sequence[str]) -> Text:
    """Set the defaults of later cells; without arguments show them, with ``--reset`` forget them."""
    if list(words) == ["--reset"]:
        session.defaults = Options()
    elif words:
        options = parse(words)
        once = [name for name in ("out", "save", "use", "prompts", "inputs", "bg", "dry_run") if getattr(options, name)]
        if once:
            raise UsageError(f"%bifrost use: --{once[0].replace('_', '-')} belongs to one cell.")
        session.defaults = options
    given = session.defaults
    untouched = Options()
    known = {name: value for name in Options.__slots__ if (value := getattr(given, name)) != getattr(untouched, name)}
    return Text("\n".join(f"{name}: {value}" for name, value in known.items()) or "no defaults")


def _runs(session: Session, given: argparse.Namespace) -> Any:
    return session.client.log.frame(
        since=given.since, status=given.status, deployment=given.deployment, limit=given.limit
    )


def _last(session: Session, given: argparse.Namespace) -> Any:
    if session.last is None:
        raise UsageError("%bifrost last: nothing has been asked in this session yet; %bifrost runs shows earlier ones.")
    return session.last


def _cost(session: Session, given: argparse.Namespace) -> Table:
    log = session.client.log
    # No line of the log says which kernel wrote it, so what other kernels sent meanwhile is in the first row.
    rows = [_cost_row("the run log since %load_ext", log.read(since=session.started_at))]
    if session.notebook:
        rows.append(_cost_row(f"%%bifrost in {session.notebook}", log.read(tags={"notebook": session.notebook})))
    rows += _budgets(session)
    return Table(["of", "cost_usd", "runs", "unknown", "limit_usd"], rows)


def _cost_row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """`cost_usd` is the sum of what is known; `unknown` says how many runs are not in it."""
    known = [run.cost_usd for run in runs if run.cost_usd is not None]
    return {
        "of": name,
        "cost_usd": round(sum(known), 12) if known else None,
        "runs": len(runs),
        "unknown": len(runs) - len(known),
    }


def _budgets(session: Session) -> list[dict[str, Any]]:
    """What the gateway says about the virtual key's own budgets (from 1.6 on); nothing where it does not."""
    from ..._admin.access import Access

    client = session.client
    if not client.settings.virtual_key:
        return []
    try:
        told = portal().call(
            Access(client, client.settings).get_object("/api/governance/virtual-keys/quota", seconds=5)
        )
    except BifrostError:
        return []
    budgets = told.get("budgets")
    return [
        {
            "of": f"the key's budget per {budget.get('reset_duration') or '?'}",
            "cost_usd": budget.get("current_usage"),
            "limit_usd": budget.get("max_limit"),
        }
        for budget in (budgets if isinstance(budgets, list) else ())
        if isinstance(budget, dict)
    ]


def _jobs(session: Session, given: argparse.Namespace) -> Table:
    rows = (
        {"name": name, "state": "done" if job.done else "running", "runs": job.states}
        for name, job in session.jobs.items()
    )
    return Table(["name", "state", "runs"], rows)


def _cancel(session: Session, given: argparse.Namespace) -> Table:
    names = [given.name] if given.name else list(session.jobs)
    for name in names:
        if name not in session.jobs:
            raise UsageError(
                f"%bifrost cancel: there is no job {name!r}; there are: {', '.join(session.jobs) or 'none'}."
            )
        session.jobs[name].cancel()
    return _jobs(session, given)


def _config(session: Session, given: argparse.Namespace) -> Table:
    # The client made last is the default, whatever %config said before: only here is that seen.
    made = {"argument": "bf.Client(...), the one made last"}
    told = session.client.settings.rows()
    rows = ({"name": name, "value": value, "from": made.get(origin, origin)} for name, value, origin in told)
    return Table(["name", "value", "from"], rows)


def _doctor(session: Session, given: argparse.Namespace) -> Table:
    from .doctor import examine

    return examine(session.client)


def _cache(session: Session, given: argparse.Namespace) -> Text:
    from ..._admin.cache import clear_cache
    from .cache_key import own_cache_key

    clear_cache(session.client, own_cache_key())
    return Text("The gateway forgot the answers that --cache on had kept for you; nobody else's.")


def _prompts(session: Session, given: argparse.Namespace) -> Any:
    return Text(saved_prompts().get(given.name).template) if given.name else saved_prompts().table()


def _copy(session: Session, given: argparse.Namespace) -> Text:
    found = session.shell.user_ns.get(given.name) if given.name else session.last
    run = found[0] if isinstance(found, list) and found else found
    if isinstance(found, str):
        run = next(iter(session.client.log.read(run_id=found)), None)
    if not isinstance(run, Run):
        raise UsageError(
            f"%bifrost copy: {given.name or 'the last result'} is no run; name a variable that holds one or its run_id."
        )
    return copy(session.client, run, given.form)


def _forget(session: Session, given: argparse.Namespace) -> Text:
    if given.name is None and not session.chats:
        return Text("no chat to be forgotten")
    chat = session.chats.existing(given.name)
    session.chats.pop(chat.name, None)
    session.tell_outdated(Chat(chat.name), quiet=True)  # what a cell still says of its turns goes away
    count = len(chat.line)
    return Text(f"{count} turn{'s' * (count != 1)} of the chat {chat.name!r} forgotten")


def _chat(session: Session, given: argparse.Namespace) -> Any:
    chat = session.chats.existing(given.name)
    if given.choose is not None:
        chat.choose(given.choose)
        session.tell_outdated(chat, quiet=False)
    return chat.table()


def _trust(session: Session, given: argparse.Namespace) -> Text:
    from ..._project_file import distrust, trust
    from ..._settings import project_file

    return Text((distrust if given.remove else trust)(project_file()))


def _help(session: Session, given: argparse.Namespace) -> Text:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  %bifrost {name.ljust(width)}  {command.help}" for name, command in COMMANDS.items())
    return Text(f'{commands}\n  %bifrost DEPLOYMENT [options] "PROMPT"  ask in one line\n\n{help_text()}')


_NAME = (("name",), {"nargs": "?"})

COMMANDS: dict[str, Command] = {
    "models": Command(
        _models, "the gateway's deployments and prices", ((("pattern",), {"nargs": "?", "default": ""}),)
    ),
    "use": Command(lambda session, given: _use(session, ()), "default deployment and options; --reset forgets them"),
    "runs": Command(
        _runs,
        "the run log as a DataFrame",
        (
            (("--since",), {}),
            (("--status",), {}),
            (("--deployment",), {}),
            (("--limit",), {"type": int, "default": 20}),
        ),
    ),
    "last": Command(_last, "the last result"),
    "cost": Command(_cost, "cost since %load_ext (of all kernels), of this notebook's %%bifrost, and the key's budget"),
    "jobs": Command(_jobs, "what was started with --bg"),
    "cancel": Command(_cancel, "end one background job, or all", (_NAME,)),
    "config": Command(_config, "each setting, its value and where it came from"),
    "doctor": Command(_doctor, "what answers, which keys and packages are there, what is missing"),
    "cache": Command(
        _cache, "cache clear: forget the answers that --cache on kept", ((("what",), {"choices": ("clear",)}),)
    ),
    "prompts": Command(_prompts, "saved prompts, or one of them", (_NAME,)),
    "copy": Command(
        _copy,
        "a run as code: --as curl, httpx, openai or magic",
        (_NAME, (("--as",), {"dest": "form", "choices": tuple(FORMS), "default": "curl"})),
    ),
    "chat": Command(
        _chat,
        "the turns of the --history chat; --choose DEPLOYMENT: go on with its answer",
        (_NAME, (("--choose",), {"metavar": "DEPLOYMENT"})),
    ),
    "forget": Command(_forget, "start the --history chat anew", (_NAME,)),
    "trust": Command(
        _trust,
        "let this folder's pyproject.toml choose the gateway's address and the run log; --remove: no longer",
        ((("--remove",), {"action": "store_true"}),),
    ),
    "help": Command(_help, "this list"),
}
