"""A recipe in a few words, for a line of a screen."""

from __future__ import annotations

import ast
from functools import lru_cache

from hpsearch.wording import one_line

__all__ = ["describe"]


@lru_cache(maxsize=256)  # the screen asks again for every frame
def describe(recipe: str) -> str:
    """A recipe in a few words, such as ``ConvNet 32-32 64, dense 128, Adam 0.001, batch 64``; empty if it cannot.

    What else the training does comes last, where it is not the usual: ``Cosine, smoothing 0.1, augmented, balanced``.
    Several inputs that are joined are ``front ConvNet 16 32 + table dense 8, dense 32, ...``.

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
        _builder(model) if _called(model) == "HyperModel" else _read(model),
        _dense(_option(model, "dense")),
        f"{_called(optimizer)} {_brief(_option(optimizer, 'learning_rate'))}".strip() if optimizer else "",
        f"batch {_brief(batch)}" if batch else "",
        _tuned(_option(training, "fine_tune")),
        *_besides(training, optimizer),
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


def _read(part: ast.expr | None, name: str = "") -> str:
    """The body of a model or of a branch, or what it reads where it has none.

    Args:
        part: The model or branch.
        name: The name of the branch, which is what it reads if it does not say so.
    """
    body = _option(part, "body")
    if part is None:
        return ""
    if body is not None and not _is_none(body):
        return _body(body)
    read = _option(part, "input")
    if _called(read) == "Tiled":
        return "Tiled"
    # A model that does not say what it reads reads the only input there is; without a body that is a table, mostly.
    return str(read.value) if isinstance(read, ast.Constant) and read.value else name or "table"


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _body(body: ast.expr) -> str:
    if _called(body) == "Concat" and isinstance(body, ast.Call):
        branches = ((keyword.arg or "", keyword.value) for keyword in body.keywords)
        return " + ".join(_branch(name, part) for name, part in branches if not _is_none(part))
    if _called(body) == "Pretrained" and isinstance(body, ast.Call) and body.args:
        return _pretrained(body)
    if _called(body) != "ConvNet":
        return ast.unparse(body)
    stages = _option(body, "stages")
    said = [_stage(stage) for stage in stages.elts] if isinstance(stages, ast.Tuple | ast.List) else []
    return " ".join(["ConvNet", *said])


def _branch(name: str, branch: ast.expr) -> str:
    read = _read(branch, name)
    return " ".join(part for part in (name, read if read != name else "", _dense(_option(branch, "dense"))) if part)


def _pretrained(body: ast.Call) -> str:
    """The file without its folders, and what else was said."""
    path = body.args[0]
    file = path.value.rpartition("/")[2] if isinstance(path, ast.Constant) and isinstance(path.value, str) else ""
    until, frozen = _option(body, "until"), _option(body, "frozen")
    behind = f" until {until.value!s}" if isinstance(until, ast.Constant) and until.value else ""
    learns = " unfrozen" if isinstance(frozen, ast.Constant) and frozen.value is False else ""
    return f"Pretrained {file or _brief(path)}{behind}{learns}"


def _tuned(tuning: ast.expr | None) -> str:
    if tuning is None or _is_none(tuning):
        return ""
    last = _option(tuning, "unfreeze_last")
    which = "all" if last is None or _is_none(last) else f"last {_brief(last)}"
    return f"then {which} at {_brief(_option(tuning, 'learning_rate')) or '1e-05'}"


def _besides(training: ast.expr | None, optimizer: ast.expr | None) -> list[str]:
    """What else differs from the usual training, each in a word or two."""
    augment, weights = _option(training, "augment"), _option(training, "class_weight")
    copies = _given(augment, "copies")
    numbers = {
        "decay": (optimizer, "weight_decay"),
        "smoothing": (training, "label_smoothing"),
        "bias rate": (training, "bias_rate"),
        "averaged": (training, "average"),
    }
    told = [f"{word} {number}" for word, (call, name) in numbers.items() if (number := _given(call, name))]
    return [
        _called(_option(training, "schedule")),
        *told,
        f"{copies} augmented copies" if copies else "augmented" if _called(augment) else "",
        "balanced" if weights is not None and _text(weights) == "balanced" else "",
        "class weights" if isinstance(weights, ast.Tuple | ast.List) else "",
        f"clip {clip}" if (clip := _given(training, "clip_norm")) else "",
        _text(_option(training, "loss")),
        _text(_option(training, "precision")),
    ]


def _given(call: ast.expr | None, name: str) -> str:
    """A number that is said; empty where it is left out, None or 0."""
    value = _option(call, name)
    return _brief(value) if isinstance(value, ast.Constant) and value.value else ""


def _text(value: ast.expr | None) -> str:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


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
