"""The schemas of the gateway's published text-completion specification, for tests that hold us to it.

The specification is not part of this repository; a test that needs it takes the schema through `required` and is
skipped with a reason where the file is absent.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

ROUTE = "/openai/openai/deployments/{deployment-id}/completions"
_FILE = Path(__file__).parents[2].parent / "shared" / "spec" / "azure-text-completion.openapi.yaml"

Schema = dict[str, Any]


def spec_path() -> Path | None:
    """The specification file, or None where it is not there."""
    return _FILE if _FILE.is_file() else None


def required() -> Path:
    """The specification file; skips the calling test where it is not there."""
    path = spec_path()
    if path is None:
        pytest.skip("the specification file is not beside the repository")
    return path


def request_schema() -> Schema:
    """The JSON body of a request."""
    schema: Schema = _operation()["requestBody"]["content"]["application/json"]["schema"]
    return schema


def parameters() -> list[Schema]:
    """The path and query parameters of the route."""
    rows: list[Schema] = _operation()["parameters"]
    return rows


def response_schema() -> Schema:
    """A whole answer (200, not streamed)."""
    return _answer("200", "application/json")


def chunk_schema() -> Schema:
    """One chunk of a stream (the JSON of one ``data:`` line)."""
    return _answer("200", "text/event-stream")


def error_schema(status: int = 400) -> Schema:
    """The body of an error; 400 and 500 are described."""
    return _answer(str(status), "application/json")


def _answer(status: str, media: str) -> Schema:
    schema: Schema = _operation()["responses"][status]["content"][media]["schema"]
    return schema


def _operation() -> Schema:
    operation: Schema = _document(required())["paths"][ROUTE]["post"]
    return operation


@functools.lru_cache(maxsize=1)
def _document(path: Path) -> Schema:
    document: Schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document
