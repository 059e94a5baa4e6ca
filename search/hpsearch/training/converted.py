"""An exported file in its own runtime: whether it gives what the Keras model gave, on real rows.

``python -m hpsearch.training.converted FORMAT FILE PROBE`` prints a line of JSON with the largest difference. Keras is
only imported where the format is Keras's own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.training.precision import tolerance_of

__all__ = ["answers_of", "largest_difference", "main", "plain_name"]

Rows = Mapping[str, NDArray[Any]]


def main(arguments: Sequence[str]) -> None:
    """Compare what a file gives with what was noted beside it.

    Args:
        arguments: The format, the file, and the ``.npz`` file with rows and answers.
    """
    kind, path, probe = arguments
    with np.load(probe) as archive:
        wanted = archive["outputs"]
        rows = {name.removeprefix("inputs/"): archive[name] for name in archive.files if name.startswith("inputs/")}
    found = answers_of(kind, Path(path), rows)
    said: dict[str, Any] = {"difference": largest_difference(found, wanted), "rows": len(wanted)}
    if kind == "keras":
        said["tolerance"] = tolerance_of(_loaded(Path(path)))
    print(f"\n{_MARK}{json.dumps(said)}", flush=True)  # noqa: T201  # that is the answer


_MARK = "hpsearch format "


def answers_of(kind: str, path: Path, rows: Rows) -> NDArray[Any]:
    """What an exported file gives.

    Args:
        kind: ``keras``, ``tf_saved_model``, ``onnx``, ``litert`` or ``openvino``.
        path: The file or folder.
        rows: The inputs by name (n, ...): numbers of any type, or texts.

    Returns:
        (n, outputs), float.
    """
    given = {name: each if each.dtype.kind == "U" else each.astype(np.float32) for name, each in rows.items()}
    return np.asarray(_RUNTIMES[kind](path, given), dtype=np.float64)


def largest_difference(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest difference of answers, of amounts as a share of how large they are; infinite where there are none.

    Args:
        found: (n, outputs).
        wanted: (n, outputs).
    """
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    size = max(float(np.abs(wanted).max()), 1.0)
    return float(np.abs(found - wanted).max()) / size


@cache
def _loaded(path: Path) -> Any:
    import keras

    return keras.saving.load_model(path, compile=False)


def _keras(path: Path, rows: Rows) -> Any:
    given = {name: _tensor(each) for name, each in rows.items()}
    return _loaded(path).predict_on_batch(given if len(given) > 1 else next(iter(given.values())))


def _tensor(rows: NDArray[Any]) -> Any:
    if rows.dtype.kind != "U":
        return rows
    import tensorflow as tf

    return tf.constant(rows)


def _saved_model(path: Path, rows: Rows) -> Any:
    import tensorflow as tf

    given = {plain_name(name): tf.constant(each) for name, each in rows.items()}
    loaded = tf.saved_model.load(str(path))
    return loaded.serve(given if len(given) > 1 else next(iter(given.values())))


def _onnx(path: Path, rows: Rows) -> Any:
    import onnxruntime  # type: ignore[import-not-found,unused-ignore]  # an extra

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, _by_name([entry.name for entry in session.get_inputs()], rows))[0]


def _litert(path: Path, rows: Rows) -> Any:
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found,unused-ignore]  # an extra

    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    names = list(runner.get_input_details())
    count = len(next(iter(rows.values())))
    found = []
    for row in range(count):  # row by row, as on a phone
        given = _by_name(names, {name: each[row : row + 1] for name, each in rows.items()})
        found.append(next(iter(runner(**given).values())))
    return np.concatenate(found)


def _openvino(path: Path, rows: Rows) -> Any:
    import openvino  # type: ignore[import-not-found,unused-ignore]  # an extra

    file = path / "model.xml" if path.is_dir() else path
    # On a CPU that has them, it calculates with 16 bits unless told; that says nothing about the file.
    model = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = {entry.get_any_name() if entry.get_names() else f"input_{i}": i for i, entry in enumerate(model.inputs)}
    given = _by_name(list(names), rows)
    return model({names[name]: each for name, each in given.items()})[0]


_RUNTIMES: dict[str, Callable[[Path, Rows], Any]] = {
    "keras": _keras,
    "tf_saved_model": _saved_model,
    "onnx": _onnx,
    "litert": _litert,
    "openvino": _openvino,
}


def _by_name(names: Sequence[str], rows: Rows) -> dict[str, Any]:
    """Rows by the names that a file has for them: exporters write some characters in another way."""
    if len(names) == 1:
        return {names[0]: next(iter(rows.values()))}
    known = {plain_name(name).lower(): each for name, each in rows.items()}
    return {name: known[plain_name(name.split(":")[0]).lower()] for name in names}


def plain_name(name: str) -> str:
    """The name of an input as every format can say it: letters, digits and underscores.

    Args:
        name: Any name.
    """
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{plain}" if plain[:1].isdigit() else plain


if __name__ == "__main__":
    main(sys.argv[1:])
