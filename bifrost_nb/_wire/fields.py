"""The kinds of value that request fields take, and how to say what is wrong with one.

Bounds are those of the gateway's specification; where it has none, only values that every provider refuses are
refused here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from .._keys import without_keys
from .._numbers import as_python, whole
from .._safe_text import quoted
from .._suggest import similar
from ..errors import ConfigurationError
from .deployments import Deployment

__all__ = [
    "RAW_FIELDS",
    "Count",
    "Fallbacks",
    "Index",
    "JsonObject",
    "LogitBias",
    "Penalty",
    "Probability",
    "Prompt",
    "Seed",
    "Stop",
    "Temperature",
    "Whole",
    "configuration_error",
    "field_value",
    "json_value",
    "one_or_several",
]

_DEEPEST = 100  # levels of nesting; the gateway's own JSON reader gives up long after


def json_value(value: Any, where: str, depth: int = 0) -> Any:
    """A copy of `value` in JSON's own types, numbers of other libraries (a cell of a DataFrame) included.

    Raises ValueError that names the place of what JSON cannot carry.
    """
    value = as_python(value)
    if value is None or type(value) is bool:
        return value
    if isinstance(value, str):
        if not _is_unicode(value):
            raise ValueError(f"{where} holds half of a character (a lone surrogate)")
        return str.__str__(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{where} is an integer of more than 64 bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which JSON cannot carry")
        return value
    if depth >= _DEEPEST:
        raise ValueError(f"{where[:60]}… is nested more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not _is_unicode(key):
                raise ValueError(f"{where} has the key {_shown(key)}, which is not text")
        return {str.__str__(key): json_value(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item, f"{where}[{position}]", depth + 1) for position, item in enumerate(value)]
    raise ValueError(f"{where} is of type {type(value).__name__}, which JSON cannot carry")


def field_value(value: Any, name: str) -> Any:
    """`json_value` for the value of a whole field; a number is left to the field's own bounds."""
    found = as_python(value)
    return found if isinstance(found, int | float) else json_value(value, name)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _prompt(value: Any) -> Any:
    if isinstance(value, list):
        if not value:
            raise ValueError("prompt is an empty list")
        for position, item in enumerate(value):
            if isinstance(item, int | list):
                raise ValueError("prompt must be text or a list of texts; the gateway takes no token numbers")
            if not isinstance(item, str):
                raise ValueError(f"prompt[{position}] must be text, not {type(item).__name__}")
            if not item:
                raise ValueError(f"prompt[{position}] is empty")
        return value
    if not isinstance(value, str):
        raise ValueError(f"prompt must be text or a list of texts, not {type(value).__name__}")
    if not value:
        raise ValueError("prompt is empty")
    return value


