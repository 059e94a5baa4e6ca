"""Training one recipe with Keras's ``fit``: compile, train, keep the best epoch, score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.blocks.batchnorm import left_to_training
from hpsearch.data.parts import Part
from hpsearch.errors import HpsearchError
from hpsearch.recipe import HyperModel, Model, Recipe
from hpsearch.schedules import Plateau
from hpsearch.training.build import Built, UserCodeError
from hpsearch.training.callbacks import Beats, First, Last, intercepted
from hpsearch.training.checkpoint import saved_epochs
from hpsearch.training.compiling import compiled
from hpsearch.training.course import Course, Halted, NotFiniteError, named
from hpsearch.training.engine import Engine, Work
from hpsearch.training.engines import engine_for
from hpsearch.training.failures import gist
from hpsearch.training.feeding import Feed, scaled, served
from hpsearch.training.inputs import Inputs, fed
from hpsearch.training.plan import Plan
from hpsearch.training.saving import Saving
from hpsearch.training.settling import Settling
from hpsearch.training.statistics import Statistics
from hpsearch.training.watch import Leaving, Watch

__all__ = ["NotFiniteError", "Outcome", "Saving", "compiled", "encoded", "evaluate", "fit", "refit"]

TRAIN_SCORE_LEAST, TRAIN_SCORE_MOST = 2_000, 10_000
"""The train score is measured on as many images as the score, within these bounds: it need not be more precise."""

_Data = tuple[Any, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What training found.

    Args:
        score: The objective at the best epoch.
        best_epoch: That epoch, from 1.
        train_score: The same metric on training images, in inference mode, with the weights of that epoch; None where
            training was given up early: beside two epochs it would take long, and nobody decides by it.
        engine: What trained it, ``fit`` or ``device``.
    """

    score: float
    best_epoch: int
    train_score: float | None
    engine: str = "fit"


def fit(
    built: Built,
    train: Part,
    validation: Part,
    inputs: Inputs,
    *,
    metric: str,
    maximize: bool,
    seed: int,
    watch: Watch,
    saving: Saving | None = None,
    epochs: int | None = None,
    metrics: Sequence[str] = (),
    engine: str = "auto",
) -> Outcome:
    """Train a network, or go on training it, and leave it with the weights of its best epoch.

    Args:
        built: The network and its recipe.
        train: Images (n, height, width, channels) and labels (n,).
        validation: The images the score is measured on.
        inputs: What the network was built for.
        metric: The name of the objective, such as ``val_accuracy``.
        maximize: Whether more is better.
        seed: Where shuffling and augmentation start.
        watch: Who is told how it goes, and may end it.
        saving: Where checkpoints are written, and read to begin with; None writes none.
        epochs: After how many epochs to end, whatever the recipe says; of several phases the first come first, and the
            last takes what is over. None leaves it to the recipe.
        metrics: What is measured besides loss, accuracy and the objective.
        engine: ``auto``, ``fit`` or ``device``; see `hpsearch.training.engines`.

    Raises:
        NotFiniteError: The loss is not finite any more.
        Leaving: Training was stopped, to go on later.
    """
    measured, chosen = (metric, *metrics), engine_for(engine)
    plan = Plan(built, inputs, (train, validation), seed, measured, epochs, _ticking(watch, saving))
    most = epochs or sum(plan.epochs)
    course = Course(plan.trainer, built.network, most, watch, phases=plan.epochs, metric=metric, maximize=maximize)
    _train(plan, course, seed=seed, callbacks=lambda: _callbacks(built.recipe), saving=saving, engine=chosen)
    if course.progress.best is None:
        raise NotFiniteError(f"the {metric} was never finite.")
    course.network.set_weights(course.weights)
    if not course.over:
        return Outcome(course.progress.best, course.progress.best_epoch, None, course.progress.engine)
    scored, part = plan.scored()
    places = _sample(len(part), min(max(len(validation), TRAIN_SCORE_LEAST), TRAIN_SCORE_MOST))
    known = chosen.score(places) if part is plan.parts[0] else None
    if known is None:
        some = part if len(places) == len(part) else part.take(places)
        known = evaluate(scored, some, inputs, callbacks=[Beats(course)], metrics=measured)
    train_score = named(known)[metric.removeprefix("val_")]
    return Outcome(course.progress.best, course.progress.best_epoch, train_score, course.progress.engine)


