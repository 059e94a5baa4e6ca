"""Steps of training and validation, compiled by JAX, that stay on the device as long as they are told to.

One call does as many steps as wanted: batches are gathered on the device from rows that lie there, and state and
metrics go from step to step without the host. The number of steps is an argument, so that one program serves an epoch,
a part of it and the rest of it. Networks of one shape share a program; what differs between them are its arguments.

On a CPU a convolution within a loop of XLA is many times slower than one outside, so that there each step is a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax import lax
from numpy.typing import NDArray

from hpsearch.training.knobs import knobs_of, turned
from hpsearch.training.pace import Pace

__all__ = ["Program", "Rows", "State", "forget", "known", "loops_on_device", "program_for", "state_of", "take_state"]

KEPT = 8
"""So many programs are kept; each holds on to the network that it was traced with."""


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
        trainer: A compiled Keras model that is built, its optimizer and metrics too.
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
        steps = {"train": self._trained, "test": lambda state, _, rows, places: self._tested(state, rows, places)}
        several = {kind: jax.vmap(step, in_axes=(0, 0, None, 0)) for kind, step in steps.items()}
        self._several = {kind: jax.jit(step, donate_argnums=0) for kind, step in several.items()}
        self._several_all = {
            kind: jax.jit(partial(_looped, step), donate_argnums=0, static_argnames="size")
            for kind, step in several.items()
        }
        self.paces = {"train": Pace(), "test": Pace()}
        """What its steps take."""
        self.members = 0
        """How many trainings it is used by at this moment."""

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

    def together(
        self,
        kind: Literal["train", "test"],
        states: Sequence[State],
        knobs: Sequence[Sequence[float]],
        rows: Rows,
        orders: Sequence[NDArray[np.int32]],
        starts: Sequence[int],
        count: int,
        size: int,
    ) -> Sequence[State]:
        """Do some steps of several trainings, or of their validations, in one call for all of them.

        Args:
            kind: Which of the two.
            states: Of each; the arrays stay as they are.
            knobs: Likewise.
            rows: What all of them take their batches from.
            orders: The order of the rows, for each (n,).
            starts: The first step of each.
            count: How many steps, all of them of the whole size.
            size: Rows a step.
        """
        if kind == "test":
            rows = rows._replace(weights=None)
        numbers = tuple(np.asarray(each, dtype="float32") for each in zip(*knobs, strict=True))
        state = _joined(tuple(states))
        if self._looped:
            places = np.zeros((len(orders), len(rows.labels)), dtype="int32")  # as long for all, as in `test`
            for row, order in zip(places, orders, strict=True):
                row[: len(order)] = order
            begun = np.asarray(starts, dtype="int32")
            state = self._several_all[kind](state, numbers, rows, places, begun, count, size=size)
        for step in range(count) if not self._looped else ():
            firsts = [(start + step) * size for start in starts]
            places = np.stack([order[first : first + size] for first, order in zip(firsts, orders, strict=True)])
            state = self._several[kind](state, numbers, rows, places)
        parts: list[State] = _parted(state, len(states))
        return parts

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


def _looped(
    step: Any, state: State, knobs: Any, rows: Rows, orders: Any, starts: Any, count: Any, *, size: int
) -> State:
    """So many steps of several trainings, each from its own place in its own order."""

    def taken(number: Any, state: State) -> State:
        batch = partial(_places, number=number, size=size)
        found: State = step(state, knobs, rows, jax.vmap(batch)(orders, starts))
        return found

    done: State = lax.fori_loop(0, count, taken, state)
    return done


def _places(order: Any, start: Any, *, number: Any, size: int) -> Any:
    return lax.dynamic_slice_in_dim(order, (start + number) * size, size)


def _join(states: tuple[State, ...]) -> State:
    """The states of several trainings as one, whose arrays have another axis, the first."""
    joined: State = jax.tree.map(lambda *values: jax.numpy.stack(values), *states)
    return joined


def _part(state: State, count: int) -> list[State]:
    """The states of several trainings that were one."""
    return [jax.tree.map(lambda value, at=place: value[at], state) for place in range(count)]


_joined = jax.jit(_join)
_parted = jax.jit(_part, static_argnums=1)


_programs: dict[tuple[str, bool], Program] = {}


def program_for(trainer: Any, shape: str, looped: bool | None = None) -> Program:
    """The program of a model: that of another one of its shape, if there was one.

    Args:
        trainer: A compiled Keras model that is built, its optimizer and metrics too.
        shape: What models of one shape have in common; empty for one that shares nothing.
        looped: Whether many steps are one call; None decides by the device.
    """
    key = shape, loops_on_device() if looped is None else looped
    known = _programs.pop(key, None) if shape else None
    program = known if known is not None and known.serves(trainer) else Program(trainer, key[1])
    if shape:
        _programs[key] = program  # at the end: it is the last one that is dropped
        while len(_programs) > KEPT:
            del _programs[next(iter(_programs))]
    return program


def known() -> list[Program]:
    """The programs that are kept, the last one last."""
    return list(_programs.values())


def forget() -> None:
    """Keep no program."""
    _programs.clear()


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
