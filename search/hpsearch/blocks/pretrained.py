"""A trained network, or the first part of one, as the body of another."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from hpsearch.blocks.batchnorm import follow
from hpsearch.blocks.files import content_of, located
from hpsearch.blocks.frozen import freeze, thaw, thaw_conflict
from hpsearch.blocks.resize import INPUT_SIZE, resized
from hpsearch.declare import Choice, Declared, Flag, Maybe, Text, Whole, declared, option
from hpsearch.errors import ModelError, WeightsError, did_you_mean

__all__ = ["Pretrained", "Untrained"]

_LISTED = 12
"""So many names of layers stand in a sentence."""


@declared
class Pretrained(Declared):
    """A trained model from a ``.keras`` file, up to a layer: one that hpsearch saved, or any that Keras did.

    ``hpsearch save TRIAL FILE.keras`` writes the network of a trial as it was trained in the search. What
    ``export-best`` writes was trained on the validation part, too: taken as a branch on the same data, it would be
    judged by rows that it has seen, so it is refused there. Of other files nobody knows what they have seen.

    Branches of one trained network can be taken one by one, as the model is cut behind the layer and before the input
    that belongs to it. Of a model that takes the columns of a table, the part behind the preprocessing is taken, as the
    data preprocesses them already.

    Args:
        path: The file: a path, or a name in the data directory or beside the space file.
        until: The name of the last layer to take; None takes all up to the last dense layer, which is the head.
        frozen: Whether it keeps its weights. Its dropout is then off, and its batch normalisation uses the stored
            statistics.
        unfreeze_last: How many of the last layers of a frozen one learn all the same; batch normalisation among them
            stays as it is.
        input_size: Side in pixels to which images are resized first; None takes them as they are.
        pixels: What it was trained on: ``"raw"``, pixels as the data holds them, which is right for exported models, or
            ``"0..1"``.
    """

    path: str = option(Text("the path of a .keras file"), kw_only=False)
    until: str | None = option(Maybe(Text("the name of a layer")), default=None)
    frozen: bool = option(Flag(), default=True)
    unfreeze_last: int = option(Whole(0), default=0)
    input_size: int | None = option(INPUT_SIZE, default=None)
    pixels: str = option(Choice("raw", "0..1"), default="raw")

    def conflict(self) -> tuple[str, str] | None:
        if not self.path.endswith(".keras"):
            return "path", f'got "{self.path}"; allowed: a .keras file, as model.save("name.keras") writes it.'
        return thaw_conflict(self.frozen, self.unfreeze_last)

    @property
    def by_content(self) -> Pretrained:
        """The same with what is in the file in place of its path, so that one file under two names is one."""
        return type(self)(**{**_options(self), "path": content_of(self.path)})

    @property
    def untrained(self) -> Untrained:
        """The same with random weights."""
        return Untrained(**_options(self))

    def __call__(self, x: Any, prefix: str = "") -> Any:
        """Apply it.

        Args:
            x: A symbolic tensor, float: images (batch, height, width, channels) or a table (batch, columns).
            prefix: What the names of layers begin with.

        Returns:
            What the layer gives, a symbolic tensor, float.

        Raises:
            WeightsError: There is no such file, or Keras cannot load it.
            ModelError: There is no such layer, or it does not fit what it would be given.
        """
        if len(x.shape) == 4:
            x = resized(x, self.input_size, prefix)
        network = self._cut(self._loaded(located(self.path)), x, f"{prefix}pretrained")
        if self.frozen:
            freeze(network, self.unfreeze_last)
        else:
            thaw(network)
            follow(network, None)
        return network(x, training=False if self.frozen else None)

    def _loaded(self, path: Path) -> Any:
        import keras

        try:
            return self._opened(path)
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if not zipfile.is_zipfile(path):
                reason = "it is no .keras file"
            raise WeightsError(f"Keras {keras.__version__} cannot load {path}: {reason}") from error

    def _opened(self, path: Path) -> Any:
        import keras

        return keras.saving.load_model(path, compile=False)

    def _cut(self, model: Any, x: Any, name: str) -> Any:
        """The part of a model that ends with the layer and takes what it would be given."""
        every = list(_within(model))
        if not any(self._target(each) is not None for each in every):
            raise ModelError(self._no_layer([layer.name for each in every for layer in each.layers]), "until")
        for entry, part in self._candidates(model, name, images=len(x.shape) == 4):
            if _fits(entry, x):
                return part
        raise ModelError(self._no_entry(every, x))

    def _candidates(self, model: Any, name: str, *, images: bool) -> Iterator[tuple[Any, Any]]:
        """Inputs of a model, or of one within it, that alone give what is wanted, with the model between them."""
        target = self._target(model)
        if target is not None:
            yield from _parts(model, target, name)
            return
        for inner in _inner(model):
            for entry, part in self._candidates(inner, name, images=images):
                # What a model does to its images before one within it sees them belongs to it; a table is made already.
                yield from _through(model, inner, entry, part, name) if images else ()
                yield entry, part

    def _target(self, model: Any) -> Any:
        """The tensor that a model is cut behind; None where it does not have the layer."""
        from keras import layers

        if not getattr(model, "inputs", None):
            raise ModelError(
                f"{self.path} has no graph of layers to cut; save a functional or sequential model.", "path"
            )
        if self.until is not None:
            return next((_call(model, layer).outputs[0] for layer in model.layers if layer.name == self.until), None)
        dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
        return _call(model, dense[-1]).input_tensors[0] if dense else None if _inner(model) else model.outputs[0]

    def _no_layer(self, names: list[str]) -> str:
        wanted = self.until or ""
        listed = ", ".join(names[-_LISTED:])
        few = f"The last of its {len(names)} layers are" if len(names) > _LISTED else "Its layers are"
        return f'got "{wanted}", which is no layer of {self.path}.{did_you_mean(wanted, names)} {few} {listed}.'

    def _no_entry(self, models: list[Any], x: Any) -> str:
        """Why what it would be given goes into no input."""
        entries = {entry.name: entry for each in models for entry in each.inputs}
        given = _sides(x)
        said = ", ".join(f"{name} ({_sides(entry)})" for name, entry in entries.items())
        if not any(_fits(entry, x) for entry in entries.values()):
            return f"{self.path} takes {said}, and gets {given}; give it what it was trained on, or set input_size."
        where = "its head" if self.until is None else f'"{self.until}"'
        return f"{where} in {self.path} depends on more than {given}: {said}; name a layer of one branch, until=..."


class Untrained(Pretrained):
    """The same network with random weights, which is enough to measure it."""

    def _opened(self, path: Path) -> Any:
        import keras

        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        config["compile_config"] = None
        return keras.saving.deserialize_keras_object(config)


def _options(block: Pretrained) -> dict[str, Any]:
    return {field.name: getattr(block, field.name) for field in fields(block)}


def _parts(model: Any, target: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Each input of a model that alone gives the target, with the model between them."""
    import keras

    for entry in model.inputs:
        try:
            yield entry, keras.Model(entry, target, name=name)
        except ValueError:  # the target depends on others as well
            continue


