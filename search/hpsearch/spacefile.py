"""Loading a space file or a recipe, and turning whatever is wrong with it into one sentence with file and line."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from hpsearch.blocks.files import look_in
from hpsearch.errors import InputError, SpaceError, did_you_mean
from hpsearch.recipe import Recipe
from hpsearch.space import Space

__all__ = ["frameworks_imported", "is_declarative", "load_recipe", "load_space"]

_FRAMEWORKS = ("tensorflow", "jax", "torch")


def load_space(path: Path, *, module_path: Path | None = None) -> Space:
    """Run a space file and return its ``space``.

    Args:
        path: The file.
        module_path: The folder its imports are looked up in; by default the folder it lies in.

    Raises:
        SpaceError: The file is missing, is not Python, raises, or has no ``space``; the sentence names file and line.
    """
    return _space_of(_run(path, module_path), path)


def load_recipe(text: str, space_file: Path, module_path: Path | None = None, origin: str = "the recipe") -> Recipe:
    """The recipe that a text holds: an expression such as ``Recipe(...)``, or a program that defines ``recipe``.

    The text knows the words of hpsearch and all that its space file defines or imports, so that a user's own blocks and
    ``build`` functions are the same as in the space.

    Args:
        text: Python source.
        space_file: The space file; run if `load_space` has not run it in this process.
        module_path: The folder its imports are looked up in; by default the folder it lies in.
        origin: What to call the text in a message, such as the path of its file.

    Raises:
        SpaceError: The space file cannot be used, or the text is not Python, raises or holds no recipe; the sentence
            names where and the line.
    """
    import hpsearch

    module = sys.modules.get(_module_name(space_file))
    if module is None or Path(str(module.__file__)).resolve() != space_file.resolve() or not hasattr(module, "space"):
        module = _run(space_file, module_path)
        _space_of(module, space_file)
    tree = _parsed_text(text, origin)
    last = tree.body[-1] if tree.body else None
    value = last.value if isinstance(last, ast.Expr) else None
    if value is not None:
        tree.body.pop()
    names = {name: getattr(hpsearch, name) for name in hpsearch.__all__} | vars(module)
    names |= {"__name__": "hpsearch_recipe", "__file__": origin}
    of_space = names.get("recipe")  # a space file may have a function of that name
    _execute(compile(tree, origin, "exec", dont_inherit=True), names, origin)
    found = names.get("recipe") if names.get("recipe") is not of_space else None
    if found is None and value is not None:
        expression = compile(ast.Expression(value), origin, "eval", dont_inherit=True)
        found = _execute(expression, names, origin)
    if not isinstance(found, Recipe):
        what = f"it gives a {type(found).__name__}" if found is not None else "it holds no recipe"
        raise SpaceError(f"{origin}: {what}; write Recipe(model=..., training=...), or recipe = Recipe(...).")
    return found


def _run(path: Path, module_path: Path | None) -> ModuleType:
    """Run a space file as it stands on disk; the import system's bytecode can be older than a quick edit."""
    code = compile(_parsed(path), str(path), "exec", dont_inherit=True)
    look_in(space=module_path or path.parent)
    module = ModuleType(_module_name(path))
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    linecache.checkcache(str(path))
    with _imports_from((module_path or path.parent).resolve()):
        _execute(code, vars(module), str(path))
    return module


@contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """Let a file import what lies in a folder, before anything that is installed, as a script does from its own.

    Afterwards what is installed comes first: a ``queue.py`` or ``keras.py`` that lies there must not be taken for
    Python's or Keras's own by whatever is imported only when it is needed.
    """
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _module_name(path: Path) -> str:
    return f"hpsearch_space_{path.stem}"


def _execute(code: CodeType, names: dict[str, Any], origin: str) -> Any:
    """Run what is the user's own program; whatever it raises becomes a sentence."""
    try:
        return eval(code, names)  # a module gives None
    except InputError as error:
        raise SpaceError(f"{origin}{_line(error, origin)}: {error}") from error
    except (Exception, SystemExit) as error:
        raise SpaceError(f"{origin}{_line(error, origin)}: {_explained(error)}") from error


def _space_of(module: ModuleType, path: Path) -> Space:
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
    return all(name in known for name, _ in _imported(_parsed(path)))


def frameworks_imported(path: Path) -> dict[str, str]:
    """Where a space file, or a module beside it that it imports, imports a framework that Keras can run on.

    Args:
        path: The space file.

    Returns:
        Such as ``{"torch": "my_space.py, line 3"}``.

    Raises:
        SpaceError: The file is missing or is not Python.
    """
    found: dict[str, str] = {}
    trees = {path: _parsed(path)}
    waiting = [path]
    while waiting:
        file = waiting.pop(0)
        for name, line in _imported(trees[file]):
            beside = path.parent / f"{name}.py"
            if name in _FRAMEWORKS:
                found.setdefault(name, f"{file}, line {line}")
            elif beside.is_file() and beside not in trees:
                with suppress(SpaceError):  # whoever runs it is told
                    trees[beside] = _parsed(beside)
                    waiting.append(beside)
    return found


def _imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The first word of each module that is imported anywhere in a file, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], node.lineno


def _parsed(path: Path) -> ast.Module:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path()
        near = did_you_mean(path.name, [file.name for file in folder.glob("*.py")])
        raise SpaceError(f"There is no space file {path}.{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"The space file {path} cannot be read: {error}.") from error
    return _parsed_text(text, str(path))


def _parsed_text(text: str, origin: str) -> ast.Module:
    try:
        return ast.parse(text, filename=origin)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        end = "" if reason.endswith(("?", ".")) else "."  # Python may ask back: "Perhaps you forgot a comma?"
        raise SpaceError(f"{origin}{line}: this is not Python: {reason}{end}") from error


def _line(error: BaseException, origin: str) -> str:
    """Where in the text an error arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == origin]
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

        near = did_you_mean(error.name, (*hpsearch.__all__, "True", "False", "None"))
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
