"""A recipe in a few words, for a line of a screen."""

from __future__ import annotations

import ast
from functools import lru_cache

from hpsearch.cli.output import one_line

__all__ = ["describe"]


@lru_cache(maxsize=256)  # the screen asks again for every frame
def describe(recipe: str) -> str:
    """A recipe in a few words, such as ``ConvNet 32-32 64, dense 128, Adam 0.001, batch 64``; empty if it cannot.

    Args:
        recipe: The recipe as Python source.
    """
    try:
        tree: ast.expr = ast.parse(recipe, mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    model, training = _option(tree, "model"), _option(tree, "training")
    optimizer, batch = _option(training, "optimizer"), _option(training, "batch_size")
    parts = [
        _builder(model) if _called(model) == "HyperModel" else _body(_option(model, "body")),
        _dense(_option(model, "dense")),
        f"{_called(optimizer)} {_brief(_option(optimizer, 'learning_rate'))}".strip() if optimizer else "",
        f"batch {_brief(batch)}" if batch else "",
    ]
    return one_line(", ".join(part for part in parts if part))


def _option(call: ast.expr | None, name: str) -> ast.expr | None:
    if not isinstance(call, ast.Call):
        return None
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _called(call: ast.expr | None) -> str:
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def _brief(value: ast.expr | None) -> str:
    """A value as source; a fraction with three digits."""
    if isinstance(value, ast.Constant) and isinstance(value.value, float):
        return f"{value.value:.3g}"
    return ast.unparse(value) if value is not None else ""


def _body(body: ast.expr | None) -> str:
    if body is None or _called(body) != "ConvNet":
        return ast.unparse(body) if body is not None else ""
    stages = _option(body, "stages")
    said = [_stage(stage) for stage in stages.elts] if isinstance(stages, ast.Tuple | ast.List) else []
    return " ".join(["ConvNet", *said])


def _stage(stage: ast.expr) -> str:
    filters, convs = _option(stage, "filters"), _option(stage, "convs")
    if isinstance(filters, ast.Tuple | ast.List):
        return "-".join(_brief(width) for width in filters.elts)
    return f"{_brief(filters)}x{_brief(convs)}" if convs is not None else _brief(filters)


def _dense(dense: ast.expr | None) -> str:
    if not isinstance(dense, ast.Tuple | ast.List) or not dense.elts:
        return ""
    return "dense " + "-".join(_brief(_option(layer, "units")) or _called(layer) for layer in dense.elts)


def _builder(model: ast.expr | None) -> str:
    values = _option(model, "values")
    name = _brief(model.args[0]) if isinstance(model, ast.Call) and model.args else "build"
    if not isinstance(values, ast.Dict):
        return f"{name}(hp)"
    keys = (str(key.value) if isinstance(key, ast.Constant) else "" for key in values.keys)
    return f"{name}({', '.join(f'{key}={_brief(value)}' for key, value in zip(keys, values.values, strict=True))})"
