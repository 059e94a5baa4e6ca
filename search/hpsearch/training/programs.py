"""Steps of training and validation, compiled by JAX, that stay on the device as long as they are told to.

One call does as many steps as wanted: batches are gathered on the device from rows that lie there, and state and
metrics go from step to step without the host. The number of steps is an argument, so that one program serves an epoch,
a part of it and the rest of it. Networks of one shape share a program; what differs between them are its arguments.
A program is traced from a twin of the first of them, which is never trained and has no values: neither does what is
done to a network change the program, nor does a program that is kept hold weights on the device.

On a CPU a convolution within a loop of XLA is many times slower than one outside, so that there each step is a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from numpy.typing import NDArray

from hpsearch.training.knobs import knobs_of, turned

__all__ = ["Program", "Rows", "State", "loops_on_device", "program_for", "state_of", "take_state"]

KEPT = 8
"""So many programs are kept."""


class Rows(NamedTuple):
    """What batches are taken from, on the device.

    Args:
        x: Rows (n, ...), or several of them by name, as they are stored, such as uint8.
        labels: (n, ...).
        weights: How much a row counts, by its class (classes,); None where all count the same.
    """

    x: Any
    labels: Any
    weights: Any = None


class State(NamedTuple):
    """All that changes while a model is trained: the values of its variables, in their order."""

    trainable: list[Any]
    others: list[Any]
    optimizer: list[Any]
    metrics: list[Any]


def state_of(trainer: Any) -> State:
    """What the variables of a model hold.

    Args:
        trainer: A compiled Keras model that is built, its optimizer and metrics too.
    """
    return State(*([variable.value for variable in group] for group in _variables(trainer)))


def take_state(trainer: Any, state: State) -> None:
    """Put values into the variables of a model.

    Args:
        trainer: The model.
        state: The values.
    """
    for group, values in zip(_variables(trainer), state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)


def loops_on_device() -> bool:
    """Whether many steps are one call."""
    return bool(jax.default_backend() != "cpu")


class Program:
    """The steps of one model, and of all others of its shape.

    Args:
        trainer: A compiled Keras model that is built, its optimizer and metrics too; its variables need no values.
        looped: Whether many steps are one call.
    """

    def __init__(self, trainer: Any, looped: bool) -> None:
        self._trainer = trainer
        self._knobs = knobs_of(trainer)
        self._looped = looped
        self._train = jax.jit(self._trained, donate_argnums=0)
        self._train_all = jax.jit(self._all_trained, donate_argnums=0, static_argnames="size")
        self._test = jax.jit(self._tested)
        self._test_all = jax.jit(self._all_tested, static_argnames="size")

    def serves(self, trainer: Any) -> bool:
        """Whether a model has the variables that this program is for.

        Args:
            trainer: A compiled Keras model that is built.
        """
        return _said(self._trainer) == _said(trainer) and len(knobs_of(trainer)) == len(self._knobs)

    def train(
        self, state: State, knobs: Sequence[float], rows: Rows, order: NDArray[np.int32], steps: range, size: int
    ) -> State:
        """Do some steps of training.

        Args:
            state: What is trained; the arrays cannot be used any more afterwards.
            knobs: The knobs of the model.
            rows: What it is trained on.
            order: The rows of the epoch in their order (n,).
            steps: Which steps, from 0; the last of an epoch may be smaller.
            size: Rows a step.
        """
        whole = range(steps.start, min(steps.stop, len(order) // size))
        if self._looped and len(whole):
            state = self._train_all(state, tuple(knobs), rows, order, whole.start, whole.stop, size=size)
        for step in steps if not self._looped else range(max(whole.stop, steps.start), steps.stop):
            state = self._train(state, tuple(knobs), rows, order[step * size : (step + 1) * size])
        return state

    def test(self, state: State, rows: Rows, order: NDArray[np.int32], steps: range, size: int) -> State:
        """Do some steps of validation, which change the metrics.

        Args:
            state: Of the model.
            rows: What it is validated on is among them.
            order: The places of what it is validated on (n,).
            steps: Which steps, from 0; the last may be smaller.
            size: Rows a step.
        """
        rows = rows._replace(weights=None)
        whole = range(steps.start, min(steps.stop, len(order) // size))
        if self._looped and len(whole):
            # As long for whatever is validated on, so that there is one program for all.
            padded = np.zeros(len(rows.labels), dtype="int32")
            padded[: len(order)] = order
            state = self._test_all(state, rows, padded, whole.start, whole.stop, size=size)
        for step in steps if not self._looped else range(max(whole.stop, steps.start), steps.stop):
            state = self._test(state, rows, order[step * size : (step + 1) * size])
        return state

    def check(self, state: State, knobs: Sequence[float], rows: Rows, order: NDArray[np.int32], size: int) -> None:
        """Find out whether the steps can be compiled at all; JAX keeps what it traces here for the first of them.

        Args:
            state: Of the model.
            knobs: The knobs of the model.
            rows: What it is trained on.
            order: The rows of an epoch (n,).
            size: Rows a step.

        Raises:
            Exception: Whatever is raised, such as by a layer that wants to know numbers before the program runs.
        """
        if self._looped and len(order) >= size:
            jax.eval_shape(partial(self._train_all, size=size), state, tuple(knobs), rows, order, 0, 1)
        else:
            jax.eval_shape(self._train, state, tuple(knobs), rows, order[:size])

    def _trained(self, state: State, knobs: tuple[float, ...], rows: Rows, places: Any) -> State:
        with turned(self._knobs, knobs):
            _, found = self._trainer.train_step(tuple(state), _batch(rows, places))
        return _alike(State(*found), state)

    def _all_trained(
        self, state: State, knobs: tuple[float, ...], rows: Rows, order: Any, first: Any, last: Any, *, size: int
    ) -> State:
        def step(number: Any, state: State) -> State:
            return self._trained(state, knobs, rows, lax.dynamic_slice_in_dim(order, number * size, size))

        done: State = lax.fori_loop(first, last, step, state)
        return done

    def _tested(self, state: State, rows: Rows, places: Any) -> State:
        trainable, others, optimizer, metrics = state
        _, found = self._trainer.test_step((trainable, others, metrics), _batch(rows, places))
        trainable, others, metrics = found
        return _alike(State(trainable, others, optimizer, metrics), state)

    def _all_tested(self, state: State, rows: Rows, order: Any, first: Any, last: Any, *, size: int) -> State:
        def step(number: Any, state: State) -> State:
            return self._tested(state, rows, lax.dynamic_slice_in_dim(order, number * size, size))

        done: State = lax.fori_loop(first, last, step, state)
        return done


_programs: dict[tuple[str, bool], Program] = {}


def program_for(trainer: Any, shape: str, twin: Callable[[], Any], looped: bool) -> Program:
    """The program of a model: that of another one of its shape, if there was one.

    Args:
        trainer: A compiled Keras model that is built, its optimizer and metrics too.
        shape: What models of one shape have in common; empty for one that shares nothing.
        twin: Makes a model like it that nobody trains, or None.
        looped: Whether many steps are one call.
    """
    key = shape, looped
    known = _programs.pop(key, None) if shape else None
    if known is None or not known.serves(trainer):
        known = _of_twin(trainer, twin(), looped)
    if known is None:
        # Nothing else looks at the model while it is traced, for a process trains one at a time. What is traced from
        # it holds its weights, and does what was done to it since: so it ends with this training.
        return Program(trainer, looped)
    if shape:
        _programs[key] = known  # at the end: it is the last one that is dropped
        while len(_programs) > KEPT:
            del _programs[next(iter(_programs))]
    return known


def _of_twin(trainer: Any, twin: Any, looped: bool) -> Program | None:
    """The program of a model, traced from another one; None where there is none that is like it."""
    program = None if twin is None else Program(twin, looped)
    return program if program is not None and program.serves(trainer) else None


def _variables(trainer: Any) -> tuple[Sequence[Any], ...]:
    return (
        trainer.trainable_variables,
        trainer.non_trainable_variables,
        trainer.optimizer.variables,
        trainer.metrics_variables,
    )


def _said(trainer: Any) -> list[tuple[int, tuple[int, ...], str]]:
    """The shape and type of each variable."""
    return [
        (place, tuple(variable.shape), str(variable.dtype))
        for place, group in enumerate(_variables(trainer))
        for variable in group
    ]


def _batch(rows: Rows, places: Any) -> tuple[Any, ...]:
    x = jax.tree.map(lambda each: each[places], rows.x)
    labels = rows.labels[places]
    return (x, labels) if rows.weights is None else (x, labels, rows.weights[labels.reshape(-1).astype("int32")])


def _alike(new: State, old: State) -> State:
    """The new values with the types of the old ones, as a loop wants them."""
    found: State = jax.tree.map(lambda value, before: value.astype(before.dtype), new, old)
    return found
