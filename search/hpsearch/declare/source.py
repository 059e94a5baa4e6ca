"""Python source of values: what a recipe, a space and the sentences about them are printed as."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterable
from dataclasses import MISSING
from enum import Enum
from typing import Any

__all__ = ["LINE_LENGTH", "brief", "is_declared", "plain", "source"]

LINE_LENGTH = 100


def source(value: object, indent: int = 0, *, before: int = 0, after: int = 0) -> str:
    """Python source that makes the value again, options at their default left out, broken at `LINE_LENGTH` columns.

    Args:
        value: A declared object, a domain, a tuple, list or dict of them, a function, or a plain value.
        indent: By how many spaces the line is indented on which the text starts.
        before: How many columns that line holds already behind its indentation, such as ``name=``.
        after: How many columns will follow the text, such as a comma.
    """
    flat = _flat(value)
    if indent + before + len(flat) + after <= LINE_LENGTH:
        return flat
    opening, parts, closing = _parts(value)
    if not parts:
        return flat
    deeper = indent + 4
    lines = [f"{' ' * deeper}{name}{source(part, deeper, before=len(name), after=1)}," for name, part in parts]
    return "\n".join([opening, *lines, f"{' ' * indent}{closing}"])


def brief(value: object) -> str:
    """A value as it stands in a sentence: its source on one line, an object that is too long for that by its class.

    Args:
        value: Anything.
    """
    flat = " ".join(_flat(value).split())
    if len(flat) <= _BRIEF:
        return flat
    return f"{type(value).__name__}(...)" if is_declared(value) else f"{flat[: _BRIEF - 4]} ..."


_BRIEF = 80


def _flat(value: object) -> str:
    opening, parts, closing = _parts(value)
    if not parts:
        return opening + closing
    inside = ", ".join(name + _flat(part) for name, part in parts)
    trailing = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    return f"{opening}{inside}{trailing}{closing}"


def _parts(value: object) -> tuple[str, list[tuple[str, object]], str]:
    """How a value opens, its parts with their names, and how it closes; a plain value has no parts."""
    if hasattr(value, "source_call") and not isinstance(value, type):
        name, args, options = value.source_call()
        return f"{name}(", [("", arg) for arg in args] + [(f"{k}=", v) for k, v in options.items()], ")"
    if is_declared(value):
        return f"{type(value).__name__}(", list(_said_options(value)), ")"
    if isinstance(value, tuple):
        return "(", [("", part) for part in value], ")"
    if isinstance(value, list):
        return "[", [("", part) for part in value], "]"
    if isinstance(value, dict):
        return "{", [(f"{_flat(key)}: ", part) for key, part in value.items()], "}"
    if isinstance(value, set | frozenset) and value:
        # Sorted, because the order of a set differs from process to process.
        elements = [("", part) for part in sorted(value, key=_flat)]
        return ("{", elements, "}") if isinstance(value, set) else ("frozenset({", elements, "})")
    return _plain_source(value), [], ""


def _plain_source(value: object) -> str:
    """Source of a value without parts."""
    value = plain(value)
    if value is ...:
        return "..."
    if isinstance(value, types.FunctionType | type):
        return value.__name__
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """A string literal in double quotes, as formatters write it."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in text else literal


def _said_options(value: object) -> Iterable[tuple[str, object]]:
    """The options that differ from their default, those that may be given without a name first."""
    ours = hasattr(value, "__hpsearch_declared__")
    fields = [field for field in dataclasses.fields(value) if field.init]  # type: ignore[arg-type]  # callers check is_declared
    # A positional option may go without its name only while none before it is left out.
    nameless = True
    for field in sorted(fields, key=lambda field: bool(field.kw_only)):
        current = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if default is not MISSING and type(current) is type(default) and current == default:
            nameless = False
            continue
        nameless = nameless and ours and not field.kw_only
        yield ("" if nameless else f"{field.name}="), current


def is_declared(value: object) -> bool:
    """Whether a value is a declared object, or a user's own frozen dataclass, which is treated like one."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def plain(value: Any) -> Any:
    """The value with lists as tuples and NumPy's numbers and texts as Python's; everything else is left as it is.

    Args:
        value: Any value; tuples and lists are looked into.
    """
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        parts = [plain(part) for part in value]
        unchanged = isinstance(value, tuple) and all(new is old for new, old in zip(parts, value, strict=True))
        return value if unchanged else tuple(parts)
    # Recognised by name, because importing NumPy would slow down every command.
    if type(value).__module__ != "numpy" or getattr(value, "shape", None) != ():
        return value
    python = value.item()
    # The shortest text of a float32 is what was meant by it: 0.1, not 0.10000000149011612.
    return float(str(value)) if isinstance(python, float) else python
