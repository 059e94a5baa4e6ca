"""What ``help()`` says of a declared class: its docstring, which describes inherited options, too."""

from __future__ import annotations

import dataclasses
import inspect
import re

__all__ = ["complete_docstring"]

_ARGS = "Args:"
_ENTRY = re.compile(r" {4}(\w+(?:, \w+)*):")


def complete_docstring(cls: type) -> str | None:
    """The docstring of a class, with what those of its bases say of the options that it has from them.

    Args:
        cls: A dataclass, whose docstring has its options under ``Args:``.

    Returns:
        None where Python was told to drop docstrings.
    """
    if cls.__doc__ is None:
        return None
    own = inspect.cleandoc(cls.__doc__)
    told = _entries(own)
    options = {field.name for field in dataclasses.fields(cls)}
    more: dict[str, str] = {}
    for base in cls.__mro__[1:]:
        if dataclasses.is_dataclass(base):
            found = _entries(inspect.cleandoc(base.__doc__ or ""))
            more = {name: text for name, text in found.items() if name in options and name not in told} | more
    return _with_entries(own, list(more.values())) if more else cls.__doc__


def _entries(text: str) -> dict[str, str]:
    """The entries under ``Args:``, each by its name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.partition(f"\n{_ARGS}\n")[2].splitlines():
        begins = _ENTRY.match(line)
        if begins:
            name = begins[1]
            found[name] = [line]
        elif line.startswith("     ") and name:
            found[name].append(line)
        else:
            break
    return {name: "\n".join(lines) for name, lines in found.items()}


def _with_entries(text: str, entries: list[str]) -> str:
    before, args, rest = text.partition(f"\n{_ARGS}\n")
    if not args:
        return "\n".join([text, "", _ARGS, *entries, ""])
    own, gap, behind = rest.partition("\n\n")
    return "\n".join([f"{before}\n{_ARGS}", own, *entries, ""]) + (f"\n{behind}" if gap else "")
