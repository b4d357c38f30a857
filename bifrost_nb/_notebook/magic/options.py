"""The magic's options, declared once: parsing, help and completion all read this declaration.

The line is split as a shell splits it, so that quotes go around values with blanks, and parsed by argparse. Whatever
is wrong with it becomes one `UsageError`, which IPython shows in one line.
"""

from __future__ import annotations

import argparse
import json
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from IPython.core.error import UsageError

from ..._client.calls import text_parameters
from ..._suggest import did_you_mean
from .chats import DEFAULT

if TYPE_CHECKING:
    from ..._client.calls import Kind

__all__ = ["APIS", "HELP", "Option", "Options", "help_text", "literal", "options", "parse"]

_DASHES = "-\N{EN DASH}\N{EM DASH}"
_TWO_DASHES = "\0--"
"""Stands for a value of two dashes, which argparse drops up to Python 3.12, behind ``=`` too."""
APIS = ("text", "chat", "responses")
HELP = (["--help"], ["-h"])
"""Lines that ask for the options."""

_NOT_PARAMETERS = {
    "prompt": "the cell's text is the prompt",
    "messages": "use --messages",
    "schema": "use --schema",
    "images": "use --image",
    "system": "use --system",
    "stream": "the magic always streams",
    "fallbacks": "use --fallback",
    "extra": "use --extra",
    "timeout": "use --timeout",
    "tags": "use --tag",
    "headers": "pass headers= to bf.Client",
    "repeat": "use --repeat",
    "prompt_id": "use --save",
    "comparison_id": "a comparison sets it",
    "deployment": "write it as provider/model",
    "model": "write it as provider/model",
    "name": "use --tag",
    "kind": "use --api",
    "api": "use --api",
    "api_version": "use %config Bifrost.api_version",
    "default_timeouts": "use --timeout",
    "default_retries": "use -p retries=0",
}
"""What ``-p`` cannot set, because the call itself has it, and what to write instead."""


@dataclass(slots=True, kw_only=True)
class Options:
    """One magic line, parsed. None and empty mean: not given."""

    deployments: list[str] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    chat: bool = False
    api: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    n: int | None = None
    images: list[str] = field(default_factory=list)
    """Variables or paths."""
    messages: str | None = None
    """A variable, as `schema` and `tools` are."""
    schema: str | None = None
    tools: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    repeat: int | None = None
    inputs: str | None = None
    score: list[str] = field(default_factory=list)
    out: str | None = None
    format: str = "md"
    save: str | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    use: list[str] = field(default_factory=list)
    history: str | None = None
    """The name of a chat."""
    history_from: int | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    cache: str | None = None
    dry_run: bool = False
    max_cost: float | None = None
    bg: str | None = None
    quiet: bool = False
    no_raise: bool = False

    @property
    def comparing(self) -> bool:
        """Whether the line asks for a comparison rather than for one answer of each deployment."""
        several = bool(self.prompts) or len(self.use) > 1
        return bool(self.repeat or self.inputs or self.score or several)

    @property
    def kind(self) -> Kind | None:
        """The API that the line asks for, which is a chat where something was given that only chats have.

        None: as the gateway's list of models says. Raises UsageError.
        """
        if self.chat and self.api not in (None, "chat"):
            raise UsageError(f"%%bifrost: --chat and --api {self.api} contradict each other; give --api alone.")
        if self.api is not None:
            return cast("Kind", self.api)
        variables = (self.system, self.messages, self.schema, self.tools)
        chats = self.chat or self.images or self.chat_name or any(one is not None for one in variables)
        return "chat" if chats else None

    @property
    def chat_name(self) -> str | None:
        """The chat that is continued; None: this is no turn of a chat."""
        return self.history or (None if self.history_from is None else DEFAULT)

    @property
    def wire(self) -> dict[str, Any]:
        """The request's parameters by their names on the wire. Raises UsageError for one that is given twice."""
        named = {
            name: value
            for name in ("temperature", "max_tokens", "top_p", "seed", "n")
            if (value := getattr(self, name)) is not None
        }
        if self.stop:
            named["stop"] = self.stop
        if twice := named.keys() & self.parameters.keys():
            raise UsageError(f"%%bifrost: {min(twice)} is given twice: as an option and with -p.")
        if ours := _NOT_PARAMETERS.keys() & self.parameters.keys():
            name = min(ours)
            raise UsageError(f"%%bifrost: {name} cannot be set with -p: {_NOT_PARAMETERS[name]}.")
        return {**named, **self.parameters}


class Option(NamedTuple):
    """An option as it is declared: its names, the values to choose from, whether it takes a value."""

    names: tuple[str, ...]
    choices: tuple[str, ...]
    takes_value: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if (unknown := message.removeprefix("unrecognized arguments: ")) != message:
            word = unknown.split()[0].partition("=")[0]
            meant = "" if [word] in HELP else did_you_mean(word, self._option_string_actions)
            message = f"there is no option {word}.{meant}"
        message = message if message.endswith(("?", ".")) else message + "."
        raise UsageError(f"%%bifrost: {message} %%bifrost? lists the options.")


