"""Libraries of a few tests that are loaded when they are used.

Every process of the tests reads every file. nbformat and what stands on it load jsonschema, which builds grammars for
four seconds. No lazy module stands in ``sys.modules``: of one that is not loaded yet, Python loads a part twice, and
then an error of the one copy is none of the other's.
"""

from importlib import import_module
from typing import Any

__all__ = ["jsonschema", "nbclient", "nbconvert", "nbformat"]  # noqa: F822 - given by `__getattr__`


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    return import_module(name)