def refit(
    built: Built,
    train: Part,
    inputs: Inputs,
    *,
    learning_rates: Sequence[float],
    seed: int,
    watch: Watch,
    phases: Sequence[int] = (),
    epochs: int | None = None,
    engine: str = "auto",
) -> None:
    """Train without validation data, replaying a validated run: as many epochs, each at the learning rate it had.

    A learning rate that followed the steps follows those of this run, so that each epoch begins with what it had.

    Args:
        built: The network and its recipe.
        train: Images (n, height, width, channels) and labels (n,).
        inputs: What the network was built for.
        learning_rates: The learning rate of each epoch.
        seed: Where shuffling and augmentation start.
        watch: Who is told how it goes, and may end it.
        phases: The phase of each epoch, from 1; empty where there was but one.
        epochs: How many epochs the validated run was given, where that was not left to the recipe.
        engine: ``auto``, ``fit`` or ``device``; see `hpsearch.training.engines`.

    Raises:
        NotFiniteError: The loss is not finite any more.
        Leaving: Training was stopped.
    """
    plan = Plan(built, inputs, (train,), seed, (), epochs, _ticking(watch, None))
    numbers = list(phases) or [1] * len(learning_rates)
    lengths = [numbers.count(number + 1) for number in range(max(numbers))]
    course = Course(plan.trainer, built.network, len(learning_rates), watch, phases=lengths)

    def callbacks() -> list[Any]:
        replay = keras.callbacks.LearningRateScheduler(lambda epoch: float(learning_rates[epoch]))
        # A schedule of Keras, of ours or of a build(hp), replays itself.
        return [] if plan.follows_steps else [replay]

    _train(plan, course, seed=seed, callbacks=callbacks, saving=None, engine=engine_for(engine))
    if course.settling is not None:
        course.settling.begin()


def evaluate(
    built: Built, part: Part, inputs: Inputs, callbacks: Sequence[Any] = (), metrics: Sequence[str] = ()
) -> dict[str, float]:
    """Loss and metrics of a network in inference mode.

    Args:
        built: The network and its recipe; it is compiled if it was not.
        part: Images (n, height, width, channels) and labels (n,).
        inputs: What the network was built for.
        callbacks: Keras callbacks that are told of the steps.
        metrics: What is measured besides loss and accuracy.
    """
    if not built.answering.compiled:
        compiled(built, inputs, 0, metrics)
    data = served(*encoded(built, part, inputs), 256)
    found = built.answering.evaluate(**data, callbacks=list(callbacks), verbose=0, return_dict=True)
    return named(found)


def encoded(built: Built, part: Part, inputs: Inputs) -> tuple[Any, np.ndarray]:
    """Inputs and labels as the network wants them.

    Args:
        built: The network and its recipe.
        part: Inputs and labels as loaded.
        inputs: What the network was built for.

    Returns:
        One input, or a dict of them by name where the network has several, each (n, ...); and the labels (n, ...).
    """
    model, labels = built.recipe.model, part.labels
    x = fed(built.network, part)
    if isinstance(model, Model):
        return x, labels.astype("float32")[:, None] if model.head == "sigmoid" else labels
    if model.pixels == "0..1":
        x = keras.tree.map_structure(lambda rows: scaled(rows, inputs.white), x)
    if model.labels == "one_hot" and inputs.classes:
        return x, np.eye(inputs.classes, dtype="float32")[labels]
    return x, labels


def _train(
    plan: Plan,
    course: Course,
    *,
    seed: int,
    callbacks: Callable[[], list[Any]],
    saving: Saving | None,
    engine: Engine,
) -> None:
    """Train to the end, from wherever the checkpoints leave off."""
    model = plan.built.recipe.model
    builder = model.build if isinstance(model, HyperModel) else None

    def begin(number: int) -> None:
        plan.enter(number)
        course.trainer, course.network, course.state = plan.trainer, plan.network, plan.state
        course.callbacks = callbacks()
        course.settling = _settling(plan)

    course.on_phase, course.seed = begin, seed
    begin(0)
    try:
        if builder is not None and hasattr(builder, "build") and hasattr(builder, "fit"):
            _train_as_the_user_does(plan, builder, course, saving)
        else:
            _train_by_phases(plan, course, seed, saving, engine)
    except Halted:
        pass
    except (HpsearchError, Leaving):
        raise
    except Exception as error:
        if builder is None:
            raise
        raise UserCodeError(
            f"training what build(hp) made raised {type(error).__name__}: {gist(error)[:300]}"
        ) from error