def _stop(value: Any) -> Any:
    """Always a list: the gateway answers 400 to one string, although its specification allows it."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) and item for item in values):
        raise ValueError(f"stop must be text or a list of texts, none empty, not {_shown(value)}")
    return values


def _fallbacks(value: Any) -> Any:
    """``provider/model`` each: the gateway drops an entry without a provider in silence."""
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ValueError(
            f"fallbacks must be a list like ['openai/gpt-4o-mini'], not {_shown(value)} ({type(value).__name__})"
        )
    try:
        return [str(Deployment.parse(item, what=f"fallbacks[{position}]")) for position, item in enumerate(value)]
    except ConfigurationError as error:
        raise ValueError(f"{error.message.rstrip('.')}; write provider/model") from None


def _logit_bias(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"logit_bias must be a dict of token id to number, not {type(value).__name__}")
    result: dict[str, float] = {}
    for token, bias in value.items():
        token, weight = as_python(token), as_python(bias)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ValueError(f"logit_bias of token {_shown(token)} must be a number, not {_shown(bias)}")
        if isinstance(token, bool) or not isinstance(token, str | int):
            raise ValueError(f"logit_bias has the key {_shown(token)}; keys are token ids")
        if str(token) in result:
            raise ValueError(f"logit_bias has the token {_shown(token)} twice, as a number and as text")
        result[str(token)] = weight
    return json_value(result, "logit_bias")


def _whole(value: Any) -> Any:
    return value if (found := whole(value)) is None else found


Prompt = Annotated[str | list[str], BeforeValidator(_prompt)]
Stop = Annotated[list[str], BeforeValidator(_stop)]
Fallbacks = Annotated[list[str], BeforeValidator(_fallbacks)]
LogitBias = Annotated[dict[str, int | float], BeforeValidator(_logit_bias)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Whole = BeforeValidator(_whole)
Count = Annotated[int, Field(ge=1, lt=2**63), Whole]
Index = Annotated[int, Field(ge=0, lt=2**63), Whole]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63), Whole]
JsonObject = dict[str, Any]
RAW_FIELDS = frozenset({"fallbacks", "logit_bias"})
"""Fields whose own validators read what `json_value` refuses: deployments, and integers as keys."""


def configuration_error(error: ValidationError, model: type[BaseModel], given: Iterable[str]) -> ConfigurationError:
    """One ConfigurationError that says every wrong field of a request, from pydantic's `error`.

    `given` are the names that the caller used: a near match that is already there is not proposed.
    """
    taken = set(given)
    problems: dict[str, str] = {}
    unknown: list[str] = []
    for detail in error.errors(include_url=False):
        name = ".".join(str(part) for part in detail["loc"][:1])
        if detail["type"] == "extra_forbidden":
            unknown.append(name)
            problems[name] = _unknown(name, [field for field in model.model_fields if field not in taken])
        else:
            problems.setdefault(name, _problem(name, detail["type"], detail["msg"], detail["input"], model))
    hint = None
    if unknown:
        passed = ", ".join(f"{quoted(name, 60)}: ..." for name in unknown[:3])
        hint = f"Pass a provider's own parameters as extra={{{passed}}}."
        if _OF_COMPARE.issuperset(unknown):
            hint = f"bf.compare takes {' and '.join(unknown)}."
        if "images" in unknown:
            hint = (
                "Put each into a message: {'type': 'image_url', 'image_url': {'url': 'data:...'}}. Or use bf.compare."
            )
    said = "; ".join(problems.values())
    return ConfigurationError(said if said.endswith("?") else f"{said}.", hint=hint)


_OF_COMPARE = frozenset({"inputs", "repeats", "score", "max_cost_usd", "concurrency", "dry_run", "images"})
"""What one call does not take, and many do."""


def _unknown(name: str, known: list[str]) -> str:
    shown = quoted(name, 60)
    meant = [] if name in _OF_COMPARE else similar(name, known)
    return f"{shown} is not a parameter{f': did you mean {meant[0]!r}?' if meant else ''}"


def _problem(name: str, kind: str, message: str, value: Any, model: type[BaseModel]) -> str:
    if kind == "value_error":  # a validator of ours: its text is whole
        return message.removeprefix("Value error, ")
    if kind == "missing":
        return f"{name} is missing"
    schema = model.model_json_schema()["properties"].get(name, {})
    return f"{name} must be {_phrase(schema)}, not {_shown(value)} ({type(value).__name__})"


def _phrase(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if choices := schema.get("anyOf"):
        return " or ".join(_phrase(choice) for choice in choices if choice.get("type") != "null")
    if values := schema.get("enum"):
        return f"one of {', '.join(map(repr, values))}"
    kind = schema.get("type", "")
    words = {"string": "text", "boolean": "True or False", "object": "a dict", "array": "a list"}
    if kind == "array" and (items := schema.get("items")):
        return f"a list of {_phrase(items).removeprefix('a ')}s"
    if kind not in ("number", "integer"):
        return words.get(kind, "something else")
    noun = "an integer" if kind == "integer" else "a number"
    low = schema.get("minimum")
    high = schema.get("maximum")
    if low is not None and high is not None:
        return f"{noun} from {low:g} to {high:g}"
    if low is not None and low > -(2**62):
        return f"{noun} of at least {low:g}"
    return f"{noun} of at most 64 bits"


def _shown(value: Any) -> str:
    return without_keys(quoted(value, 60))


def one_or_several(value: Any, what: str, check: Callable[[Any, str], None]) -> Any:
    """`input` of a request: a text, or a list of `what`, each of which `check` takes with its name or refuses."""
    if isinstance(value, str):
        if not value:
            raise ValueError("input is empty")
        return value
    if not isinstance(value, list):
        raise ValueError(f"input must be text or a list of {what}, not {type(value).__name__}")
    if not value:
        raise ValueError("input is an empty list")
    for position, item in enumerate(value):
        check(item, f"input[{position}]")
    return value