def _inner(model: Any) -> list[Any]:
    """The models within a model."""
    import keras

    return [layer for layer in model.layers if isinstance(layer, keras.Model)]


def _within(model: Any) -> Iterator[Any]:
    """A model, the models within it, and those within them."""
    yield model
    for inner in _inner(model):
        yield from _within(inner)


def _through(model: Any, inner: Any, entry: Any, part: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """A part of a model within another, from an input of the outer one.

    Args:
        model: The outer model.
        inner: The model within it.
        entry: The input of the inner one.
        part: What follows that input.
        name: The name of the result.
    """
    place = next(place for place, each in enumerate(inner.inputs) if each is entry)
    yield from _parts(model, part(_call(model, inner).input_tensors[place]), name)


def _call(model: Any, layer: Any) -> Any:
    """The last call of a layer in the graph of a model."""
    import keras

    graph = model._functional if isinstance(model, keras.Sequential) else model  # noqa: SLF001  # Keras shows calls in no public way
    depths = sorted(graph._nodes_by_depth)  # noqa: SLF001  # see above
    return next(node for depth in depths for node in graph._nodes_by_depth[depth] if node.operation is layer)  # noqa: SLF001


def _fits(entry: Any, x: Any) -> bool:
    """Whether a symbolic tensor has the shape that an input takes."""
    wanted, given = entry.shape[1:], x.shape[1:]
    numbers = str(entry.dtype) != "string"
    return numbers and len(wanted) == len(given) and all(w in (None, g) for w, g in zip(wanted, given, strict=True))


def _sides(tensor: Any) -> str:
    return "x".join("any" if side is None else str(side) for side in tensor.shape[1:])
