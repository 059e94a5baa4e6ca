"""Answers of an exported model for photos, or for rows of a CSV file; without hpsearch, which it was made with.

    python predict.py photo.jpg folder      photos, and all photos of folders, of any size
    python predict.py rows.csv              columns as in the file that was trained on; the label may be left out

What is printed is a CSV again: the photo or the line of the row, the answer, and for classes the probability of each;
``--top 3`` prints the likeliest classes, ``--json`` prints JSON. What cannot be read is said in a sentence, the others
go on, and the exit code is 1. `predict(rows, folder)` and `predict_photos(paths)` do the same from Python. The model,
``model.keras``, and its description, ``inputs.json``, lie beside this file, or in the folder of ``--export``.

Who calls the model without them gives each input by its name in ``inputs.json``, a row an example: numbers as float32
(n, 1), NaN where one is missing; texts as ``tf.constant([["one"], [""]])``, since Keras takes no texts of NumPy, empty
where one is missing; photos as float32 (n, height, width, channels), raw pixels.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Export", "main", "predict", "predict_photos"]

HERE = Path(__file__).resolve().parent
AT_ONCE = 64
PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
TABLES = (".csv", ".tsv", ".txt")

Cells = dict[str, str]


class Export:
    """An exported model and what it says of itself.

    Args:
        folder: Where ``model.keras`` and ``inputs.json`` are.
    """

    def __init__(self, folder: Path = HERE) -> None:
        for name in ("inputs.json", "model.keras"):
            if not (folder / name).is_file():
                raise SystemExit(f"Error: {folder} has no {name}; name the folder that hpsearch export-best wrote.")
        self.folder = folder
        self.said = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
        self.inputs = self.said["inputs"]
        self._model: Any = None

    @property
    def photo(self) -> Any:
        """The only input, if it is a photo; else None."""
        return self.inputs[0] if len(self.inputs) == 1 and self.inputs[0]["kind"] == "image" else None

    def answers(self, given: dict[str, Any]) -> np.ndarray:
        """What the model gives.

        Args:
            given: The inputs by name (n, ...).

        Returns:
            Probabilities (n, classes), or amounts (n,).
        """
        import numpy as np

        model = self._loaded()
        tensors = {name: _as_tensor(values) for name, values in given.items()}
        alone = next(iter(tensors.values()))
        found = np.asarray(_numpy(model.predict_on_batch(tensors if len(tensors) > 1 else alone)))
        amounts = self.said["answer"]["kind"] == "amount"
        answers: np.ndarray = found[:, 0] if amounts else _probabilities(found.astype("float64"))
        return answers

    def _loaded(self) -> Any:
        if self._model is None:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            texts = any(each["kind"] == "category" for each in self.inputs)
            if texts:
                os.environ["KERAS_BACKEND"] = "tensorflow"  # which alone looks up texts, whatever else Keras can run on
            import keras

            if texts and keras.config.backend() != "tensorflow":
                raise RuntimeError("Texts need TensorFlow; set KERAS_BACKEND=tensorflow before Keras is imported.")
            self._model = keras.saving.load_model(self.folder / "model.keras", compile=False)
            self._model.jit_compile = False  # it would take longer than some rows do, and not every GPU can
        return self._model

    def of_photos(self, paths: Sequence[Path]) -> Iterator[tuple[str, Any]]:
        """Each photo with its answer, or with the sentence that says why there is none.

        Args:
            paths: The files.
        """
        import numpy as np

        x = self.photo
        for start in range(0, len(paths), AT_ONCE):
            some = paths[start : start + AT_ONCE]
            read = [_tried(_photo, path, x) for path in some]
            good = [pixels for pixels in read if not isinstance(pixels, str)]
            answers = iter(self.answers({x["name"]: np.stack(good)})) if good else iter(())
            for path, pixels in zip(some, read, strict=True):
                yield str(path), pixels if isinstance(pixels, str) else next(answers)

    def of_rows(self, rows: Sequence[tuple[str, Cells]], folder: Path) -> Iterator[tuple[str, Any]]:
        """Each row with its answer, or with the sentence that says why there is none.

        Args:
            rows: What to call each row, and its cells by the name of their column.
            folder: What the file names of photos are relative to.
        """
        import numpy as np

        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            read = [_tried(self._row, cells, folder) for _, cells in some]
            good = [values for values in read if not isinstance(values, str)]
            names = [x["name"] for x in self.inputs]
            given = {name: np.stack([values[name] for values in good]) for name in names} if good else {}
            answers = iter(self.answers(given)) if good else iter(())
            for (line, _), values in zip(some, read, strict=True):
                yield line, values if isinstance(values, str) else next(answers)

    def _row(self, cells: Cells, folder: Path) -> dict[str, Any]:
        return {x["name"]: self._cell(x, (cells.get(x["column"]) or "").strip(), folder) for x in self.inputs}

    def _cell(self, x: Any, cell: str, folder: Path) -> Any:
        import numpy as np

        if x["kind"] == "image":
            if not cell:
                raise ValueError(f"the column {x['column']!r} names no photo.")
            pixels = _tried(_photo, folder / self.said["folder"] / cell, x)
            if isinstance(pixels, str):
                raise ValueError(f"column {x['column']!r}: {pixels}")
            return pixels
        cell = "" if cell in self.said["missing"] else cell
        if x["kind"] == "category":
            return np.array([cell], dtype=np.str_)
        try:
            number = float(cell) if cell else math.nan
        except ValueError:
            raise ValueError(f"the column {x['column']!r} holds {cell[:40]!r}, which is no number.") from None
        return np.array([number], dtype=np.float32)


def predict(rows: Sequence[Cells], folder: str | Path = ".") -> np.ndarray:
    """Answers for rows of a table.

    Args:
        rows: The cells of each row by the name of their column, as texts; empty or left out where one is missing.
        folder: What the file names of photos are relative to.

    Returns:
        Probabilities (n, classes), or amounts (n,).
    """
    named = [(f"row {number}", row) for number, row in enumerate(rows, start=1)]
    return _all_good(Export().of_rows(named, Path(folder)))


def predict_photos(paths: Sequence[str | Path]) -> np.ndarray:
    """Answers for photos, of a model that looks at one.

    Args:
        paths: The files.

    Returns:
        Probabilities (n, classes), or amounts (n,).
    """
    return _all_good(Export().of_photos([Path(path) for path in paths]))


def _all_good(found: Iterator[tuple[str, Any]]) -> np.ndarray:
    import numpy as np

    answers = []
    for of, answer in found:
        if isinstance(answer, str):
            raise ValueError(f"{of}: {answer}")
        answers.append(answer)
    return np.stack(answers)


def _tried(read: Any, *given: Any) -> Any:
    """What is read, or the sentence that says why it cannot be."""
    try:
        return read(*given)
    except FileNotFoundError as error:
        return f"there is no file {error.filename}."
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}."
    except ValueError as error:
        return str(error)


def _photo(path: Path, x: Any) -> np.ndarray:
    """A photo (height, width, channels), brought to size, and to the range of pixels, as it was for training."""
    import numpy as np
    from PIL import Image

    height, width, channels = x["shape"]
    try:
        with Image.open(path) as opened:
            image: Image.Image = opened
            if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to white
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            small = image.convert("RGB" if channels == 3 else "L").resize((width, height), Image.Resampling.BILINEAR)
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path.name} is no image that can be read.") from None
    except Exception as error:  # noqa: BLE001  # decoders raise whatever a damaged file leads them into
        raise ValueError(f"{path.name} is no image that can be read ({error}).") from None
    pixels = np.asarray(small, dtype=np.float32).reshape(height, width, channels)
    return pixels if x["white"] == 255 else pixels * (x["white"] / 255)


def _as_tensor(values: Any) -> Any:
    """Texts as TensorFlow has them; NumPy's are not taken by Keras."""
    if values.dtype.kind != "U":
        return values
    import tensorflow as tf

    return tf.constant(values)


