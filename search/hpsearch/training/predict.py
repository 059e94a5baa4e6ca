"""Answers of an exported model for rows of a CSV file, or for photos; without hpsearch, which it was made with.

    python predict.py rows.csv          columns as in the file that was trained on; the label may be left out
    python predict.py a.jpg b.jpg       for a model that looks at one photo

What is printed is a CSV again: the line of the row or the photo, the answer, and for classes the probability of each.
`predict(rows, folder)` and `predict_photos(paths)` do the same from Python. The model, ``model.keras``, and its
description, ``inputs.json``, lie beside this file. Who calls the model without them gives each input by its name there,
a row an example: numbers as float32 (n, 1), NaN where one is missing; texts as ``tf.constant([["one"], [""]])``, since
Keras takes no texts of NumPy, empty where one is missing; photos as float32 (n, height, width, channels), raw pixels.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main", "predict", "predict_photos"]

HERE = Path(__file__).resolve().parent
AT_ONCE = 256


def predict(rows: Sequence[dict[str, str]], folder: str | Path = ".") -> np.ndarray:
    """Answers for rows of a table.

    Args:
        rows: The cells of each row by the name of their column, as texts; empty or left out where one is missing.
        folder: What the file names of photos are relative to.

    Returns:
        Probabilities (n, classes), or amounts (n,).
    """
    said = _said()
    cells = [{name: (cell or "").strip() for name, cell in row.items() if name} for row in rows]

    def given(some: slice) -> dict[str, np.ndarray]:
        return {x["name"]: _column(x, cells[some], Path(folder), said) for x in said["inputs"]}

    return _answers(len(cells), given)


def predict_photos(paths: Sequence[str | Path]) -> np.ndarray:
    """Answers for photos, of a model that looks at one.

    Args:
        paths: The files.

    Returns:
        Probabilities (n, classes), or amounts (n,).
    """
    (x,) = _said()["inputs"]
    files = [Path(path) for path in paths]
    return _answers(len(files), lambda some: {x["name"]: np.stack([_photo(path, x) for path in files[some]])})


def _answers(count: int, given: Callable[[slice], dict[str, np.ndarray]]) -> np.ndarray:
    model = _model()
    found = []
    for start in range(0, count, AT_ONCE):
        inputs = {name: _as_tensor(values) for name, values in given(slice(start, start + AT_ONCE)).items()}
        found.append(np.asarray(model.predict_on_batch(inputs if len(inputs) > 1 else next(iter(inputs.values())))))
    answers = np.concatenate(found)
    if _said()["answer"]["kind"] == "amount":
        return answers[:, 0]
    return np.concatenate([1 - answers, answers], axis=1) if answers.shape[1] == 1 else answers


def _model() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    texts = any(x["kind"] == "category" for x in _said()["inputs"])
    if texts:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # which alone looks up texts, whatever else Keras can run on
    import keras

    if texts and keras.config.backend() != "tensorflow":
        raise RuntimeError("Texts are looked up by TensorFlow; set KERAS_BACKEND=tensorflow before Keras is imported.")
    return keras.saving.load_model(HERE / "model.keras", compile=False)


def _said() -> Any:
    return json.loads((HERE / "inputs.json").read_text(encoding="utf-8"))


def _as_tensor(values: np.ndarray) -> Any:
    """Texts as TensorFlow has them; NumPy's are not taken by Keras."""
    if values.dtype.kind != "U":
        return values
    import tensorflow as tf

    return tf.constant(values)


def _column(x: Any, cells: Sequence[dict[str, str]], folder: Path, said: Any) -> np.ndarray:
    """One input of some rows."""
    values = [row.get(x["column"], "") for row in cells]
    if x["kind"] == "image":
        return np.stack([_photo(folder / said["folder"] / name, x) for name in values])
    values = ["" if value in said["missing"] else value for value in values]
    if x["kind"] == "category":
        return np.array(values, dtype=np.str_)[:, None]
    return np.array([float(value) if value else np.nan for value in values], dtype=np.float32)[:, None]


def _photo(path: Path, x: Any) -> np.ndarray:
    """A photo (height, width, channels), brought to size as it was for training."""
    from PIL import Image

    height, width, channels = x["shape"]
    with Image.open(path) as opened:
        image: Image.Image = opened
        if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to white
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        pixels = image.convert("RGB" if channels == 3 else "L").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(pixels, dtype=np.float32).reshape(height, width, channels)


def main(arguments: Sequence[str]) -> None:
    """Print answers for what the command line names.

    Args:
        arguments: A CSV file, or photos.
    """
    if not arguments:
        raise SystemExit("Say which rows: python predict.py rows.csv, or for photos: python predict.py a.jpg b.jpg")
    first = Path(arguments[0])
    if first.suffix.lower() in (".csv", ".tsv", ".txt"):
        with open(first, encoding="utf-8-sig", newline="") as file:
            separator = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
            lines, rows = [], []
            for row in reader:
                lines.append(str(reader.line_num))
                rows.append(row)
        answers = predict(rows, first.parent)
    else:
        lines, answers = list(arguments), predict_photos(arguments)
    _print(lines, answers)


def _print(lines: Sequence[str], answers: np.ndarray) -> None:
    answer = _said()["answer"]
    out = csv.writer(sys.stdout, lineterminator="\n")
    if answer["kind"] == "amount":
        out.writerow(["of", answer["name"]])
        out.writerows([line, f"{value:g}"] for line, value in zip(lines, answers.tolist(), strict=True))
        return
    classes = answer["classes"]
    out.writerow(["of", "answer", *classes])
    for line, shares in zip(lines, answers.tolist(), strict=True):
        out.writerow([line, classes[int(np.argmax(shares))], *(f"{share:.4f}" for share in shares)])


if __name__ == "__main__":
    main(sys.argv[1:])
