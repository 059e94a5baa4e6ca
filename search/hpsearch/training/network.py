"""What a network does with one row of data: every call of a layer, in order, with what goes in and comes out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

__all__ = ["Call", "Tensor", "calls"]


@dataclass(frozen=True, eq=False)  # two tensors of one shape are two
class Tensor:
    """What flows between layers, for one row of data.

    Args:
        shape: Its shape without the batch.
        dtype: As Keras names it.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How large it is."""
        bits = re.search(r"\d+$", self.dtype)
        return self.size * (max(int(bits[0]) // 8, 1) if bits else 1)


@dataclass(frozen=True)
class Call:
    """One use of a layer; a layer that is shared has several.

    Args:
        layer: The Keras layer or operation.
        inputs: What it takes.
        outputs: What it gives.
        weights: The variables that it computes with, those of layers within it left to calls of their own.
    """

    layer: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: tuple[Any, ...]


def calls(network: Any, shapes: Mapping[str, tuple[int, ...]]) -> list[Call]:
    """Every call of a layer when one row goes through a network, nested models and layers within layers opened.

    Args:
        network: A built Keras model.
        shapes: Those of the inputs of the data by name, where the network leaves them open.
    """
    found: list[Call] = []
    graph = _graph(network)
    if graph is None:
        given = {name: keras.KerasTensor((1, *shape), "float32", name=name) for name, shape in shapes.items()}
        alone = next(iter(given.values())) if len(given) == 1 else given
        _opened(network, tuple(map(_tensor, given.values())), [], lambda: [alone], found)
        return found
    alone = next(iter(shapes.values())) if len(graph.inputs) == len(shapes) == 1 else ()
    entries = [_tensor(entry, shapes.get(entry.name, alone)) for entry in graph.inputs]
    _walk(graph, entries, found)
    return found


def _graph(model: Any) -> Any:
    """The graph of a functional or sequential model; None for anything else."""
    if isinstance(model, keras.Sequential):
        model = model._functional  # noqa: SLF001  # Keras shows the calls of a model in no public way
    return model if hasattr(model, "_nodes_by_depth") else None


def _tensor(given: Any, shape: tuple[int, ...] = ()) -> Tensor:
    """A symbolic tensor of Keras; sides that it leaves open are taken from ``shape``, or are one."""
    sides = tuple(given.shape[1:])
    known = shape if len(shape) == len(sides) else (1,) * len(sides)
    return Tensor(
        tuple(int(known[i] if side is None else side) for i, side in enumerate(sides)),
        keras.backend.standardize_dtype(given.dtype),
    )


def _walk(graph: Any, entries: Sequence[Tensor], found: list[Call]) -> list[Tensor]:
    """Note the calls of a graph.

    Args:
        graph: A functional model.
        entries: What goes into it.
        found: Takes the calls.

    Returns:
        What comes out of it.
    """
    known = {id(given): tensor for given, tensor in zip(graph.inputs, entries, strict=True)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):  # noqa: SLF001  # see _graph
        for node in graph._nodes_by_depth[depth]:  # noqa: SLF001
            if node.is_input or any(id(given) not in known for given in node.input_tensors):
                continue
            inputs = tuple(known[id(given)] for given in node.input_tensors)
            outputs = _called(node, inputs, found)
            known.update((id(given), tensor) for given, tensor in zip(node.outputs, outputs, strict=True))
    return [known[id(given)] for given in graph.outputs]


def _called(node: Any, inputs: tuple[Tensor, ...], found: list[Call]) -> list[Tensor]:
    """Note one call; what is called may be a whole model."""
    layer = node.operation
    inner = _graph(layer)
    if inner is not None and len(inner.inputs) == len(inputs):
        return _walk(inner, inputs, found)

    def arguments(batch: int | None) -> tuple[Any, Any]:
        given = {
            id(tensor): keras.KerasTensor((batch, *known.shape), tensor.dtype)
            for tensor, known in zip(node.input_tensors, inputs, strict=True)
        }
        filled: tuple[Any, Any] = node.arguments.fill_in(given)
        return filled

    outputs = list(node.outputs)
    recorded = all(
        tuple(tensor.shape[1:]) == known.shape for tensor, known in zip(node.input_tensors, inputs, strict=True)
    )
    if not recorded:  # the model was made for open sides, or is shared by images of several sizes
        positional, named = arguments(None)
        outputs = keras.tree.flatten(layer.compute_output_spec(*positional, **named))
    tensors = [_tensor(output) for output in outputs]
    if _parts(layer):
        _opened(layer, inputs, tensors, lambda: arguments(1)[0], found)
    else:
        found.append(Call(layer, inputs, tuple(tensors), tuple(getattr(layer, "weights", ()))))
    return tensors


def _parts(layer: Any) -> list[Any]:
    """The layers that a layer holds."""
    return list(layer._flatten_layers(include_self=False)) if isinstance(layer, keras.Layer) else []  # noqa: SLF001


def _opened(
    layer: Any,
    inputs: tuple[Tensor, ...],
    outputs: list[Tensor],
    arguments: Callable[[], Any],
    found: list[Call],
) -> None:
    """Note what the layers within a layer, or within a model without a graph, are called with."""
    from keras.src import backend  # what traces a function is public for layers only

    seen: list[tuple[Any, list[Any], list[Any]]] = []
    try:
        with _listening(seen):
            backend.compute_output_spec(layer.call, *arguments())
    except Exception:  # noqa: BLE001  # a user's layer may take no symbolic tensor; then it is one call as it is
        seen = []
    tensors: dict[int, Tensor] = {}
    inner = [
        Call(
            part, tuple(_traced(x, tensors) for x in given), tuple(_traced(x, tensors) for x in made), (*part.weights,)
        )
        for part, given, made in seen
        if part is not layer and not _parts(part)
    ]
    found.extend(inner)
    elsewhere = {id(weight) for call in inner for weight in call.weights}
    own = tuple(weight for weight in layer.weights if id(weight) not in elsewhere)
    found.append(Call(layer, inputs, tuple(outputs), own))


def _traced(given: Any, tensors: dict[int, Tensor]) -> Tensor:
    shape = tuple(int(side or 1) for side in given.shape[1:])
    dtype = keras.backend.standardize_dtype(given.dtype)
    return tensors.setdefault(id(given), Tensor(shape, dtype))


@contextmanager
def _listening(seen: list[tuple[Any, list[Any], list[Any]]]) -> Iterator[None]:
    """Note every call of a layer, with its tensors, which are kept so that no two have one identity."""
    plain = keras.Layer.__call__

    def heard(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = plain(self, *args, **kwargs)
        given = [x for x in keras.tree.flatten((args, kwargs)) if hasattr(x, "shape") and hasattr(x, "dtype")]
        seen.append((self, given, [x for x in keras.tree.flatten(made) if hasattr(x, "shape")]))
        return made

    keras.Layer.__call__ = heard
    try:
        yield
    finally:
        keras.Layer.__call__ = plain