class _Once(argparse.Action):
    """An option that may be given once; argparse would silently take the last."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if self.dest in namespace.given:
            parser.error(f"{option_string} is given twice")
        namespace.given.add(self.dest)
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


class _Several(argparse.Action):
    """An option that may be repeated. Repeating a name in ``name=value`` is an error."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if self.dest not in namespace.given:  # what `%bifrost use` set is replaced, not extended
            setattr(namespace, self.dest, {} if self.type in (_pair, _parameter, _tag, _template) else [])
        namespace.given.add(self.dest)
        kept = getattr(namespace, self.dest)
        if isinstance(kept, list):
            kept.append(values)
        elif values[0] in kept:
            parser.error(f"{option_string} {values[0]} is given twice")
        else:
            kept[values[0]] = values[1]


_BARE_POINT = re.compile(r"^(-?)\.(?=\d+(?:[eE][+-]?\d+)?$)")
"""The point of a number without a digit before it."""


def literal(written: str) -> Any:
    """A value as written on the line: JSON where it is JSON, Python's True, False and None, else text."""
    named = {"True": True, "False": False, "None": None}
    if written in named:
        return named[written]
    try:
        # -t .1 is a number, so NAME=.1 is one too, although JSON wants a digit before the point.
        value = json.loads(_BARE_POINT.sub(r"\g<1>0.", written), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return written
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # What the log and the wire cannot hold as a number stays the text it was: 123e4567, an id of 30 digits.
    return written if number and not -(2**63) <= value < 2**63 else value


def _no_constant(written: str) -> NoReturn:
    raise ValueError(written)  # NaN and Infinity are no JSON, although Python reads them


def _pair(written: str) -> tuple[str, Any]:
    name, equals, value = written.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{written!r} is not NAME=VALUE")
    return name.strip(), literal(value)


def _parameter(written: str) -> tuple[str, Any]:
    """A parameter that is text stays as it was written: ``user=123e4567`` is no number, ``suffix=true`` no flag."""
    name, value = _pair(written)
    if value is not None and not isinstance(value, str) and name in text_parameters():
        return name, written.partition("=")[2]
    return name, value


def _tag(written: str) -> tuple[str, Any]:
    """A tag is kept as it was written: a number only where it reads the same again, unlike ``1.10`` and ``6e10``, and
    ``null`` as a word."""
    name, value = _pair(written)
    text = written.partition("=")[2]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and str(value) != text):
        return name, text
    return name, value


def _template(written: str) -> tuple[str, str]:
    name, equals, text = written.partition("=")
    if not equals or not name.strip() or not text.strip():
        raise argparse.ArgumentTypeError(f"{written!r} is not NAME=TEXT")
    return name.strip(), text


def _name(written: str) -> str:
    if not written.isidentifier() or keyword.iskeyword(written):
        raise argparse.ArgumentTypeError(f"{written!r} is not a name for a variable")
    return written


def _stop(written: str) -> str:
    return written.replace("\\n", "\n").replace("\\t", "\t")


def _positive(written: str) -> int:
    try:
        count = int(written)
    except ValueError:  # argparse would name this function
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{written} is not a whole number from 1")
    return count


