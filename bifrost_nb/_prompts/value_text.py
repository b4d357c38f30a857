"""What a value becomes in a prompt: the whole of it, as the person sees it, or a `Fault` that says why it is no text.

Nothing is cut: numpy, pandas, polars and pyarrow print long values with an ellipsis, and floats with fewer digits;
a person knows that, a model does not. Arrays are written as the list would be, so a column that went through Parquet
(and came back as arrays) makes the same prompt.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set, ValuesView
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from inspect import isclass, isroutine
from numbers import Number
from types import ModuleType
from typing import Any

from .._safe_text import plain, type_with_article
from .arrow_values import arrow_rows, arrow_values
from .printed_whole import printed_whole

__all__ = ["Fault", "as_text", "is_pandas", "no_value"]

_ADDRESS = re.compile(r"<[^<>]*\bat 0x[0-9a-fA-F]+[^<>]*>|<[\w.]+ object\b[^<>]*>")
"""What stands for an object that has no text: ``<generator object f at 0x7f...>``."""
_INNER_ADDRESS = re.compile(r"<(?:[^<>]|<[^<>]*>)*\bat 0x[0-9a-fA-F]+")
"""The same inside of a text that Python or pydantic made of an object's parts, as for a dataclass with a lock."""
_BARE = re.compile(r"<[^<>]*>")
_NAN_INSIDE = "holds NaN or NA, which is no text: fill or drop it first"
_LISTS = (list, tuple, deque, Set, ValuesView, Sequence)
_NOT_LISTS = ("UserString", "memoryview")
_ALONE = ("builtins", "decimal", "fractions", "numpy")
"""Whose numbers hold nothing that could be cut, as dates do: no library's settings are touched for them, which takes
ten times as long as the text."""


class Fault(Exception):
    """What is wrong with one value: the predicate of a sentence about it."""


def as_text(value: Any) -> str:
    """The text of `value` in a prompt. Raises Fault."""
    if isinstance(value, str):
        return value
    _refuse(value)
    if isinstance(value, bytes | bytearray):
        return _decoded(value)
    if isinstance(value, bool | Number | date):
        return _own_text(value, alone=isinstance(value, date) or type(value).__module__ in _ALONE)
    if isinstance(value, re.Pattern):  # whose repr is cut after 200 signs
        return as_text(value.pattern)
    if (table := _table(value)) is not None:
        return table
    inner = _unwrapped(value)
    if isinstance(inner, Mapping) or _is_list(inner):
        return _as_json(inner)
    if inner is not value:  # the one element of an array without dimensions, an Arrow scalar
        return as_text(inner)
    return _own_text(value)


def no_value(value: Any) -> bool:
    """Whether `value` says "unknown": None, NaN, pandas' NA and NaT, numpy's NaT and masked, Arrow's null."""
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    if isinstance(value, Decimal):  # a signalling NaN refuses to be compared
        return value.is_nan()
    if type(value).__module__ == "numpy" and type(value).__name__ in ("datetime64", "timedelta64"):
        return str(value) == "NaT"
    if type(value).__module__ == "pyarrow.lib" and hasattr(value, "as_py"):
        return not value.is_valid
    return isinstance(value, Number) and bool(value != value)  # NaN, of Python, numpy or decimal