def _numpy(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor


def _probabilities(found: Any) -> Any:
    """Probabilities of all classes, of a network that gives those, the second one's alone, or logits."""
    import numpy as np

    if found.shape[1] == 1:
        second = found if ((found >= 0) & (found <= 1)).all() else 1 / (1 + np.exp(-found))
        return np.concatenate([1 - second, second], axis=1)
    if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
        return found
    powers = np.exp(found - found.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main(arguments: Sequence[str]) -> int:
    """Print answers for what the command line names.

    Args:
        arguments: Photos, folders and CSV files, and options.

    Returns:
        1 where something could not be read.
    """
    parser = argparse.ArgumentParser(description="Answers of an exported model for photos, or for rows of a CSV file.")
    parser.add_argument("files", nargs="+", type=Path, help="photos, folders of photos, or CSV files")
    parser.add_argument("--top", type=int, metavar="K", help="print the K likeliest classes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--lines", action="store_true", help=argparse.SUPPRESS)  # a line of JSON for each
    parser.add_argument("--export", type=Path, default=HERE, help="the folder of the model")
    options = parser.parse_args(arguments)
    export = Export(options.export)
    form = "lines" if options.lines else "json" if options.json else "csv"
    printed = _Printed(export.said["answer"], options.top, form)
    for of, answer in _every(export, options.files):
        printed.add(of, answer)
    printed.end()
    return int(printed.failed)


def _every(export: Export, files: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """Everything that is asked for, with its answer or with what is wrong."""
    photos: list[Path] = []
    for path in files:
        if path.suffix.lower() in TABLES and not path.is_dir():
            yield from export.of_photos(photos) if export.photo else ()
            photos = []
            yield from _of_table(export, path, many=len(files) > 1)
        elif export.photo is None:
            columns = ", ".join(x["column"] for x in export.inputs)
            yield str(path), f"this model answers for rows of a CSV file with the columns {columns}."
        elif path.is_dir():
            within = sorted(each for each in path.rglob("*") if each.suffix.lower() in PHOTOS and each.is_file())
            photos += [each for each in within if not each.name.startswith(".")]
            if not within:
                yield str(path), f"the folder holds no photos ({', '.join(suffix[1:] for suffix in PHOTOS)})."
        else:
            photos.append(path)
    yield from export.of_photos(photos) if export.photo else ()


def _of_table(export: Export, path: Path, many: bool) -> Iterator[tuple[str, Any]]:
    """The rows of a CSV file, called by their lines."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            separator = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
            rows = [(f"{path}:{reader.line_num}" if many else str(reader.line_num), row) for row in reader]
            header = [name.strip() for name in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        yield str(path), f"it cannot be read as CSV: {getattr(error, 'strerror', None) or error}."
        return
    missing = [x["column"] for x in export.inputs if x["column"] not in header]
    if missing:
        listed = ", ".join(map(repr, missing))
        yield str(path), f"it has no column {listed}; its columns are {', '.join(header) or 'none'}."
        return
    named = [(line, {name.strip(): cell for name, cell in row.items() if name}) for line, row in rows]
    for of, answer in export.of_rows([each for each in named if any(each[1].values())], path.parent):
        yield of, _Wrong(answer, f"{path}, line {of.rpartition(':')[2]}") if isinstance(answer, str) else answer


class _Wrong(str):
    """A sentence about a row, with the file and line that it is about, for people."""

    def __new__(cls, sentence: str, where: str) -> _Wrong:
        made = super().__new__(cls, sentence)
        made.where = where
        return made

    where: str


class _Printed:
    """Prints answers one by one.

    Args:
        answer: What the model says of its answers.
        top: How many classes to print; None prints all.
        form: ``csv``, ``json`` or ``lines``.
    """

    def __init__(self, answer: Any, top: int | None, form: str) -> None:
        self.amount = answer["kind"] == "amount"
        self.classes = answer.get("classes", [])
        self.top = top
        self.form = form
        self.failed = False
        self.found: list[Any] = []
        self.out = csv.writer(sys.stdout, lineterminator="\n")
        if form == "csv":
            likeliest = [each for n in range(1, (top or 0) + 1) for each in (f"class {n}", f"share {n}")]
            self.out.writerow(["of", *([answer["name"]] if self.amount else likeliest or ["answer", *self.classes])])

    def add(self, of: str, answer: Any) -> None:
        """Print an answer, or what is wrong.

        Args:
            of: The photo or row.
            answer: Probabilities (classes,), an amount, or a sentence.
        """
        wrong = isinstance(answer, str)
        where = {"where": answer.where} if isinstance(answer, _Wrong) else {}
        self.failed = self.failed or wrong
        if self.form != "csv":
            self._json({"of": of, **where, "error": answer} if wrong else {"of": of, **self._said(answer)})
        elif wrong:
            sys.stdout.flush()
            print(f"Error: {where.get('where', of)}: {answer}", file=sys.stderr)  # noqa: T201  # what it is for
        elif self.amount:
            self.out.writerow([of, f"{float(answer):g}"])
        elif self.top:
            pairs = [part for name, share in self._likeliest(answer) for part in (name, f"{share:.4f}")]
            self.out.writerow([of, *pairs])
        else:
            self.out.writerow([of, self._likeliest(answer)[0][0], *(f"{share:.4f}" for share in answer.tolist())])

    def _likeliest(self, answer: Any) -> list[tuple[str, float]]:
        pairs = zip(self.classes, answer.tolist(), strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])[: self.top or None]

    def _said(self, answer: Any) -> dict[str, Any]:
        if self.amount:
            return {"answer": float(answer)}
        likeliest = self._likeliest(answer)
        return {"answer": likeliest[0][0], "probabilities": {name: round(share, 6) for name, share in likeliest}}

    def _json(self, said: dict[str, Any]) -> None:
        if self.form == "lines":
            print(json.dumps(said), flush=True)  # noqa: T201  # what it is for
        else:
            self.found.append(said)

    def end(self) -> None:
        """Print what was kept for the end."""
        if self.form == "json":
            print(json.dumps(self.found, indent=1))  # noqa: T201  # what it is for


if __name__ == "__main__":
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:  # part of TensorFlow's log heeds no setting; Python's messages stay
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.exit(main(sys.argv[1:]))