def _settling(plan: Plan) -> Settling:
    """What is done to the network before it is judged."""
    network, statistics = plan.now.network, None
    if left_to_training(network):
        x, _ = encoded(plan.now, plan.parts[0], plan.trained.inputs)
        statistics = Statistics(network, x, plan.built.recipe.training.batch_size)
    return Settling(plan.trainer, statistics)


def _data(plan: Plan) -> list[_Data]:
    """What is trained on and, if anything, validated on in this phase."""
    return [encoded(plan.now, part, plan.trained.inputs) for part in plan.parts]


def _train_by_phases(plan: Plan, course: Course, seed: int, saving: Saving | None, engine: Engine) -> None:
    steps = math.ceil(len(plan.parts[0]) / plan.built.recipe.training.batch_size)
    if steps % int(course.trainer.steps_per_execution or 1) == 0:
        course.steps = steps
    course.resume(saving, lambda: _test_on_a_batch(plan))
    _train_by_epochs(plan, course, seed, engine)
    while not course.over:
        course.next_phase()
        _train_by_epochs(plan, course, seed, engine)


def _test_on_a_batch(plan: Plan) -> None:
    """Have the model create the variables of its metrics."""
    feed = Feed(*_data(plan)[0], plan.built.recipe.training.batch_size, 0)
    plan.trainer.test_on_batch(*feed.rows(slice(0, feed.batch_size)))


def _train_by_epochs(plan: Plan, course: Course, seed: int, engine: Engine) -> None:
    """Train to the end of a phase."""
    if course.phase_over:
        return
    (x, labels), *others = _data(plan)
    work = Work(
        course=course,
        x=x,
        labels=labels,
        validation=others[0] if others else None,
        batch_size=plan.built.recipe.training.batch_size,
        seed=seed,
        class_weight=plan.class_weight,
        like=plan.images,
        program=lambda: plan.shape,
        twin=plan.trained.twin,
    )
    engine.train(work)


def _train_as_the_user_does(plan: Plan, builder: Any, course: Course, saving: Saving | None) -> None:
    """Call the ``fit`` of a ``keras_tuner.HyperModel``, which calls that of the model: once, several times or never."""
    options: dict[str, Any] = {
        "batch_size": plan.built.recipe.training.batch_size,
        "epochs": course.epochs,
        "callbacks": [First(course), *course.callbacks, Last(course)],
        "verbose": 0,
    }
    # Code of the user's own is given arrays, wherever the rows are held.
    (x, labels), *validation = keras.tree.map_structure(lambda rows: rows[:], _data(plan))
    if validation:
        options["validation_data"] = validation[0]
    if plan.class_weight is not None:
        options["class_weight"] = plan.class_weight
    with intercepted(course, saving):
        builder.fit(plan.built.hyperparameters, course.trainer, x, labels, **options)


def _callbacks(recipe: Recipe) -> list[Any]:
    training = recipe.training
    made: list[Any] = []
    if isinstance(training.schedule, Plateau):
        plateau = training.schedule
        made.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss", factor=plateau.factor, patience=plateau.patience, min_lr=plateau.min_learning_rate
            )
        )
    if training.early_stopping is not None:
        made.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=training.early_stopping))
    return made


def _ticking(watch: Watch, saving: Saving | None) -> Callable[[], None]:
    """What is called while something else than training takes its time."""

    def tick() -> None:
        if watch.step(1, 0, None):
            raise Leaving(None if saving is None else saved_epochs(saving.folder))

    return tick


def _sample(count: int, most: int) -> NDArray[np.int64]:
    """The places of at most so many rows, always the same ones."""
    return np.arange(count) if count <= most else np.random.default_rng(0).choice(count, most, replace=False)
