"""What is proposed in place of a name that is not known."""

from __future__ import annotations

import pytest

from bifrost_nb._suggest import did_you_mean

KNOWN = ["azure/gpt-35-turbo-instruct", "azure/fast", "azure/large", "openai/gpt-4o-mini", "openai/gpt-3.5-turbo"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("azure/fsat", "azure/fast"),
        ("azure/Large", "azure/large"),
        ("azur/large", "azure/large"),
        ("openai/gpt-4o", "openai/gpt-4o-mini"),
        ("azure/nope", None),  # shares its provider alone: azure/large was proposed
        ("openai/o3", None),
    ],
)
def test_models_are_alike_by_more_than_their_provider(name: str, meant: str | None) -> None:
    """A name of which only the provider is right has nothing proposed."""
    assert did_you_mean(name, KNOWN) == (f" Did you mean {meant!r}?" if meant else "")
