"""Libraries of a few tests that are loaded when they are used.

Every process of the tests reads every file, and needs few of them. nbformat and what stands on it load jsonschema,
which builds grammars for four seconds; MLflow, Dask and OpenAI's SDK take a second and a half. No lazy module stands
in ``sys.modules``: of one that is not loaded yet, Python loads a part twice, and then an error of the one copy is none
of the other's.
"""

from importlib import import_module
from typing import Any

__all__ = ["distributed", "jsonschema", "mlflow", "nbclient", "nbconvert", "nbformat", "openai"]  # noqa: F822 - given by `__getattr__`


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    return import_module(name)
