"""Exported models: what is saved, and what it scores when a process that never built it loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.errands import Score, Scored
from hpsearch.recipe import HyperModel
from hpsearch.training.build import Built, Inputs

__all__ = ["exportable", "save_export", "score_exports", "scores"]


def exportable(built: Built, inputs: Inputs) -> Any:
    """The model to save: from raw pixels to class probabilities, without optimizer, of stock Keras layers.

    Args:
        built: A trained network.
        inputs: What it was built for.
    """
    network = built.network
    if isinstance(built.recipe.model, HyperModel) and built.recipe.model.pixels == "0..1":
        image = keras.Input(inputs.shape, name="image", dtype="float32")
        pixels = keras.layers.Rescaling(1 / inputs.white, name="pixels")(image)
        return keras.Model(image, network(pixels, training=False), name="network")
    network.optimizer = None
    return network


PROBE_IMAGES = 64


def save_export(built: Built, inputs: Inputs, path: Path, images: NDArray[Any]) -> None:
    """Save the model, and beside it what it gives for a few images, so that whoever loads it can compare.

    Args:
        built: A trained network.
        inputs: What it was built for.
        path: The ``.keras`` file to write.
        images: Raw pixels (n, height, width, channels), of which the first few are used.
    """
    model = exportable(built, inputs)
    probe = images[:PROBE_IMAGES]
    np.savez(path.with_suffix(".probe.npz"), images=probe, outputs=_outputs(model, probe))
    model.save(path)


def _outputs(model: Any, images: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(model.predict(images, batch_size=256, verbose=0))


def scores(outputs: NDArray[Any], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, mean cross-entropy and number of correct answers.

    Args:
        outputs: Probabilities or logits (n, classes), or the probability of the second class (n, 1); float.
        labels: Positions in the class names (n,), whole numbers.
    """
    probabilities = _probabilities(outputs.astype("float64"))
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1.0)
    return {"accuracy": correct / len(labels), "loss": float(-np.log(likelihood).mean()), "correct": correct}


def _probabilities(outputs: NDArray[Any]) -> NDArray[Any]:
    if outputs.shape[1] == 1:
        second = outputs if ((outputs >= 0) & (outputs <= 1)).all() else 1 / (1 + np.exp(-outputs))
        return np.concatenate([1 - second, second], axis=1)
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def score_exports(request: Score) -> Scored:
    """Load exported models and score them on the test part of the data.

    Args:
        request: Which models, and which data.
    """
    from hpsearch.data.loading import load_test_part
    from hpsearch.spacefile import load_space

    space = load_space(request.space_file, module_path=request.imports)
    part = load_test_part(space.declaration, data_dir=request.data_dir, skip_bad_images=request.skip_bad_images)
    found: list[dict[str, float]] = []
    difference = 0.0
    for path in request.models:
        model = keras.models.load_model(path, compile=False)
        with np.load(path.with_suffix(".probe.npz")) as probe:
            now = _outputs(model, probe["images"])
            difference = max(difference, float(np.abs(now - probe["outputs"]).max()))
        found.append(scores(_outputs(model, part.images), part.labels))
    return Scored(len(part.labels), tuple(found), difference)
