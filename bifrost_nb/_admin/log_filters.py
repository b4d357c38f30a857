"""Filters of the log that only the gateway can apply, since its list leaves out what they go by.

A gateway ignores a filter that it does not know, and sends everything: so which version knows which stands here, as
tests/simulator/log_filters.py measured it of six programs (1.3.63 to 2.0.0-prerelease3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .._numbers import version_numbers
from .._safe_text import plain, quoted
from ..errors import BifrostError, ConfigurationError

if TYPE_CHECKING:
    from .access import Access

__all__ = ["check_known", "filters_of"]


class LogFilter(NamedTuple):
    """The query parameter behind a filter, and the first version that obeys it; none: all of the six do."""

    parameter: str
    since: tuple[int, int, int] | None = None


FILTERS: Mapping[str, LogFilter] = {
    "finish_reason": LogFilter("stop_reasons", (1, 5, 1)),
    "session_id": LogFilter("session_id", (1, 5, 1)),
    "tags": LogFilter("metadata_", (1, 5, 1)),
    "virtual_key_id": LogFilter("virtual_key_ids"),
    "text": LogFilter("content_search"),
}
"""By our name. 1.4.18 takes tags as a filter and keeps none, so that it would find nothing."""
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,100}")
LONGEST = 1_000


def filters_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The query parameters of the filters that are not None. Raises ConfigurationError."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name == "tags":
            found |= _tags(value)
        elif name in ("session_id", "text"):
            found[FILTERS[name].parameter] = _text(name, value)
        else:
            listed = [value] if isinstance(value, str) else value
            if not isinstance(listed, list | tuple) or not listed:
                raise ConfigurationError(f"{name} takes a name or a list of names, not {quoted(value, 80)}.")
            found[FILTERS[name].parameter] = ",".join(_name(name, each) for each in listed)
    return found


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise ConfigurationError(f"tags takes a dict like {{'team': 'search'}}, not {quoted(value, 80)}.")
    for key in value:
        if not isinstance(key, str) or not _TAG.fullmatch(key):
            raise ConfigurationError(f"tags: {quoted(key, 80)} is no name of a tag (x-bf-dim-NAME).")
    return {f"metadata_{key}": _text(f"tags[{key!r}]", each) for key, each in value.items()}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
        raise ConfigurationError(f"{name} takes a text of up to {LONGEST:,} characters, not {quoted(value, 80)}.")
    return value


def _name(name: str, value: Any) -> str:
    if "," in _text(name, value):
        raise ConfigurationError(f"{name} takes names without commas, not {quoted(value, 80)}.")
    return str(value)


async def check_known(access: Access, parameters: Mapping[str, str]) -> None:
    """Raises ConfigurationError where the gateway would ignore one of `parameters` and send everything."""
    wanted = {
        name: known.since
        for name, known in FILTERS.items()
        if known.since and any(each.startswith(known.parameter) for each in parameters)
    }
    if not wanted:
        return
    try:
        told = await access.get("/api/version")
    except BifrostError:
        told = None
    version = version_numbers(told if isinstance(told, str) else None)
    for name, since in wanted.items():
        first = ".".join(map(str, since))
        if not version:
            raise ConfigurationError(
                f"The gateway does not tell its version, and older ones than {first} ignore the filter {name} and send "
                "every row.",
                hint="Leave it out, and filter the frame.",
            )
        if version < since:
            raise ConfigurationError(
                f"Gateways before {first} do not filter their log by {name}, and this is {plain(told, 40)}.",
                hint="Leave it out; bf.runs() has the finish_reason and tags of calls that were sent from here.",
            )
