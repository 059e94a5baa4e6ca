"""The engine that keeps a whole epoch on the device: data, batches, steps and metrics. It needs JAX."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.training.engine import Work
from hpsearch.training.failures import gist
from hpsearch.training.feeding import Feed, in_memory
from hpsearch.training.knobs import knobs_of
from hpsearch.training.programs import Program, loops_on_device, program_for, state_of, take_state
from hpsearch.training.residents import let_go, resident
from hpsearch.training.unallocated import unallocated

__all__ = ["Device", "UnsuitedError", "unsuited"]

BEAT = 1.0
"""Seconds of work that the device is given at a time: so long whoever wants to stop training may have to wait."""
FIRST = 8
"""Steps of the first such piece, by which the others are measured."""
MOST = 0.4
"""The share of the free memory of the device that the data may take."""


class UnsuitedError(Exception):
    """The device engine cannot do it; why."""


def unsuited(work: Work) -> str | None:
    """Why the device engine cannot train something; None where it can.

    Args:
        work: What and how.
    """
    trainer = work.course.trainer
    if not in_memory(work.x):
        return "the images are read batch by batch, for they do not fit into the memory"
    if trainer.run_eagerly or not trainer.jit_compile:
        return "the model was compiled with run_eagerly=True or jit_compile=False"
    if int(trainer.steps_per_execution or 1) != 1:
        return "the model was compiled with steps_per_execution"
    if not isinstance(trainer.output_shape, tuple):
        return "the model has several outputs"
    return _too_large(work)


def _too_large(work: Work) -> str | None:
    held = keras.tree.flatten((work.x, work.labels, work.validation))
    needed = sum(each.nbytes for each in held if each is not None)
    free = _free()
    if free is not None and needed > MOST * free:
        let_go()
        free = _free()
    if free is None or needed <= MOST * free:
        return None
    return f"its data takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of the device's memory are free"


def _free() -> int | None:
    """Bytes of the device's memory; None where that is the computer's own."""
    known = jax.devices()[0].memory_stats()
    return int(known["bytes_limit"]) - int(known.get("bytes_in_use", 0)) if known and "bytes_limit" in known else None


class Device:
    """Trains with programs that do many steps in one call; what they did comes back once an epoch.

    The steps are those of Keras: ``train_step`` and ``test_step`` of the model, on the batches that ``fit`` would have.

    Args:
        looped: Whether many steps are one call; None decides by the device.
    """

    name = "device"

    def __init__(self, looped: bool | None = None) -> None:
        self._looped = loops_on_device() if looped is None else looped
        self._run: _Run | None = None

    def train(self, work: Work) -> None:
        """Train to the end of the phase.

        Args:
            work: What and how.

        Raises:
            UnsuitedError: The model cannot be compiled; nothing was changed.
        """
        self._run = _Run(work, self._looped)
        work.course.progress.engine = self.name
        self._run.train()

    def score(self, places: NDArray[np.int64]) -> dict[str, float] | None:
        """Loss and metrics, in inference mode, on some of the rows that were trained on last.

        Args:
            places: Of the rows.
        """
        return None if self._run is None else self._run.measured(places, self._run.course.scoring_step_begins)


class _Run:
    """One call of the engine."""

    def __init__(self, work: Work, looped: bool) -> None:
        self.work = work
        self.course = work.course
        self.trainer = work.course.trainer
        self.feed = Feed(work.x, work.labels, work.batch_size, work.seed, like=work.like)
        self.callbacks = work.callbacks()
        self.beat = _Beat()
        _, self.label = self.feed.rows(slice(0, 1))
        _make_ready(self.trainer, self.label)
        self.trainer.reset_metrics()
        self.knobs = [knob.value for knob in knobs_of(self.trainer)]
        self.rows = resident(self.feed, work)
        self.program: Program = program_for(self.trainer, work.program(), self._twin, looped)
        try:
            self.program.check(state_of(self.trainer), self.knobs, self.rows, self._order(0), self.feed.batch_size)
        except Exception as error:  # whatever is wrong with it, fit will say so if it is not the compiling
            raise UnsuitedError(f"JAX cannot compile the model ({gist(_first(error))[:200]})") from error

    def _twin(self) -> Any:
        """A model like the one that is trained, whose variables have no values, to trace programs from; or None."""
        twin = self.work.twin()
        if twin is not None:
            with unallocated():
                jax.eval_shape(partial(_make_ready, twin, self.label))
        return twin

    def train(self) -> None:
        course, trainer = self.course, self.trainer
        course.ends_partial = False  # an epoch that an earlier run began ends here by itself
        for callback in self.callbacks:
            callback.set_model(trainer)
            callback.set_params({"epochs": course.epochs, "steps": self.feed.steps, "verbose": 0})
            callback.on_train_begin()
        trainer.stop_training = False
        for epoch in range(course.progress.epochs, course.epochs):
            self._epoch(epoch)
            if trainer.stop_training:
                break
        trainer.optimizer.finalize_variable_values(trainer.trainable_weights)
        for callback in self.callbacks:
            callback.on_train_end()

    def _epoch(self, epoch: int) -> None:
        trainer, course = self.trainer, self.course
        trainer.reset_metrics()
        begun = course.progress.step  # steps that an earlier run did
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)
        steps = range(begun, self.feed.steps)
        self._in_pieces("train", self._order(epoch), steps, lambda step: course.step_begins(step - begun, 1))
        logs = {name: float(value) for name, value in trainer.get_metrics_result().items()}
        logs |= {f"val_{name}": value for name, value in self._validated().items()}
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def _order(self, epoch: int) -> NDArray[np.int32]:
        return self.feed.order(epoch).astype("int32")

    def _validated(self) -> dict[str, float]:
        self.course.validation_begins()
        if self.work.validation is None:
            return {}
        held_out = np.arange(len(self.feed.labels), len(self.rows.labels))
        return self.measured(held_out, self.course.validation_step_begins)

    def measured(self, places: NDArray[np.int64], tell: Callable[[], None]) -> dict[str, float]:
        """Loss and metrics in inference mode.

        Args:
            places: Of the rows that they are measured on, held out ones after those that are trained on.
            tell: Called now and then.
        """
        steps = range(-(-len(places) // self.feed.batch_size))
        self.trainer.reset_metrics()
        self._in_pieces("test", places.astype("int32"), steps, lambda _: tell())
        return {name: float(value) for name, value in self.trainer.get_metrics_result().items()}

    def _in_pieces(
        self, kind: Literal["train", "test"], order: NDArray[np.int32], steps: range, tell: Callable[[int], None]
    ) -> None:
        """Do steps, a second's worth at a time; in between the variables hold what was done."""
        done, size = steps.start, self.feed.batch_size
        while done < steps.stop:
            tell(done)
            several = range(done, min(done + self.beat.steps, steps.stop))
            began, state = time.monotonic(), state_of(self.trainer)
            if kind == "train":
                state = self.program.train(state, self.knobs, self.rows, order, several, size)
            else:
                state = self.program.test(state, self.rows, order, several, size)
            for value in jax.tree.leaves(state):
                value.block_until_ready()
            take_state(self.trainer, state)
            self.beat.took(len(several), time.monotonic() - began)
            done = several.stop


class _Beat:
    """How many steps are a second's worth."""

    def __init__(self) -> None:
        self.steps = FIRST

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a piece of work.

        Args:
            steps: How many.
            seconds: How long they took, compiling included.
        """
        fair = BEAT / max(seconds / steps, 1e-6)
        self.steps = max(1, round(min(fair, 8 * self.steps)))


def _first(error: BaseException) -> BaseException:
    """What went wrong first; Keras tells of errors in words of its own, and may fail to."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _make_ready(trainer: Any, labels: Any) -> None:
    """Have optimizer and metrics create their variables, which they do when they first need them."""
    trainer.optimizer.build(trainer.trainable_variables)
    answer = keras.ops.full((1, *trainer.output_shape[1:]), 0.5)
    for measured in (trainer.compute_loss, trainer.compute_metrics):
        measured(None, labels, answer, None)