def is_pandas(value: Any) -> bool:
    """Whether `value` is a DataFrame or Series of pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series)


def _refuse(value: Any) -> None:
    """Raise Fault for what can never be text."""
    if no_value(value):
        told = "None, which is no text: give it a value" if value is None else "NA, which is no text: fill or drop it"
        raise Fault(f"is {told} first")
    own: Any = type(value)
    name = own.__name__
    if isinstance(value, ModuleType) or isclass(value) or isroutine(value) or value is ... or value is NotImplemented:
        raise Fault(f"is a {name}, which is no text")
    if callable(value) and own.__str__ is object.__str__ and not is_dataclass(value):  # a partial, say
        raise Fault(f"is a {name}, which is to be called: pass what it returns")
    if callable(getattr(value, "get_secret_value", None)):
        raise Fault(f"is a {name}, whose text hides the value: pass its .get_secret_value()")
    if isinstance(value, Awaitable):
        raise Fault(f"is a {name}, which has no value yet: await it first")
    if isinstance(value, Iterator) and type(value).__str__ is object.__str__:
        raise Fault(f"is a {name}, which can be read only once: pass a list, or the text that it reads")
    module = type(value).__module__.partition(".")[0]
    lazy = name == "LazyFrame" or (module == "pyspark" and name in ("DataFrame", "Column"))
    if lazy or (hasattr(value, "compute") and hasattr(value, "dask")):
        raise Fault(f"is a {name}, which has no rows yet: collect or compute it first")
    if module == "polars" and name == "Expr":
        raise Fault("is an Expr, which has no values yet: select it from a frame first")
    grouped = module in ("pandas", "pyarrow") and hasattr(value, "aggregate")
    if grouped and not is_pandas(value):  # or rolling, or resampled
        raise Fault(f"is a {name}, which has no values yet: aggregate it first")
    if callable(getattr(value, "savefig", None)) or (module == "matplotlib" and hasattr(value, "get_figure")):
        raise Fault(f"is a {name}, which is a picture: name its column in images=")
    if callable(getattr(value, "get_state", None)) and hasattr(value, "comm"):
        raise Fault(f"is a {name}, a widget: pass its .value")
    if callable(getattr(value, "toarray", None)):
        raise Fault(f"is a sparse {name}, whose text leaves values out: pass its .toarray()")


def _decoded(value: bytes | bytearray) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Fault("is bytes that are no UTF-8 text: decode them first") from None


def _own_text(value: Any, *, alone: bool = False) -> str:
    own: Any = type(value)
    try:
        with nullcontext() if alone else printed_whole():
            text = str(value)
    except Exception as error:  # noqa: BLE001 - a user's class may fail in any way; the placeholder is what to name
        raise Fault(f"has no text: {type(error).__name__}: {plain(error, 200)}") from None
    if alone:
        return text
    bare = own.__str__ is object.__str__ and (own.__repr__ is object.__repr__ or _BARE.fullmatch(text))
    if bare or _ADDRESS.fullmatch(text):
        raise Fault(f"is a {own.__name__}, which has no text of its own")
    of_parts = own.__str__ is object.__str__ or str(getattr(own.__str__, "__module__", "")).startswith("pydantic.")
    if of_parts and _INNER_ADDRESS.search(text):
        raise Fault(f"is a {own.__name__} that holds something without a text of its own")
    if of_parts:
        _check_parts(value)
    return text


def _check_parts(value: Any) -> None:
    """Raise Fault for NaN among the fields of which an object's text is made (a dataclass, a model, a namespace)."""
    recorded = is_dataclass(value)
    for name in [each.name for each in fields(value) if each.repr] if recorded else getattr(value, "__dict__", ()):
        try:
            _jsonable(getattr(value, name, None))
        except Fault as fault:
            if str(fault) == _NAN_INSIDE:
                raise
        except RecursionError:  # it holds itself, which Python's text of it says
            continue


def _table(value: Any) -> str | None:
    """A frame or Series as its library prints it, with every row, column, sign and digit; None for other values."""
    if is_pandas(value):
        return _pandas_text(value)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(value, polars.DataFrame):
        if any(column.dtype.is_float() and column.is_nan().any() for column in value.get_columns()):
            raise Fault(_NAN_INSIDE)
        with printed_whole():
            return str(value)
    return None


def _pandas_text(value: Any) -> str:
    columns = [value] if value.ndim == 1 else [value.iloc[:, place] for place in range(value.shape[1])]
    for column in columns:
        missing = column[column.isna().to_numpy()]
        if len(missing) and (column.dtype != object or any(one is not None for one in missing)):
            raise Fault(_NAN_INSIDE)
    with printed_whole():
        return str(value.to_string(float_format=str))


def _unwrapped(value: Any) -> Any:
    """Lists for arrays and columns, rows for tables, the value for a scalar of numpy or Arrow; else `value` itself."""
    if isinstance(value, Mapping | str) or is_pandas(value):
        return value
    module = type(value).__module__.partition(".")[0]
    if module in ("pyarrow", "polars") and (found := arrow_values(value)) is not None:
        return found
    if module == "pandas" and hasattr(value, "__array__") and hasattr(value, "dtype"):  # an Index, an array of its own
        return list(value)
    if callable(getattr(value, "__array__", None)) and not isinstance(value, Number):
        return _listed(value)
    if hasattr(value, "__arrow_c_stream__"):
        return arrow_rows(value)
    listed = next((way for name in _LISTING if callable(way := getattr(value, name, None))), None)
    return value if listed is None else _read(listed)


