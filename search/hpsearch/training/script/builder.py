"""A user's own ``build(hp)`` in a script: their code as it stands, and a stand-in for ``hp`` with what was found."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import keras

from hpsearch.declare import source
from hpsearch.recipe import HyperModel
from hpsearch.training.build import Built
from hpsearch.training.devices import xla_said
from hpsearch.training.inputs import Inputs
from hpsearch.training.script.calls import Call, Raw, ScriptError
from hpsearch.training.script.fitting import Replay
from hpsearch.training.script.network import statement
from hpsearch.training.script.optimizing import optimizer_call, optimizer_classes

__all__ = ["build_text", "fit_text", "users_code"]


def users_code(model: HyperModel) -> str:
    """The user's builder and all of its file that it needs.

    Args:
        model: The declaration.

    Raises:
        ScriptError: The file cannot be read, or the builder needs words of hpsearch.
    """
    thing = model.build if inspect.isfunction(model.build) else type(model.build)
    try:
        text = Path(inspect.getsourcefile(thing) or "").read_text(encoding="utf-8")
    except (OSError, TypeError) as error:
        raise ScriptError(f"the file of {thing.__name__} cannot be read") from error
    tree = ast.parse(text)
    statements = {name: each for each in tree.body for name in _defined(each)}
    if thing.__name__ not in statements:
        raise ScriptError(f"{thing.__name__} does not stand at the top level of its file")
    needed: list[ast.stmt] = []
    open_names = [thing.__name__]
    while open_names:
        each = statements.get(open_names.pop())
        if each is None or any(each is other for other in needed):
            continue
        needed.append(each)
        if isinstance(each, ast.ImportFrom) and (each.module or "").split(".")[0] == "hpsearch":
            raise ScriptError(f"{thing.__name__} needs {', '.join(_defined(each))} of hpsearch")
        open_names += [node.id for node in ast.walk(each) if isinstance(node, ast.Name)]
    # As they stand in the file, comments within them included.
    ordered = [each for each in tree.body if any(each is other for other in needed)]
    lines = text.splitlines()
    parts = ["\n".join(lines[_first(each) - 1 : each.end_lineno]) for each in ordered]
    imports = "\n".join(part for part, each in zip(parts, ordered, strict=True) if _imports(each))
    rest = [part for part, each in zip(parts, ordered, strict=True) if not _imports(each)]
    return "\n\n\n".join([*([imports] if imports else []), *rest])


def _imports(statement_: ast.stmt) -> bool:
    return isinstance(statement_, ast.Import | ast.ImportFrom)


def _first(statement_: ast.stmt) -> int:
    """The first line, decorators included."""
    decorators = getattr(statement_, "decorator_list", [])
    return min(statement_.lineno, *(int(each.lineno) for each in decorators), statement_.lineno)


def _defined(statement_: ast.stmt) -> Iterator[str]:
    """The names that a statement defines."""
    if isinstance(statement_, ast.FunctionDef | ast.ClassDef):
        yield statement_.name
    elif isinstance(statement_, ast.Import | ast.ImportFrom):
        for alias in statement_.names:
            yield (alias.asname or alias.name).split(".")[0]
    elif isinstance(statement_, ast.Assign | ast.AnnAssign):
        targets = statement_.targets if isinstance(statement_, ast.Assign) else [statement_.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def build_text(built: Built) -> str:
    """The functions that build what a ``build(hp)`` built.

    Args:
        built: The network and its complete recipe.
    """
    model = built.recipe.model
    assert isinstance(model, HyperModel)
    values = f"VALUES = {source(dict(model.values or {}))}"
    _, (made,), _ = model.source_call()
    is_object = hasattr(model.build, "build")
    maker = f"BUILDER = {source(made)}" if is_object else ""
    call = "BUILDER.build(Found(VALUES))" if is_object else f"{source(made)}(Found(VALUES))"
    build = (
        f'def build_model():\n    """The network of build(hp), with the values that were found."""\n    return {call}'
    )
    return "\n\n\n".join([users_code(model), _STAND_IN, "\n".join(filter(None, [values, maker])), build])


def fit_text(built: Built, inputs: Inputs, replay: Replay, compiled: bool, augmenting: list[str]) -> str:
    """The function that trains what a ``build(hp)`` built.

    Args:
        built: The network and its complete recipe.
        inputs: What it was built for.
        replay: What the retraining went through.
        compiled: Whether the user's code compiles the network.
        augmenting: The lines that put random changes before it, as ``trainer``.
    """
    recipe = built.recipe
    model, training = recipe.model, recipe.training
    assert isinstance(model, HyperModel)
    rates = replay.learning_rates
    body = [f'    """Train for {len(rates)} epochs, after which the winner was best on validation."""']
    one_hot = model.labels == "one_hot"
    if one_hot:
        body.append(f"    y = keras.utils.to_categorical(y, {inputs.classes})")
    body += augmenting
    trainer = "trainer" if augmenting else "model"
    if not compiled:
        one = built.network.output_shape[-1] == 1
        loss = "binary_crossentropy" if one else "categorical_crossentropy" if one_hot else _SPARSE
        made = optimizer_call(training, training.optimizer)
        options = {"optimizer": made, "loss": loss, "metrics": ["accuracy"]}
        body.append(statement("", Call(f"{trainer}.compile", (), options), ""))
    elif augmenting:
        body.append('    trainer.compile(model.optimizer, model.loss, metrics=["accuracy"])')
    if xla_said() is not None:
        body.append(f"    {trainer}.jit_compile = {xla_said()}")
    options = {"batch_size": training.batch_size, "epochs": len(rates)}
    optimizer = getattr(built.network, "optimizer", None)
    scheduled = isinstance(getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule)
    if len(set(rates)) > 1 and not scheduled:  # a schedule of the user's own goes its way again
        body.append(f"    learning_rates = {source([float(f'{rate:.6g}') for rate in rates], 4, before=17)}")
        options["callbacks"] = [Raw("keras.callbacks.LearningRateScheduler(lambda epoch: learning_rates[epoch])")]
    if hasattr(model.build, "build") and hasattr(model.build, "fit"):
        options.setdefault("callbacks", [])
        call = Call("BUILDER.fit", (Raw("Found(VALUES)"), Raw(trainer), Raw("x"), Raw("y")), options)
    else:
        call = Call(f"{trainer}.fit", (Raw("x"), Raw("y")), options)
    train = "\n".join(["def train(model, x, y):", *body, statement("", call, "")])
    return "\n\n\n".join([*([] if compiled else optimizer_classes(training)), train])


_SPARSE = "sparse_categorical_crossentropy"

_STAND_IN = '''class Found:
    """Stands in for the hp of Keras Tuner: it answers with the values that were found."""

    def __init__(self, values):
        self.values, self.scopes, self.conditions = values, [], []

    def get(self, name):
        """The value of this name, whatever it depends on."""
        return next(value for key, value in self.values.items() if key.split("(")[0] == name)

    def _value(self, name, default, parent_name=None, parent_values=()):
        name = "/".join([*self.scopes, name])
        given = [(parent_name, parent_values)] if parent_name else []
        said = [
            f"{parent}={'|'.join(map(str, values if isinstance(values, (list, tuple)) else [values]))}"
            for parent, values in [*self.conditions, *given]
        ]
        key = f"{name}({', '.join(said)})" if said else name
        return self.values.get(key, self.values.get(name, default))

    def Int(self, name, min_value, max_value=None, step=None, sampling=None, default=None, **parent):
        return self._value(name, min_value if default is None else default, **parent)

    Float = Int

    def Choice(self, name, values, ordered=None, default=None, **parent):
        return self._value(name, values[0] if default is None else default, **parent)

    def Boolean(self, name, default=False, **parent):
        return self._value(name, default, **parent)

    def Fixed(self, name, value, **parent):
        return value

    @contextlib.contextmanager
    def name_scope(self, name):
        self.scopes.append(name)
        yield
        self.scopes.pop()

    @contextlib.contextmanager
    def conditional_scope(self, parent_name, parent_values):
        self.conditions.append(("/".join([*self.scopes, parent_name]), parent_values))
        yield
        self.conditions.pop()'''