def _declare() -> _Parser:
    parser = _Parser(prog="%%bifrost", add_help=False, allow_abbrev=False, formatter_class=_Help)
    parser.add_argument("deployments", nargs="*", metavar="DEPLOYMENT", help="provider/model; several run side by side")

    def once(*names: str, **facts: Any) -> None:
        facts.setdefault("metavar", None if facts.get("nargs") == 0 else facts.pop("of", "VALUE"))
        parser.add_argument(*names, action=_Once, **facts)

    def flag(*names: str, **facts: Any) -> None:
        once(*names, nargs=0, default=False, **facts)

    def several(*names: str, **facts: Any) -> None:
        parser.add_argument(*names, action=_Several, **facts)

    several(
        "--fallback",
        dest="fallbacks",
        metavar="DEPLOYMENT",
        help="tried in order if the deployment fails; repeatable",
    )
    once("--api", choices=APIS, of=None, help="which API to use; by default the one that the gateway lists")
    flag("--chat", help="the same as --api chat")
    once("--system", of="TEXT", help="system message; implies --chat")
    once("--history", of="[NAME]", help="continue this notebook's chat, or the one called NAME; implies --chat")
    once("--history-from", type=int, of="TURN", help="go on after this turn of the chat, 0 to begin anew")
    several(
        "--image",
        dest="images",
        metavar="PATH_OR_NAME",
        help="a picture behind the text: a file, or a variable (path, bytes, PIL image, array, figure); with --inputs"
        " a column; repeatable",
    )
    once("--messages", type=_name, of="NAME", help="a list of messages that come before this cell's text")
    once("--schema", type=_name, of="NAME", help="a pydantic model or JSON schema that the answer must fit")
    once("--tools", type=_name, of="NAME", help="a list of tools that may be called")
    once("-t", "--temperature", type=float, of="NUMBER", help="sampling temperature")
    once("--max-tokens", type=int, of="COUNT", help="longest answer, in tokens")
    once("--top-p", type=float, of="NUMBER", help="nucleus sampling")
    several("--stop", type=_stop, metavar="TEXT", help=r"end the answer at this text (\n is a line end); repeatable")
    once("--seed", type=int, of="NUMBER", help="for answers that can be repeated")
    once("-n", type=_positive, of="COUNT", help="choices per call")
    several(
        "-p",
        dest="parameters",
        type=_parameter,
        metavar="NAME=VALUE",
        help="any other parameter; JSON or text; repeatable",
    )
    several("--extra", type=_pair, metavar="NAME=VALUE", help="a parameter of the provider's own; repeatable")
    once("--repeat", type=_positive, of="COUNT", help="calls per prompt and deployment; makes this a comparison")
    once(
        "-i",
        "--inputs",
        type=_name,
        of="NAME",
        help="DataFrame, dict or list of dicts, one prompt per row; makes this a comparison",
    )
    several(
        "--score",
        metavar="[NAME=]SCORER",
        help="judge the answers of a comparison: a function of the notebook, or contains:COLUMN, exact:COLUMN,"
        " regex:PATTERN, number:COLUMN, fields:COLUMN, length:MAX, called:TOOL, json_valid; repeatable",
    )
    once("--max-cost", type=float, of="USD", help="stop a comparison once it has cost this much")
    once("-o", "--out", type=_name, of="NAME", help="bind the result to this variable, the partial one after a failure")
    once("--format", choices=("md", "text", "json", "code"), default="md", of=None, help="how to show the answer")
    once("--save", of="NAME", help="keep this prompt under a name; a changed one becomes its next version")
    several(
        "--prompt",
        dest="prompts",
        type=_template,
        metavar="NAME=TEXT",
        help="one of several prompts to compare; its {{body}} is this cell's text; repeatable",
    )
    several(
        "--use",
        metavar="NAME[@VERSION]",
        help="a saved prompt; its {{body}} is this cell's text; repeat to compare several",
    )
    several("--tag", dest="tags", type=_tag, metavar="NAME=VALUE", help="kept with the run in the log; repeatable")
    once("--timeout", type=float, of="SECONDS", help="time limit of a whole call")
    once("--cache", choices=("on", "off"), of=None, help="the gateway's cache for this call; on: a cache of your own")
    flag("--dry-run", help="show what would be sent, send nothing")
    once("--bg", type=_name, of="NAME", help="run in the background; NAME can be awaited and cancelled")
    flag("--quiet", help="show nothing")
    flag("--no-raise", help="a failed call does not stop the notebook; its run says what happened")
    return parser


class _Help(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)


_PARSER = _declare()


def parse(words: Sequence[str], defaults: Options | None = None) -> Options:
    """The options that `words` give, on top of `defaults`. Raises UsageError."""
    words = _with_values(_with_chat_name(list(words)))
    known = defaults or Options()
    start = argparse.Namespace(given=set(), **{each.name: getattr(known, each.name) for each in fields(Options)})
    start.deployments = None
    found = vars(_PARSER.parse_intermixed_args(words, start))
    found.pop("given")
    for name, value in found.items():
        if isinstance(value, list) and _TWO_DASHES in value:
            found[name] = ["--" if one == _TWO_DASHES else one for one in value]
        elif value == _TWO_DASHES:
            found[name] = "--"
    found["deployments"] = found["deployments"] or list(known.deployments)
    for name, value in found.items():  # a default must not be changed through what was made from it
        found[name] = value.copy() if isinstance(value, list | dict) else value
    return Options(**found)


def _with_values(words: list[str]) -> list[str]:
    """An option and a value that begins with dashes as one word: argparse would take ``--stop "--"`` for two options.

    Raises UsageError for the dashes that word processors make of two, which no option begins with.
    """
    takes_value = {name for action in _PARSER._actions if action.nargs is None for name in action.option_strings}
    declared = {name for action in _PARSER._actions for name in action.option_strings}
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined else ""
        if before in takes_value and word.startswith("-") and word.partition("=")[0] not in declared:
            value = _TWO_DASHES if word == "--" else word
            joined[-1] = f"{before}={value}" if before.startswith("--") else f"{before}{value}"
            continue
        if word.startswith(("\N{EN DASH}", "\N{EM DASH}")) and before not in takes_value:
            written = f"--{word.lstrip(_DASHES)}"
            raise UsageError(f"%%bifrost: {word} begins with a long dash; options are written {written}.")
        joined.append(word)
    return joined


def _with_chat_name(words: list[str]) -> list[str]:
    """``--history`` with its name, or the usual one: argparse would take any word behind it, a deployment too."""
    if "--history" not in words:
        return words
    place = words.index("--history")
    name = words[place + 1] if len(words) > place + 1 else ""
    named = name.isidentifier()
    return [*words[:place], f"--history={name if named else DEFAULT}", *words[place + 1 + named :]]


def help_text() -> str:
    """The declaration as help."""
    return _PARSER.format_help()


def options() -> list[Option]:
    """Every option, for completion."""
    return [
        Option(tuple(action.option_strings), tuple(action.choices or ()), action.nargs != 0)
        for action in _PARSER._actions
        if action.option_strings
    ]