_LISTING = ("to_list", "to_pylist", "to_dicts")
"""How columns and data sets that are neither sequences nor arrays give their values (awkward, Hugging Face)."""


def _read(listed: Callable[[], Any]) -> Any:
    try:
        return listed()
    except Exception as error:  # noqa: BLE001 - a library's own error; the placeholder is what to name
        raise Fault(f"cannot be read as a list: {plain(error, 200)}") from None


def _listed(value: Any) -> Any:
    """An array (of numpy, or what makes itself one) as nested lists of Python values."""
    import numpy as np

    try:
        array = np.asanyarray(value)
    except Exception as error:  # noqa: BLE001 - a tensor on another device, for one
        raise Fault(f"cannot be read as an array: {plain(error, 200)}") from None
    if np.ma.is_masked(array):
        raise Fault("holds masked values, which are no text: fill or compress it first")
    if array.dtype == object:
        return array.tolist() if array.ndim else array.item()
    if array.dtype.kind in "Mmf":  # numpy's own list would hold counted nanoseconds, and digits that float32 lacks
        return _scalars(array)
    return array.tolist()


def _scalars(array: Any) -> Any:
    if array.ndim:
        return [_scalars(one) for one in array]
    scalar = array[()]
    if no_value(scalar):
        return float("nan")
    if array.dtype.kind == "f":
        return float(str(scalar))
    if array.dtype.str.endswith(("[D]", "[W]", "[M]", "[Y]")):
        return str(scalar)
    # Counted in nanoseconds it has no Python value; a list of the same times would hold datetimes.
    micro = scalar.astype(f"{array.dtype.kind}8[us]")
    return str(micro.item() if micro == scalar else scalar)


def _is_list(value: Any) -> bool:
    return isinstance(value, _LISTS) and not isinstance(value, str) and type(value).__name__ not in _NOT_LISTS


def _as_json(value: Any) -> str:
    try:
        return json.dumps(_jsonable(value), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault(f"cannot be written as JSON: {plain(error, 100)}") from None


def _jsonable(value: Any) -> Any:
    """What JSON has for `value` inside of a list or mapping; None stays null. Raises Fault for NaN and the like."""
    if value is None or isinstance(value, bool | int) or type(value) is str:
        return value
    if isinstance(value, float) and type(value) is float and not math.isnan(value):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if no_value(value):
        raise Fault(_NAN_INSIDE)
    if isinstance(value, Mapping):
        found = {_key(key): _jsonable(one) for key, one in value.items()}
        if len({key if isinstance(key, str) else json.dumps(key) for key in found}) < len(value):
            raise Fault("has two keys that are one in JSON, such as 1 and '1'")
        return found
    if isinstance(value, bytes | bytearray | date | Decimal) or is_pandas(value):
        return as_text(value)
    _refuse(value)
    if isinstance(value, Number):  # of numpy
        return _number(value)
    inner = _unwrapped(value)
    if _is_list(inner):
        ordered = sorted(inner, key=str) if isinstance(inner, set | frozenset) else inner
        return [_jsonable(one) for one in ordered]
    return _jsonable(inner) if inner is not value else as_text(value)


def _number(value: Any) -> Any:
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, float):
        return float(str(value))  # 0.1 of float32, not 0.10000000149011612
    return item if isinstance(item, bool | int) else str(value)


def _key(key: Any) -> Any:
    if key is not None and no_value(key):
        raise Fault("has NaN or NA as a key, which is no text")
    if isinstance(key, str | int | float | bool) or key is None:
        return getattr(key, "item", lambda: key)()
    if isinstance(key, Mapping | Sequence | Set) and not isinstance(key, bytes):
        raise Fault(f"has {type_with_article(key)} as a key, which JSON has not")
    if hasattr(key, "item") and isinstance(key, Number):
        return _number(key)
    return as_text(key)
