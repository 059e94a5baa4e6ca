"""A recipe as a file of Python: what it imports, and what the space file must bring."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

__all__ = ["import_line", "runnable"]


def runnable(recipe: str, space_file: Path) -> str:
    """A recipe as Python that runs once what it names of the user's own is there.

    Args:
        recipe: The recipe; empty where it was never known.
        space_file: Where what is the user's own comes from.
    """
    if not recipe:
        return "# The trial ended before its recipe was known."
    own = ", ".join(sorted(_names(recipe) - _exported()))
    lines = [f"# From your space file ({space_file}): {own}"] if own else []
    return "\n".join([import_line(recipe), *lines, "", f"recipe = {recipe}"])


def import_line(recipe: str) -> str:
    """``from hpsearch import ...`` with exactly the names that a recipe uses; empty when there are none."""
    import hpsearch

    names = _names(recipe)
    used = [name for name in hpsearch.__all__ if name in names]
    return f"from hpsearch import {', '.join(used)}" if used else ""


def _names(recipe: str) -> set[str]:
    """The names that a recipe refers to, Python's own left out."""
    try:
        tree = ast.parse(recipe, mode="eval")
    except (SyntaxError, ValueError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(dir(builtins))


def _exported() -> set[str]:
    import hpsearch

    return set(hpsearch.__all__)
