"""SDKs leave sockets and clients in reference cycles: they are collected after each test, not in somebody else's."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()
    gc.freeze()  # what is left stays: looking through the modules of eight SDKs takes a second, test after test
