"""Exported models: what is saved, and what is said beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hpsearch.data.declarations import Data, ImageFolder
from hpsearch.data.encoding import Encoding
from hpsearch.data.parts import Part
from hpsearch.data.tables import TABLE, Table
from hpsearch.recipe import HyperModel, Model
from hpsearch.training.build import Built
from hpsearch.training.feeding import served
from hpsearch.training.inputs import Inputs, fed
from hpsearch.training.mirrored import both_ways
from hpsearch.training.preprocessing import exported_names, save_joined

__all__ = ["Source", "exportable", "save_export"]

PROBE_ROWS = 64
_TEXTS = 'tf.constant([["one"], ["another"]]), a tensor of TensorFlow; Keras takes no texts of NumPy'


@dataclass(frozen=True)
class Source:
    """What a network was trained on.

    Args:
        declaration: The data as declared.
        inputs: What the network was built for.
        encoding: How the columns of a table become its vector, or None without a table.
        class_names: The classes; none where amounts are told.
        data_dir: Where the data was looked for first.
        subset: How many training rows were asked for, or None for all.
        metrics: What is measured besides loss and accuracy.
    """

    declaration: Data
    inputs: Inputs
    encoding: Encoding | None
    class_names: tuple[str, ...]
    data_dir: Path | None = None
    subset: int | None = None
    metrics: tuple[str, ...] = ()


def exportable(built: Built, inputs: Inputs) -> Any:
    """The network to save: from raw pixels and encoded tables to answers, uncompiled, of stock Keras layers.

    Args:
        built: A trained network.
        inputs: What it was built for.
    """
    network, model = built.network, built.recipe.model
    named = {given.name for given in getattr(network, "inputs", None) or ()}
    if isinstance(model, HyperModel) and (
        model.pixels == "0..1" or TABLE in inputs.features or named - {*inputs.features}
    ):
        raw = {x.name: keras.Input(x.shape[1:], name=x.name, dtype=x.dtype) for x in _entries(network, inputs)}
        scaled = {name: _from_raw(x, inputs.white, model.pixels) for name, x in raw.items()}
        if len(raw) == 1:
            return keras.Model(*raw.values(), network(*scaled.values(), training=False), name="network")
        return keras.Model(raw, network(scaled, training=False), name="network")
    network.optimizer = None
    if not isinstance(model, Model):
        return network
    # The same layers: what a network is compiled with would be saved with it, and may be ours.
    given = {x.name: x for x in network.inputs} if len(network.inputs) > 1 else network.inputs[0]
    plain = keras.Model(given, network.outputs[0], name=network.name)
    return both_ways(plain) if built.mirrored else plain


def _entries(network: Any, inputs: Inputs) -> list[Any]:
    """The inputs of a network that a user built; one of no name of ours is the only one of the data."""
    entries = list(getattr(network, "inputs", None) or ())
    if len(entries) > 1:
        return entries
    if entries and entries[0].name in inputs.features:
        return [keras.KerasTensor((None, *inputs.features[entries[0].name]), "float32", name=entries[0].name)]
    name, shape = next(iter(inputs.features.items()))
    return [keras.KerasTensor((None, *shape), "float32", name=name)]


def _from_raw(x: Any, white: float, pixels: str) -> Any:
    """Pixels from 0 to 1 where a builder wants them; a table as it is."""
    if len(x.shape) != 4 or pixels == "raw":
        return x
    return keras.layers.Rescaling(1 / white, name=f"{x.name}_pixels")(x)


def save_export(built: Built, source: Source, path: Path, part: Part) -> None:
    """Save the model, and beside it what it takes and what it gives for a few rows, so that whoever loads it can tell.

    A network that reads a table is saved behind the layers that make it from its columns. What it gives for a few rows
    is noted without them, so that they are compared, too.

    Args:
        built: A trained network.
        source: What it was trained on.
        path: The ``.keras`` file to write; ``.probe.npz`` and ``.inputs.json`` come beside it.
        part: Raw rows, of which a few are used, from the first to the last.
    """
    network = exportable(built, source.inputs)
    probe = part.take(np.unique(np.linspace(0, len(part) - 1, PROBE_ROWS).astype(np.int64)))
    outputs = np.asarray(network.predict(**served(fed(network, probe), None, 256), verbose=0))
    images = [given.name for given in network.inputs]
    encoding = source.encoding if TABLE in images else None
    called = exported_names(network, encoding)
    if encoding is not None:
        images.remove(TABLE)
    if encoding is not None or any(name != new for name, new in called.items()):
        save_joined(network, encoding, path)
    else:
        network.save(path)
    known = {**probe.inputs, **(probe.columns if encoding is not None else {})}
    rows = {new: known[name][:] for name, new in called.items() if name in known}
    said = {new: name for name, new in called.items()}
    np.savez(
        path.with_suffix(".probe.npz"),
        outputs=outputs,
        names=np.array(json.dumps(said)),
        **{f"inputs/{name}": each for name, each in rows.items()},
    )
    described = _described(source, images, encoding, called)
    path.with_suffix(".inputs.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _described(
    source: Source, images: list[str], encoding: Encoding | None, called: Mapping[str, str]
) -> dict[str, Any]:
    """What an exported model takes and gives."""
    data = source.declaration
    label = data.label if isinstance(data, Table) else "label"
    amount = {"kind": "amount", "name": label}
    return {
        "inputs": [*_columns_described(encoding, called), *_images_described(source, images, called)],
        "answer": {"kind": "classes", "classes": list(source.class_names)} if source.class_names else amount,
        "missing": list(data.missing) if isinstance(data, Table) else [],
        "folder": (data.folder or "") if isinstance(data, Table) else "",
        "from_files": isinstance(data, Table | ImageFolder),
    }


def _columns_described(encoding: Encoding | None, called: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name in encoding.columns if encoding is not None else ():
        said = {"name": called[name], "column": name, "shape": [1]}
        if name in encoding.categories:  # type: ignore[union-attr]  # no columns without one
            known = list(encoding.categories[name])  # type: ignore[union-attr]  # as above
            yield {**said, "kind": "category", "dtype": "string", "missing": "", "categories": known, "give": _TEXTS}
        else:
            yield {**said, "kind": "number", "dtype": "float32", "missing": "NaN"}


def _images_described(source: Source, images: list[str], called: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    data = source.declaration
    columns = data.image_columns if isinstance(data, Table) else {}
    for name in images:
        yield {
            "name": called[name],
            "column": columns.get(name, name),
            "kind": "image",
            "shape": list(source.inputs.features[name]),
            "dtype": "float32",
            "white": source.inputs.white,
            "resized": "bilinear, with antialiasing",
        }
