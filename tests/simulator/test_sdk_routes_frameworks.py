"""Frameworks that speak several formats, with their newest packages, against the prefixes the gateway has for them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.thorough import thorough

from .conftest import Wire
from .sdk_routes import row_of, said

PACKAGES = {
    "langchain": ("langchain_openai",),
    "litellm": ("litellm", "boto3"),
    "pydanticai": ("pydantic_ai", "openai", "anthropic", "google.genai", "boto3", "cohere"),
}
PATHS = {
    "openai": "v1/chat/completions",
    "responses": "v1/responses",
    "anthropic": "v1/messages",
    "genai": "v1beta/models/gemini-2.5-flash:generateContent",
    "bedrock": "model/amazon.nova-lite-v1:0/converse",
    "cohere": "v2/chat",
}


def missing(packages: tuple[str, ...]) -> list[str]:
    """Those that are not installed; a package inside one that is missing counts as missing too."""
    outer = [name for name in packages if importlib.util.find_spec(name.partition(".")[0]) is None]
    return outer or [name for name in packages if importlib.util.find_spec(name) is None]


@pytest.mark.timeout(400)  # a busy machine takes its time to import them
@pytest.mark.parametrize("framework", ["langchain", *thorough("litellm", "pydanticai")])
def test_a_framework_speaks_each_format(wire: Wire, framework: str) -> None:
    """Each of its model classes that comes without more packages reaches the route of its format below the framework's
    prefix, and finds the text and the tokens that the gateway's log has, whole and streamed."""
    if absent := missing(PACKAGES[framework]):
        pytest.skip(f"not installed: {', '.join(absent)}")
    program = Path(__file__).with_name("framework_calls.py")
    command = [sys.executable, str(program), framework, wire.gateway.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    records = iter(wire.gateway.requests())
    for name, (text, prompt, completion, streamed) in json.loads(done.stdout.splitlines()[-1]).items():
        record = next(records)
        path = PATHS[name].removeprefix("v1/" if (framework, name) == ("litellm", "openai") else "-")
        assert record["path"] == f"/{framework}/{path}"
        row = row_of(wire, record)
        assert said(row) == text
        assert (prompt, completion) == (row["token_usage"]["prompt_tokens"], row["token_usage"]["completion_tokens"])
        assert streamed is None or said(row_of(wire, next(records))) == streamed
    assert next(records, None) is None
