"""What all requests share: the model, fallbacks, a provider's own parameters, and how one is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from ..errors import ConfigurationError
from .deployments import Deployment
from .fields import RAW_FIELDS, Fallbacks, JsonObject, configuration_error, field_value

__all__ = ["BaseRequest", "build"]


class BaseRequest(BaseModel):
    """A request to any route. None means: not sent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    reserved: ClassVar[frozenset[str]] = frozenset({"extra_params"})
    """Names beside the fields' that `extra` may not hold."""

    model: str
    """``provider/model``."""
    fallbacks: Fallbacks | None = None
    """Asked in this order when the primary fails; ``provider/model`` each."""
    extra: JsonObject = Field(default_factory=dict)
    """A provider's own parameters."""

    @field_validator("*", mode="before")
    @classmethod
    def _json(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        return value if name in RAW_FIELDS else field_value(value, name)

    @model_validator(mode="after")
    def _no_clash(self) -> BaseRequest:
        if not self.extra:
            return self
        known = (type(self).model_fields.keys() | self.reserved) - {"extra"}
        if clash := sorted(known & self.extra.keys()):
            raise ValueError(f"extra holds {', '.join(map(repr, clash))}; pass it as an argument of that name")
        return self


_R = TypeVar("_R", bound=BaseRequest)


def build(
    model: type[_R],
    deployment: Deployment | str,
    content: dict[str, Any],
    fallbacks: Sequence[str] | None,
    extra: Mapping[str, Any] | None,
    parameters: Mapping[str, Any],
) -> _R:
    """A request of type `model`; raises one ConfigurationError that names all that is wrong."""
    if "model" in parameters:
        raise ConfigurationError("model is part of the deployment.", hint="Write the deployment as provider/model.")
    values = {name: value for name, value in parameters.items() if value is not None}
    values |= content | {"model": str(Deployment.parse(deployment)), "fallbacks": fallbacks or None}
    try:
        return model.model_validate(values | {"extra": {} if extra is None else extra})
    except ValidationError as error:
        given = [name for name, value in values.items() if value is not None]
        raise configuration_error(error, model, given) from None
