"""What exported models score when a process that never built them loads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.data.loading import load_test_part
from hpsearch.data.parts import Part
from hpsearch.errands import Score, Scored
from hpsearch.training.apart import on_tensorflow
from hpsearch.training.class_scores import class_scores
from hpsearch.training.inputs import fed

__all__ = ["AT_ONCE", "answers", "changed_by_loading", "probabilities", "score_exports", "scores"]

AT_ONCE = 256
"""So many rows are answered at a time."""


def answers(model: Any, part: Part) -> NDArray[Any]:
    """What an exported model gives.

    Args:
        model: A Keras model.
        part: Raw rows (n).

    Returns:
        Probabilities (n, classes), or (n, 1), or amounts (n, 1).
    """
    given = fed(model, part)
    found = []
    for start in range(0, len(part), AT_ONCE):
        some = keras.tree.map_structure(lambda rows, at=start: _read(rows[at : at + AT_ONCE]), given)
        found.append(np.asarray(model.predict_on_batch(some)))
    return np.concatenate(found)


def _read(rows: Any) -> Any:
    """Rows as Keras takes them; texts as TensorFlow has them."""
    if rows.dtype.kind != "U":
        return rows[:]
    import tensorflow as tf

    return tf.constant(rows)


def scores(outputs: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """Accuracy, mean cross-entropy and number of correct answers; of amounts their errors.

    Args:
        outputs: Probabilities or logits (n, classes), or the probability of the second class (n, 1), or amounts (n, 1);
            float.
        labels: Positions in the class names (n,), whole numbers, or amounts, float.

    Returns:
        ``accuracy``, ``loss`` with its standard error ``loss_error``, ``correct``, and what
        `hpsearch.training.class_scores` finds; of amounts ``mae``, with its standard error ``mae_error``, ``rmse``,
        ``r2`` and the mean squared error as ``loss``.
    """
    if labels.dtype.kind == "f":
        return _errors(outputs.astype("float64").reshape(-1), labels.astype("float64"))
    shares = probabilities(outputs.astype("float64"))
    correct = int((shares.argmax(axis=1) == labels).sum())
    losses = -np.log(np.clip(shares[np.arange(len(labels)), labels], 1e-7, 1.0))
    return {
        "accuracy": correct / len(labels),
        "loss": float(losses.mean()),
        "loss_error": _mean_error(losses),
        "correct": correct,
        **class_scores(shares, labels),
    }


def _errors(told: NDArray[np.float64], amounts: NDArray[np.float64]) -> dict[str, float]:
    off = np.abs(told - amounts)
    square, spread = float((off**2).mean()), float(amounts.var())
    return {
        "mae": float(off.mean()),
        "mae_error": _mean_error(off),
        "rmse": float(np.sqrt(square)),
        "r2": 1 - square / spread if spread else 0.0,
        "loss": square,
    }


def _mean_error(values: NDArray[np.float64]) -> float:
    """The standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def probabilities(outputs: NDArray[Any]) -> NDArray[Any]:
    """What a network gives, as the probability of each class.

    Args:
        outputs: Probabilities or logits (n, classes), or the probability or logit of the second class (n, 1); float64.

    Returns:
        (n, classes).
    """
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
    from hpsearch.spacefile import load_space

    space = load_space(request.space_file, module_path=request.imports)
    part = load_test_part(space.declaration, data_dir=request.data_dir, skip_bad_images=request.skip_bad_images)
    found: list[dict[str, float]] = []
    said: list[NDArray[Any]] = []
    difference = 0.0
    for path in request.models:
        off, (given,) = _loaded(path, [part])
        difference = max(difference, off)
        found.append(scores(given, part.labels))
        given = given if part.labels.dtype.kind == "f" else probabilities(given.astype("float64"))
        said.append(given.astype("float32"))
    labels = part.labels if part.labels.dtype.kind == "f" else part.labels.astype("int64")
    return Scored(len(labels), tuple(found), difference, tuple(said), labels)


def changed_by_loading(path: Path) -> float:
    """The largest difference between what a model gave when it was saved and what it gives when it is loaded.

    Args:
        path: A ``.keras`` file, with its ``.probe.npz`` beside it.
    """
    return _loaded(path, [])[0]


def _loaded(path: Path, parts: list[Part]) -> tuple[float, list[NDArray[Any]]]:
    """How far what a loaded model gives for its probe is from what was noted, and what it gives for some parts."""
    with np.load(path.with_suffix(".probe.npz")) as archive:
        before, probe, names = archive["outputs"], _probe(archive), json.loads(str(archive["names"]))
    parts = [_as_exported(part, names) for part in parts]
    texts = any(rows.dtype.kind == "U" for rows in probe.inputs.values())
    if texts and keras.config.backend() != "tensorflow":
        now, *given = on_tensorflow(_answers_of, path, [probe, *map(_in_memory, parts)])
    else:
        now, *given = _answers_of(path, [probe, *parts])
    return _difference(now, before), given


def _as_exported(part: Part, names: dict[str, str]) -> Part:
    """Raw rows by the names that an exported model has for them."""
    known = {**part.inputs, **part.columns}
    return Part({new: known[name] for new, name in names.items() if name in known} or part.inputs, part.labels)


def _answers_of(path: Path, parts: list[Part]) -> list[NDArray[Any]]:
    model = keras.saving.load_model(path, compile=False)
    return [answers(model, part) for part in parts]


def _in_memory(part: Part) -> Part:
    return Part({name: rows[:] for name, rows in part.inputs.items()}, part.labels)


def _probe(archive: Any) -> Part:
    """The rows that were saved beside a model."""
    names = [name for name in archive.files if name.startswith("inputs/")]
    rows = {name.removeprefix("inputs/"): archive[name] for name in names}
    return Part(rows, np.zeros(len(archive["outputs"])))


def _difference(now: NDArray[Any], before: NDArray[Any]) -> float:
    """The largest difference, of amounts as a share of how large they are."""
    size = max(float(np.abs(before).max()), 1.0)
    return float(np.abs(now - before).max()) / size
