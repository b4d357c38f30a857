"""A playground's request as Python that runs as it stands."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pprint import pformat
from typing import TYPE_CHECKING, Any

from ..._client.typed_answers import AnswerSchema
from ..._compare.scoring import Scorer, ScorerFunction
from ..._keys import Secret, without_tool_keys
from ..._prompts.inputs import rows_of
from ..code_export import client_code, header_variable

if TYPE_CHECKING:
    from ..._client.client import Client
    from .form import Form

__all__ = ["as_given", "request_code"]

MOST_WRITTEN_ROWS = 200
"""Bound rows that are written out in copied code; more are only named there."""


def request_code(form: Form, inputs: Any, client: Client) -> str:
    """Python that asks the gateway of `client` the same.

    It runs as it stands: bound rows and pictures are written out. More than 200 rows, or values that Python has no
    literal for, are named instead, and a comment says that they must be defined.
    """
    asked = _with_variables(form.request(inputs))
    asked["deployments"] = [_with_variables(one) if isinstance(one, dict) else one for one in asked["deployments"]]
    note = ""
    if inputs is not None and "inputs" in asked:
        rows = _literal(rows_of(asked["inputs"]))
        note = f"inputs = {rows}\n\n" if rows else "# Define inputs first: the rows bound to the playground.\n"
        asked["inputs"] = _Name("inputs")
    if "schema" in asked:
        asked["schema"] = AnswerSchema.of(asked["schema"]).schema  # a class of a notebook is not there in another
    if form.scorers:
        written = {name: _scorer_code(scorer) for name, scorer in form.scorers.items()}
        asked["score"] = as_given(written)
        if missing := [name for name in dict.fromkeys(written.values()) if not name.startswith("bf.")]:
            note = f"# Define {', '.join(missing)} first: your own scorers.\n{note}"
    lines = [f"    {name}={pformat(value, width=90, sort_dicts=False)}," for name, value in asked.items()]
    made = client_code(client)
    lines.append(f"    client={made.code},")
    modules = dict.fromkeys((*made.imports, *(["os"] if any("os.environ[" in line for line in lines) else [])))
    head = "".join(f"import {module}\n\n" for module in modules) + "import bifrost_nb as bf\n"
    return "\n".join([head, f"{note}{made.note}comparison = bf.compare(", *lines, ")", "comparison"])


def _with_variables(own: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with environment variables in the place of keys in headers, as `client_code` has them.

    Those of tools are ``[hidden]``, as in the code of one call.
    """
    found = without_tool_keys(own)
    if isinstance(headers := found.get("headers"), Mapping):
        found["headers"] = {
            name: _Name(f"os.environ[{header_variable(name)!r}]") if isinstance(one, Secret) else one
            for name, one in headers.items()
        }
    return found


def as_given(scorers: Mapping[str, Any]) -> Any:
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
