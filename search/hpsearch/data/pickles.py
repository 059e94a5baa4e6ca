"""Pickles of plain values and NumPy arrays, read without running anything that they ask for.

Python's own unpickler calls what a file names, with arguments of the file; even where only NumPy's functions may be
named, a few hundred bytes are enough to end the process. Here names stay names: the instructions are followed as far
as they build numbers, texts, lists, tuples and dicts, and a call is kept as what was to be called with what.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["array_of", "read_pickle", "text_of"]

_MARK = object()


@dataclass
class _Call:
    """Something that was to be called, and was not."""

    name: str
    arguments: Any = ()
    state: Any = None


def read_pickle(content: bytes) -> Any:
    """The value that a pickle holds, calls excepted.

    Args:
        content: The pickle.

    Raises:
        ValueError: It is none, or holds what is no plain value.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for operation, argument, _ in pickletools.genops(content):
        name = operation.name
        if name == "STOP":
            break
        if name in _PLAIN:
            stack.append(argument)
        elif name in _MADE:
            stack.append(_MADE[name]())
        elif name in _KEPT:
            memo[argument if argument is not None else len(memo)] = stack[-1]
        elif name in _FETCHED:
            stack.append(memo[int(argument or 0)])
        elif name in _DONE:
            _DONE[name](stack, argument)
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it holds {name}, which is no plain value")
    value = stack.pop()
    if isinstance(value, _Call):
        raise ValueError(f"it holds {value.name}")
    return value


def text_of(value: Any) -> str:
    """A text, which old pickles hold as bytes and new ones of old protocols as a call.

    Args:
        value: A part of what `read_pickle` gave.
    """
    return value if isinstance(value, str) else _bytes(value).decode("latin1")


def array_of(value: Any) -> NDArray[Any]:
    """A NumPy array of whole numbers, or a list of them.

    Args:
        value: A part of what `read_pickle` gave.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, list):
        if not all(isinstance(each, int) for each in value):
            raise ValueError("a list holds something else than whole numbers")
        return np.asarray(value)
    shape, kind, raw = _parts(value)
    if not re.fullmatch(r"[|<>=]?[iu][1248]", kind) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array is of type {kind} and shape {shape}")
    dtype = np.dtype(kind)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"an array of shape {shape} holds {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape)


def _parts(value: Any) -> tuple[tuple[Any, ...], str, bytes]:
    """Shape, type and bytes of an array in the two ways in which NumPy writes one."""
    if not isinstance(value, _Call):
        raise ValueError(f"it holds a {type(value).__name__} where an array should be")
    if value.name.endswith("multiarray._reconstruct") and value.state is not None:
        _, shape, kind, fortran, raw = value.state
    elif value.name.endswith("numeric._frombuffer"):
        raw, kind, shape, order = value.arguments
        fortran = order == "F"
    else:
        raise ValueError(f"it holds {value.name} where an array should be")
    if fortran or not isinstance(kind, _Call) or kind.name != "numpy.dtype":
        raise ValueError("an array is laid out in columns, or has no type")
    order = kind.state[1] if kind.state is not None else "|"
    return tuple(shape), f"{text_of(order)}{text_of(kind.arguments[0])}", _bytes(raw)


def _bytes(value: Any) -> bytes:
    if isinstance(value, _Call) and value.name == "_codecs.encode":
        return str(value.arguments[0]).encode("latin1")
    if isinstance(value, str):
        return value.encode("latin1")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise ValueError(f"it holds a {type(value).__name__} where bytes should be")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = next(place for place in reversed(range(len(stack))) if stack[place] is _MARK)
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _append(stack: list[Any], _: Any) -> None:
    value = stack.pop()
    stack[-1].append(value)


def _appends(stack: list[Any], _: Any) -> None:
    values = _since_mark(stack)
    stack[-1].extend(values)


def _pairs(values: list[Any]) -> dict[str, Any]:
    return {text_of(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


def _set_item(stack: list[Any], _: Any) -> None:
    value, key = stack.pop(), stack.pop()
    stack[-1].update(_pairs([key, value]))


def _set_items(stack: list[Any], _: Any) -> None:
    values = _since_mark(stack)
    stack[-1].update(_pairs(values))


def _tuple_of(count: int) -> Callable[[list[Any], Any], None]:
    def made(stack: list[Any], _: Any) -> None:
        values = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        stack.append(values)

    return made


def _reduce(stack: list[Any], _: Any) -> None:
    arguments, called = stack.pop(), stack.pop()
    stack.append(_Call(called.name, arguments))


def _build(stack: list[Any], _: Any) -> None:
    state = stack.pop()
    stack[-1] = _Call(stack[-1].name, stack[-1].arguments, state)


def _stack_global(stack: list[Any], _: Any) -> None:
    name, module = stack.pop(), stack.pop()
    stack.append(_Call(f"{module}.{name}"))


_PLAIN = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"),
    *("BINBYTES8", "BYTEARRAY8"),
}
_MADE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_KEPT = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_FETCHED = {"GET", "BINGET", "LONG_BINGET"}
_DONE: dict[str, Callable[[list[Any], Any], None]] = {
    "APPEND": _append,
    "APPENDS": _appends,
    "LIST": lambda stack, _: stack.append(_since_mark(stack)),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "DICT": lambda stack, _: stack.append(_pairs(_since_mark(stack))),
    "TUPLE": lambda stack, _: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "GLOBAL": lambda stack, name: stack.append(_Call(name.replace(" ", "."))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}
