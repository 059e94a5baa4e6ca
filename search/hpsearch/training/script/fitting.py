"""``train()`` and ``evaluate()`` of a script: the recipe's training, as the validated run went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import keras

from hpsearch.blocks.batchnorm import left_to_training
from hpsearch.blocks.frozen import leaves
from hpsearch.blocks.whitening import whitening_layers
from hpsearch.declare import source
from hpsearch.metrics import extra
from hpsearch.phases import Phase, phases_of
from hpsearch.recipe import Model
from hpsearch.schedules import Cosine, OneCycle, Triangular
from hpsearch.training.amounts import unit_of
from hpsearch.training.build import Built
from hpsearch.training.devices import xla_said
from hpsearch.training.inputs import Inputs
from hpsearch.training.script.augmenting import augmented_lines, augmenting_classes, changes, images_of
from hpsearch.training.script.calls import Call, Raw
from hpsearch.training.script.classes import ONE_CYCLE, TRIANGULAR
from hpsearch.training.script.model import frozen_networks
from hpsearch.training.script.network import statement
from hpsearch.training.script.optimizing import optimizer_call, optimizer_classes
from hpsearch.training.statistics import BATCHES, IMAGES, ROWS

__all__ = ["Replay", "evaluate_text", "train_text"]


@dataclass(frozen=True)
class Replay:
    """What a retraining goes through again.

    Args:
        learning_rates: Of each epoch.
        phases: Of each epoch, from 1; empty where there was but one.
        epochs: How many epochs the validated run was given, where that was not left to the recipe.
    """

    learning_rates: tuple[float, ...]
    phases: tuple[int, ...] = ()
    epochs: int | None = None

    def of(self, number: int) -> tuple[float, ...]:
        """The learning rates of a phase.

        Args:
            number: Which, from 0.
        """
        numbers = self.phases or (1,) * len(self.learning_rates)
        return tuple(rate for rate, phase in zip(self.learning_rates, numbers, strict=True) if phase == number + 1)


def train_text(built: Built, inputs: Inputs, replay: Replay) -> str:
    """The function that trains a declared network, and what it needs above it.

    Args:
        built: The trained network and its recipe.
        inputs: What it was built for.
        replay: What the retraining went through.
    """
    training, model = built.recipe.training, built.recipe.model
    assert isinstance(model, Model)
    phases = phases_of(training, model)
    over = max((replay.epochs or 0) - sum(phase.epochs for phase in phases), 0)
    above: list[str] = []
    if isinstance(training.schedule, OneCycle | Triangular):
        above.append(ONE_CYCLE if isinstance(training.schedule, OneCycle) else TRIANGULAR)
    above += [*optimizer_classes(training), *augmenting_classes(built)]
    if not inputs.classes:
        above.append(_amount_loss(training.loss or "mean_squared_error", unit_of(built.network)[0]))
    body = [*_whitened(built), *_labels(built, inputs), *augmented_lines(built, inputs)]
    several = len(replay.of(1)) > 0
    for number, phase in enumerate(phases):
        rates = replay.of(number)
        if not rates:
            continue
        budget = phase.epochs + (over if number == len(phases) - 1 else 0)
        body += _phase(built, inputs, phase, rates, budget, several)
    if training.average is not None and any(each.constraint is not None for each in built.network.trainable_variables):
        body += ["    for each in model.trainable_variables:  # averages of bounded weights may leave the bounds"]
        body += ["        if each.constraint is not None:", "            each.assign(each.constraint(each))"]
    if left_to_training(built.network):
        above.append(_settle(built))
        body += [""] * several + ["    settle(model, x)"]
    doc = f'    """Train for {len(replay.learning_rates)} epochs, after which the winner was best on validation."""'
    function = "\n".join(["def train(model, x, y):", doc, *body])
    return "\n\n\n".join([*above, function])


def _whitened(built: Built) -> Iterator[str]:
    """The lines that find the kernels of whitening convolutions."""
    for layer, epsilon in whitening_layers(built.network):
        yield "    # Kernels that are found from the images, before anything is learned"
        learns = {} if layer.bias.trainable else {"learn_bias": False}
        call = Call("whiten", (Raw("model"), layer.name, Raw("x"), epsilon), learns)
        yield statement("", call, "")


def _phase(
    built: Built, inputs: Inputs, phase: Phase, rates: Sequence[float], budget: int, several: bool
) -> Iterator[str]:
    training, model = built.recipe.training, built.recipe.model
    assert isinstance(model, Model)
    if several:
        yield ""
    if phase.tuning is not None:
        yield from _unfrozen(model, phase.tuning.unfreeze_last)
    elif several:
        yield "    # First, what is frozen stays so"
    rate: Any = phase.optimizer.learning_rate
    callbacks: dict[str, Any] = {}
    if isinstance(training.schedule, Cosine | OneCycle | Triangular):
        yield f"    steps = math.ceil(len(y) / {training.batch_size}) * {budget}  # the epochs that were allowed"
        yield from _scheduled(training.schedule, rate)
        rate = Raw("learning_rate")
    elif len(set(rates)) > 1:
        yield f"    learning_rates = {_runs(rates)}  # as the validation loss had it cut"
        callbacks["callbacks"] = [Raw("keras.callbacks.LearningRateScheduler(lambda epoch: learning_rates[epoch])")]
    optimizer = optimizer_call(training, phase.optimizer, rate)
    trainer = "trainer" if changes(built) else "model"
    options = {"optimizer": optimizer, "loss": _loss(built, inputs)}
    measured = {"metrics": ["accuracy"]} if inputs.classes else {}
    xla = {} if xla_said() is None else {"jit_compile": xla_said()}
    yield statement("", Call(f"{trainer}.compile", (), {**options, **measured, **xla}), "")
    weighted = {"class_weight": Raw("class_weight")} if training.class_weight is not None else {}
    fitted = {"batch_size": training.batch_size, "epochs": len(rates), **callbacks, **weighted}
    yield statement("", Call(f"{trainer}.fit", (Raw("x"), Raw("y")), fitted), "")


def _unfrozen(model: Model, last: int | None) -> Iterator[str]:
    """The lines that let the last layers of what is frozen learn."""
    names = frozen_networks(model)
    every = "all layers" if last is None else f"the last {last} layers"
    yield f"    # Then {every} of what was frozen learn, too, but no batch normalisation"
    yield f"    for name in {source(names)}:"
    yield "        backbone = model.get_layer(name)"
    yield "        backbone.trainable = True"
    if last is None:
        yield "        for layer in leaves(backbone):"
        yield "            layer.trainable = not isinstance(layer, layers.BatchNormalization)"
        return
    yield "        every = list(leaves(backbone))"
    yield "        for number, layer in enumerate(every):"
    yield f"            learns = number >= len(every) - {last}"
    yield "            layer.trainable = learns and not isinstance(layer, layers.BatchNormalization)"


def _scheduled(schedule: Cosine | OneCycle | Triangular, peak: float) -> Iterator[str]:
    warmup = f"round({schedule.warmup} * steps)"
    if isinstance(schedule, OneCycle | Triangular):
        call = Call(type(schedule).__name__, (peak, Raw("steps"), Raw(warmup), schedule.start, schedule.final))
        yield statement("learning_rate", call, "")
        return
    final = {"alpha": schedule.final} if schedule.final else {}
    if not schedule.warmup:
        call = Call("keras.optimizers.schedules.CosineDecay", (peak, Raw("steps")), final)
    else:
        yield f"    warmup = {warmup}"
        options = {**final, "warmup_target": peak, "warmup_steps": Raw("warmup")}
        call = Call("keras.optimizers.schedules.CosineDecay", (0.0, Raw("steps - warmup")), options)
    yield statement("learning_rate", call, "")


def _runs(values: Sequence[float]) -> str:
    """A list with equal neighbours said once."""
    runs = [(value, len(list(group))) for value, group in groupby(float(f"{value:.6g}") for value in values)]
    return " + ".join(f"[{value}] * {count}" if count > 1 else f"[{value}]" for value, count in runs)


def _labels(built: Built, inputs: Inputs) -> Iterator[str]:
    """The lines that make of the labels what the loss takes."""
    training = built.recipe.training
    weights = training.class_weight
    if weights == "balanced":
        yield "    counts = np.bincount(y)  # every class counts the same in all"
        yield "    class_weight = {label: len(y) / (len(counts) * n) for label, n in enumerate(counts.tolist())}"
    elif weights is not None:
        yield f"    class_weight = {source(dict(enumerate(map(float, weights))), 4)}"
    if _vectors(built):
        yield f"    y = keras.utils.to_categorical(y, {inputs.classes})"


def _vectors(built: Built) -> bool:
    """Whether labels are given as vectors, which is what Keras smooths."""
    return bool(built.recipe.training.label_smoothing) and built.network.output_shape[-1] > 1


def _loss(built: Built, inputs: Inputs) -> Any:
    if not inputs.classes:
        return Raw("loss")
    one = built.network.output_shape[-1] == 1
    smoothing = built.recipe.training.label_smoothing
    if smoothing:
        kind = "BinaryCrossentropy" if one else "CategoricalCrossentropy"
        return Call(f"keras.losses.{kind}", (), {"label_smoothing": smoothing})
    return "binary_crossentropy" if one else "sparse_categorical_crossentropy"


def _amount_loss(kind: str, scale: float) -> str:
    lines = [
        "def loss(y, told):",
        '    """The error in standard deviations, so that amounts of any unit train alike."""',
        "    y = ops.reshape(ops.cast(y, told.dtype), (-1, 1))",
        f"    return keras.losses.{kind}(y / {scale!r}, told / {scale!r})",
    ]
    return "\n".join(lines)


def _settle(built: Built) -> str:
    """The function that finds the statistics of batch normalisation anew."""
    left = left_to_training(built.network)
    every = [layer for layer in leaves(built.network) if isinstance(layer, keras.layers.BatchNormalization)]
    others = [layer.name for layer in every if layer.trainable and not any(layer is each for each in left)]
    which = "layer.trainable" + (f" and layer.name not in {source(tuple(others))}" if others else "")
    rows = IMAGES if images_of(built) else ROWS
    several = len(built.network.inputs) > 1
    given = "{name: rows[chosen] for name, rows in x.items()}" if several else "x[chosen]"
    count = "len(next(iter(x.values())))" if several else "len(x)"
    size = BATCHES * built.recipe.training.batch_size
    lines = [
        "def settle(model, x):",
        '    """Have batch normalisation use what the trained network sees, not averages over past steps."""',
        "    every = [layer for layer in leaves(model) if isinstance(layer, layers.BatchNormalization)]",
        f"    found = [layer for layer in every if {which}]",
        "    kept = [(layer, layer.call, layer.momentum) for layer in found]",
        "    for layer, call, _ in kept:",
        "        layer.call = lambda x, training=None, mask=None, call=call: call(x, training=True, mask=mask)",
        f"    some = np.sort(np.random.default_rng(0).choice({count}, min({rows}, {count}), replace=False))",
        f"    for number, start in enumerate(range(0, len(some), {size})):",
        f"        chosen = some[start : start + {size}]",
        "        for layer in found:",
        "            layer.momentum = number / (number + 1)  # the mean over all rows so far",
        f"        model({given}, training=False)",
        "    for layer, _, momentum in kept:",
        "        del layer.call",
        "        layer.momentum = momentum",
    ]
    return "\n".join(lines)


def evaluate_text(inputs: Inputs, one: bool, metrics: Sequence[str]) -> str:
    """The function that scores a network on the test part.

    Args:
        inputs: What the network was built for.
        one: Whether it answers with a single number.
        metrics: What is told besides accuracy, or besides the mean absolute error, with or without ``val_``.
    """
    bare = {name.removeprefix("val_") for name in metrics}
    begin = ["def evaluate(model, x, y):", '    """Print and return the score on the test part."""']
    if not inputs.classes:
        lines = [
            "    told = model.predict(x, batch_size=256, verbose=0)[:, 0]",
            "    mae = float(np.abs(told - y).mean())",
            '    print(f"Mean absolute error on {len(y):,} test rows: {mae:,.6g}")',
            *(_AMOUNT_SCORES[name] for name in ("rmse", "r2") if name in bare),
        ]
        return "\n".join([*begin, *lines, "    return mae"])
    answer = "(shares[:, 0] > 0.5).astype(int)" if one else "shares.argmax(axis=1)"
    lines = [
        "    shares = model.predict(x, batch_size=256, verbose=0)",
        f"    told = {answer}",
        "    accuracy = float((told == y).mean())",
        f'    print(f"Accuracy on {{len(y):,}} test {_examples(inputs)}: {{accuracy:.4f}}")',
    ]
    if "auc" in bare:
        several = "np.mean([area(shares[:, each], y == each) for each in np.unique(y)])"
        area = "area(shares[:, -1], y == 1)" if inputs.classes == 2 else several
        lines.append(f'    print(f"AUC: {{{area}:.4f}}")')
    wanted = [name for name in extra(tuple(metrics)) if name != "auc"]
    if wanted:
        lines += _confusion(inputs.classes, wanted)
    return "\n".join([*begin, *lines, "    return accuracy"])


_AMOUNT_SCORES = {
    "rmse": '    print(f"Root of the mean squared error: {float(((told - y) ** 2).mean() ** 0.5):,.6g}")',
    "r2": '    print(f"R2: {1 - float(((told - y) ** 2).mean() / np.var(y)):.4f}")',
}


def _examples(inputs: Inputs) -> str:
    return "images" if all(len(shape) == 3 for shape in inputs.features.values()) else "rows"


def _confusion(classes: int, wanted: Sequence[str]) -> Iterator[str]:
    yield f"    counts = np.zeros(({classes}, {classes}))  # of each class, how often it was taken for each"
    yield "    np.add.at(counts, (y, told), 1)"
    yield "    right, there, named = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)"
    parts = {
        "precision": "right / np.maximum(named, 1)",
        "recall": "right / np.maximum(there, 1)",
        "f1": "2 * right / np.maximum(there + named, 1)",
    }
    of = "[1]" if classes == 2 else ".mean()"
    for name in wanted:
        yield f'    print(f"{name.capitalize()}: {{({parts[name]}){of}:.4f}}")'
