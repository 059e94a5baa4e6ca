"""Loading a space file, and turning whatever is wrong with it into one sentence with file and line."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import traceback
from pathlib import Path
from types import ModuleType

from hpsearch.errors import InputError, SpaceError, did_you_mean
from hpsearch.space import Space

__all__ = ["is_declarative", "load_space"]


def load_space(path: Path, *, module_path: Path | None = None) -> Space:
    """Run a space file and return its ``space``.

    Args:
        path: The file.
        module_path: The folder its imports are looked up in; by default the folder it lies in.

    Raises:
        SpaceError: The file is missing, is not Python, raises, or has no ``space``; the sentence names file and line.
    """
    code = compile(_parsed(path), str(path), "exec", dont_inherit=True)
    folder = str((module_path or path.parent).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # Run as it stands on disk, not through the import system, whose cached bytecode can be older than a quick edit.
    module = ModuleType(f"hpsearch_space_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    linecache.checkcache(str(path))
    try:
        exec(code, vars(module))  # a space file is the user's own program
    except InputError as error:
        raise SpaceError(f"{path}{_line(error, path)}: {error}") from error
    except (Exception, SystemExit) as error:
        raise SpaceError(f"{path}{_line(error, path)}: {_explained(error)}") from error
    found = getattr(module, "space", None)
    if not isinstance(found, Space):
        what = f"its 'space' is a {type(found).__name__}" if found is not None else "it defines no 'space'"
        raise SpaceError(f"{path}: {what}; write space = Space(data=..., search=Recipe(...)).")
    return found


def is_declarative(path: Path) -> bool:
    """Whether a space file imports nothing but hpsearch and the standard library.

    Such a file is loaded where it is needed; one that imports more (Keras, say) only in a worker process, so that the
    coordinator starts at once and never holds a GPU.

    Raises:
        SpaceError: The file is missing or is not Python.
    """
    known = sys.stdlib_module_names | {"hpsearch"}
    for node in ast.walk(_parsed(path)):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if any(name.split(".")[0] not in known for name in names):
            return False
    return True


def _parsed(path: Path) -> ast.Module:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path()
        near = did_you_mean(path.name, [file.name for file in folder.glob("*.py")])
        raise SpaceError(f"There is no space file {path}.{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"The space file {path} cannot be read: {error}.") from error
    try:
        return ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SpaceError(f"{path}{line}: this is not Python: {reason}.") from error


def _line(error: BaseException, path: Path) -> str:
    """Where in the space file an error arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _explained(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no further word"
    if isinstance(error, ImportError) and error.name and error.name.startswith("hpsearch"):
        import hpsearch

        wanted = text.split("'")[1] if "'" in text else ""
        return f"hpsearch has no {wanted!r}.{did_you_mean(wanted, hpsearch.__all__)}"
    if isinstance(error, ImportError):
        return f"{text}; install what it needs into this environment."
    if isinstance(error, NameError) and error.name:
        import hpsearch

        near = did_you_mean(error.name, hpsearch.__all__)
        known = f" Import it: from hpsearch import {error.name}." if error.name in hpsearch.__all__ else near
        return f"{text}.{known}"
    return _wrong_call(error, text) or f"it raised {type(error).__name__}: {text}"


def _wrong_call(error: BaseException, text: str) -> str:
    """What is wrong with a call of one of hpsearch's functions; empty where that is not what happened."""
    import hpsearch

    name = text.split("(")[0]
    function = getattr(hpsearch, name, None) if name in hpsearch.__all__ else None
    if not isinstance(error, TypeError) or not inspect.isfunction(function):
        return ""
    parameters = inspect.signature(function).parameters.values()
    wrong = text.split("'")[1] if "unexpected keyword" in text else ""
    near = did_you_mean(wrong, [p.name for p in parameters]) if wrong else ""
    plain = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [f"{p.name}=..." for p in parameters if p.kind is p.KEYWORD_ONLY]
    return f"{text}.{near} Write it as {name}({', '.join(plain + named)})."
