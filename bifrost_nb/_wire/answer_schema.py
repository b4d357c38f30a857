"""Typed answers: a pydantic model or a JSON schema as a request's format, and an answer read by it.

Format: OpenAI's structured outputs, ``{"type": "json_schema", "json_schema": {"name", "strict", "schema"}}`` in a chat,
``text={"format": {...}}`` in the Responses API. What is sent is written for its strict mode, where that can be said; an
answer is checked by the schema as it was given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import orjson

from .._safe_text import plain
from ..errors import ConfigurationError
from .json_text import unfenced
from .schema_check import TooMuch, fault_of, problem_of, without_unmatched
from .strict_schema import strict_of

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["LONGEST_SCHEMA", "AnswerSchema"]

LONGEST_ANSWER = 10_000_000
"""Characters of an answer that is read; a model's longest answer has less than a tenth of it."""
LONGEST_SCHEMA = 1_000_000
_THOUGHT = "</think>"
_LONG = re.compile(r"\d{19}").search
_TYPES = {"integer": "Int64", "number": "Float64", "boolean": "boolean", "string": "string"}


class AnswerSchema:
    """What an answer must look like. `schema` is the JSON schema, `model` the pydantic model if one was given."""

    def __init__(self, name: str, schema: dict[str, Any], model: type[BaseModel] | None = None) -> None:
        self.name, self.schema, self.model = name, schema, model

    def __reduce__(self) -> Any:
        return AnswerSchema, (self.name, self.schema)  # a class of a notebook is not there in another process

    @classmethod
    def of(cls, given: Any) -> AnswerSchema:
        """`given`, checked. Raises ConfigurationError."""
        if isinstance(given, AnswerSchema):
            return given
        from pydantic import BaseModel

        model = given if isinstance(given, type) and issubclass(given, BaseModel) else None
        if model is not None:
            try:
                schema: Any = without_unmatched(model.model_json_schema())
            except Exception as error:  # noqa: BLE001 - a method that a user's class may have of its own, too
                name = plain(model.__name__, 60)
                raise ConfigurationError(f"{name} has no JSON schema: {plain(error, 200)}") from None
        elif isinstance(given, Mapping):
            schema = given
        else:
            raise ConfigurationError(
                f"schema must be a pydantic model (the class) or a JSON schema as a dict, not {type(given).__name__}.",
                hint='Write schema={"type": "object", "properties": {...}}.',
            )
        schema = _checked(schema)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title") or "answer"))[:64]
        return cls(name, schema, model)

    def parameters(self, kind: str) -> dict[str, Any]:
        """The parameter that asks for it. Raises ConfigurationError."""
        strict = strict_of(self.schema)
        form = {"name": self.name, "strict": strict is not None, "schema": self.schema if strict is None else strict}
        if kind == "chat":
            return {"response_format": {"type": "json_schema", "json_schema": form}}
        if kind == "responses":
            return {"text": {"format": {"type": "json_schema", **form}}}
        raise ConfigurationError("A text completion takes no schema.", hint="Leave api= out, or pass api='chat'.")

    @property
    def dtypes(self) -> dict[str, str]:
        """The dtype of each field in a frame; ``object`` for lists, objects and mixtures."""
        known: dict[str, str] = {}
        return {name: self._dtype(rule, known) for name, rule in (self.schema.get("properties") or {}).items()}

    def read(self, text: str) -> tuple[Any, str | None]:
        """(the value, None), or (None, what is wrong with `text`)."""
        if len(text) > LONGEST_ANSWER:
            return None, f"The answer has {len(text):,} characters, more than the {LONGEST_ANSWER:,} that are read."
        content = unfenced(text)
        if not content.startswith(("{", "[")) and _THOUGHT in content:  # a server that does not tell thoughts apart
            content = unfenced(content.rpartition(_THOUGHT)[2])
        try:
            value = _value(content)
        except ValueError as error:
            why = plain(error, 200) if {"{", "["} & set(content) else "it is words, so the model may have refused"
            return None, f"The answer is no JSON: {why}."
        except RecursionError:
            return None, "The answer is nested too deeply."
        try:
            return self._validated(value, content)
        except RecursionError:
            return None, "The answer is nested too deeply."

    def values(self, parsed: Any) -> dict[str, Any]:
        """The fields of what `read` returned, in JSON's types."""
        from pydantic import BaseModel

        if isinstance(parsed, BaseModel):
            parsed = parsed.model_dump(mode="json", by_alias=True)
        return dict(parsed) if isinstance(parsed, Mapping) else {}

    def _validated(self, value: Any, content: str) -> tuple[Any, str | None]:
        if self.model is not None:
            from pydantic import ValidationError

            try:
                return self.model.model_validate_json(content), None
            except ValidationError as error:
                faults = error.errors(include_url=False, include_context=False, include_input=False)
                said = "; ".join(f"{_place(fault['loc'])}: {plain(fault['msg'], 200)}" for fault in faults[:3])
                more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
                return None, f"{said}{more}."
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's validator; the answer is paid for
                return None, f"A validator of {self.name} failed: {type(error).__name__}: {plain(error, 200)}"
        from referencing.exceptions import Unresolvable

        try:
            fault = fault_of(self.schema, value)
        except Unresolvable as error:
            return None, f"The schema has a reference that leads nowhere: {plain(error, 200)}."
        except TooMuch:
            return None, "The answer is too long to be checked by this schema."
        if fault is not None:
            return None, f"{_place(fault.absolute_path)}: {plain(fault.message, 300)}."
        return value, None

    def _dtype(self, rule: Any, known: dict[str, str], depth: int = 0) -> str:
        """`known`: of references, so that each is followed once."""
        if not isinstance(rule, Mapping) or depth > 8:
            return "object"
        if isinstance(ref := rule.get("$ref"), str):
            if ref not in known:
                known[ref] = "object"  # of what contains itself
                known[ref] = self._dtype(self._resolved(ref), known, depth + 1)
            return known[ref]
        choices = rule.get("anyOf") or rule.get("oneOf") or rule.get("allOf")
        if isinstance(choices, list):
            found = {self._dtype(one, known, depth + 1) for one in choices if one != {"type": "null"}}
            if found == {"Float64", "string"}:  # how pydantic writes a Decimal
                return "Float64"
            return found.pop() if len(found) == 1 else "object"
        kinds = rule.get("type")
        kinds = [one for one in (kinds if isinstance(kinds, list) else [kinds]) if one != "null"]
        if not kinds[:1] or kinds == [None]:
            values = rule.get("enum") or ([rule["const"]] if "const" in rule else [])
            return "string" if values and all(isinstance(one, str) for one in values) else "object"
        if kinds == ["string"] and rule.get("format") == "date-time":
            return "datetime64[us, UTC]"
        return _TYPES.get(kinds[0], "object") if len(kinds) == 1 else "object"

    def _resolved(self, ref: str) -> Any:
        found: Any = self.schema
        for step in ref.removeprefix("#").strip("/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found


def _value(content: str) -> Any:
    """The JSON value of `content`, whole numbers of any size whole. Raises ValueError."""
    value = orjson.loads(content)  # strict, but an integer of more than 64 bits becomes a float
    return json.loads(content) if _LONG(content) else value


def _checked(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `schema` in JSON's types. Raises ConfigurationError."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        written = orjson.dumps(schema)
        if len(written) > LONGEST_SCHEMA:
            raise ConfigurationError(f"The schema has {len(written):,} bytes, more than {LONGEST_SCHEMA:,}.")
        copied = cast("dict[str, Any]", orjson.loads(written))
        validator_for(copied).check_schema(copied)
    except (TypeError, RecursionError) as error:
        raise ConfigurationError(f"The schema is no JSON, or nested too deeply: {plain(error, 200)}") from None
    except OverflowError as error:
        raise ConfigurationError(f"The schema has a pattern that is none: {plain(error, 200)}") from None
    except SchemaError as error:
        raise ConfigurationError(f"The schema is wrong at {_place(error.path)}: {plain(error.message, 300)}") from None
    if isinstance(ref := copied.get("$ref"), str) and ref.startswith("#/"):  # a model that contains itself
        copied = {**copied.pop("$defs", {}).get(ref.rpartition("/")[2], {}), **orjson.loads(written)}
        del copied["$ref"]
    if copied.get("type") != "object":
        raise ConfigurationError(
            "The schema must describe an object.", hint='A list goes into a field: {"items": {"type": "array", ...}}.'
        )
    if problem := problem_of(copied):
        raise ConfigurationError(problem[0], hint=problem[1])
    return copied


def _place(path: Any) -> str:
    return plain(".".join(map(str, path)), 100) or "the answer"
