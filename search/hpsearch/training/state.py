"""What changes while a network is trained, taken out of Keras and put back: variables, callbacks, random numbers."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "StateError",
    "assign",
    "begin_random",
    "callback_states",
    "random_states",
    "restore_callbacks",
    "restore_random",
    "shared_seeds",
    "state_variables",
    "values_of",
]

Arrays = dict[str, NDArray[Any]]


class StateError(Exception):
    """A state belongs to another network than this one."""


def state_variables(trainer: Any, model: Any = None) -> dict[str, list[Any]]:
    """The variables of a model that training changes: weights and seeds of the model, and its optimizer's.

    Args:
        trainer: A compiled Keras model that is built.
        model: The part of it that learns, where the rest stays as it is built; None is all of it.
    """
    _sync(trainer)
    optimizer = trainer.optimizer
    if not optimizer.built:
        optimizer.build(trainer.trainable_variables)
    found = {"model": list((trainer if model is None else model).variables), "optimizer": list(optimizer.variables)}
    shared = shared_seeds()
    return {**found, "seeds": [shared]} if shared is not None else found


def values_of(groups: Mapping[str, Sequence[Any]]) -> Arrays:
    """What variables hold, as arrays of their own dtypes, named by group and place.

    Args:
        groups: Variables by the name of their group.
    """
    return {
        f"{group}/{place}": np.array(keras.ops.convert_to_numpy(variable))
        for group, variables in groups.items()
        for place, variable in enumerate(variables)
    }


def assign(groups: Mapping[str, Sequence[Any]], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put values into variables; all of them or, where one does not fit, none.

    Args:
        groups: Variables by the name of their group.
        arrays: What `values_of` gave; other names are passed over.

    Raises:
        StateError: The values are those of other variables.
    """
    pairs = []
    for group, variables in groups.items():
        held = sum(name.startswith(f"{group}/") for name in arrays)
        if held != len(variables):
            raise StateError(f"{held} values for the {len(variables)} variables of the {group}")
        for place, variable in enumerate(variables):
            value = arrays[f"{group}/{place}"]
            if tuple(value.shape) != tuple(variable.shape):
                raise StateError(f"a value of shape {value.shape} for {variable.path}, which has {variable.shape}")
            pairs.append((variable, value))
    for variable, value in pairs:
        variable.assign(value)


def callback_states(callbacks: Sequence[Any]) -> tuple[list[dict[str, Any]], Arrays]:
    """What callbacks remember: whatever JSON can say, and weights that they keep.

    Args:
        callbacks: Keras callbacks, such as ``EarlyStopping`` and ``ReduceLROnPlateau``, or a user's own.

    Returns:
        A dict for each callback, and the arrays, by name.
    """
    states: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for place, callback in enumerate(callbacks):
        plain: dict[str, Any] = {}
        for name, value in vars(callback).items():
            if name.lstrip("_") in ("model", "params"):
                continue
            if _is_weights(value):
                plain[name] = {"arrays": len(value)}
                arrays.update({f"callback {place} {name}/{n}": np.array(array) for n, array in enumerate(value)})
            elif name == "monitor_op" and value is not None:
                plain[name] = {"operation": value.__name__}
            elif _is_plain(value):
                plain[name] = {"value": value.item() if isinstance(value, np.generic) else value}
        states.append({"class": type(callback).__name__, "attributes": plain})
    return states, arrays


def restore_callbacks(
    callbacks: Sequence[Any], states: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Let callbacks remember what they did; those that are not the ones of then are passed over.

    Args:
        callbacks: Callbacks, in the order of then.
        states: What `callback_states` gave.
        arrays: Likewise.
    """
    for place, (callback, state) in enumerate(zip(callbacks, states, strict=False)):
        if state["class"] != type(callback).__name__:
            continue
        for name, said in state["attributes"].items():
            if "arrays" in said:
                value: Any = [arrays[f"callback {place} {name}/{n}"] for n in range(said["arrays"])]
            elif "operation" in said:
                # Callbacks turn the sign of min_delta when they look this up, and must not do so a second time.
                value = getattr(keras.ops, said["operation"])
            else:
                value = said["value"]
            setattr(callback, name, value)


def begin_random(seed: int, epoch: int) -> None:
    """Have an epoch begin with random numbers that depend on nothing that came before.

    PyTorch's dropout draws from the same numbers as what serves its batches, which draws more of them in the first
    epoch of a run than in later ones. The other backends give each layer numbers of its own.

    Args:
        seed: Where the random numbers of the training start.
        epoch: Which epoch, from 0.
    """
    if keras.config.backend() == "torch":
        numbers = np.random.SeedSequence([seed % 2**32, epoch]).generate_state(1)
        importlib.import_module("torch").manual_seed(int(numbers[0]))


def random_states() -> tuple[dict[str, Any], Arrays]:
    """Where the random numbers of Python, NumPy and, where it trains, PyTorch stand."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    said = {"python": [version, list(numbers), gauss], "numpy": [str(kind), int(position), int(has_gauss), cached]}
    arrays: Arrays = {"random numpy": np.array(keys)}
    if keras.config.backend() == "torch":
        torch = importlib.import_module("torch")
        arrays["random torch"] = torch.get_rng_state().numpy()
    return said, arrays


def restore_random(said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Go on with the random numbers of then.

    Args:
        said: What `random_states` gave.
        arrays: Likewise.
    """
    version, numbers, gauss = said["python"]
    kind, position, has_gauss, cached = said["numpy"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state((kind, arrays["random numpy"], position, has_gauss, cached))
    if "random torch" in arrays and keras.config.backend() == "torch":
        torch = importlib.import_module("torch")
        torch.set_rng_state(torch.from_numpy(np.array(arrays["random torch"])))


def _sync(trainer: Any) -> None:
    """JAX keeps the state outside of the variables while it trains."""
    sync = getattr(trainer, "jax_state_sync", None)
    if sync is not None:
        sync()


def shared_seeds() -> Any:
    """The state of the seeds that layers share that were given none; only a user's own layers do without.

    Where it begins is drawn when it is first asked for.
    """
    try:
        from keras.src.random.seed_generator import global_seed_generator  # no public name leads there
    except ImportError:
        return None
    return global_seed_generator().state


def _is_weights(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, np.ndarray) for part in value)


def _is_plain(value: Any) -> bool:
    """Whether JSON gives back what it is given; a dict with other keys than text it would change."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return bool(json.loads(json.dumps(value)) == value) or value != value  # not a number
    except (TypeError, ValueError, RecursionError):
        return False
