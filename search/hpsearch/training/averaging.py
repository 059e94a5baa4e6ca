"""One model that answers with the mean of several: the seeds of one recipe, exported together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hpsearch.errands import Average, Averaged
from hpsearch.training.apart import on_tensorflow

__all__ = ["average"]


def average(request: Average) -> Averaged:
    """Write a model of stock Keras layers that holds several and answers with their mean.

    Args:
        request: Which, and where.
    """
    first = request.models[0]
    probes = [_arrays(path.with_suffix(".probe.npz")) for path in request.models]
    given = {name: rows for name, rows in probes[0].items() if name != "outputs"}
    texts = any(rows.dtype.kind == "U" for rows in given.values())
    joined = on_tensorflow if texts and keras.config.backend() != "tensorflow" else lambda make, *all_: make(*all_)
    parameters = joined(_join, list(request.models), request.output)
    # Not what the new model gives, but what it should: whoever loads it compares.
    mean = np.mean([probe["outputs"] for probe in probes], axis=0)
    np.savez(request.output.with_suffix(".probe.npz"), outputs=mean, **given)
    shutil.copyfile(first.with_suffix(".inputs.json"), request.output.with_suffix(".inputs.json"))
    return Averaged(int(parameters))


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _join(paths: list[Path], output: Path) -> int:
    members = [keras.saving.load_model(path, compile=False) for path in paths]
    for place, member in enumerate(members):
        member.name = f"member_{place + 1}"  # layers of one model have different names
    inputs = {x.name: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name) for x in members[0].inputs}
    given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    answers = [member(given, training=False) for member in members]
    model = keras.Model(given, keras.layers.Average(name="mean")(answers), name="mean_of_seeds")
    model.save(output)
    return int(model.count_params())
