"""What a trained trial answers on the validation part, from its checkpoint, and pictures of its mistakes."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.data.declarations import Data
from hpsearch.data.listing import validation_names
from hpsearch.data.loading import SearchData
from hpsearch.data.parts import Part
from hpsearch.errands import Look, Looked
from hpsearch.errors import DataError, RunError, StudyError
from hpsearch.study.checkpoints import CHECKPOINT, checkpoint_files
from hpsearch.study.trial import Epoch
from hpsearch.training.build import Built
from hpsearch.training.checkpoint import read_checkpoints
from hpsearch.training.fit import encoded, fit
from hpsearch.training.inputs import Inputs
from hpsearch.training.saving import Saving
from hpsearch.training.scoring import probabilities
from hpsearch.training.watch import Leaving, Verdict, Watch

__all__ = ["look", "mistakes"]

AT_ONCE = 256
SMALL = 32
"""Pixels: pictures up to this size are shown as they are, larger ones are brought down to `LARGE`."""
LARGE = 96


def look(request: Look, declared: Data, data: SearchData, inputs: Inputs, rebuild: Callable[[], Built]) -> Looked:
    """Have a trained trial answer the validation part.

    Args:
        request: Which trial, and where to write.
        declared: The declaration of the data.
        data: The data of the study.
        inputs: What its networks are built for.
        rebuild: Builds the network of the trial.

    Raises:
        StudyError: The data is not what the study searched on.
        RunError: There is no checkpoint that fits.
    """
    if data.fingerprint != request.data_fingerprint:
        raise StudyError("the data is not what the study searched on.")
    part = data.validation
    if request.outputs is not None:
        with np.load(request.outputs, allow_pickle=False) as archive:
            given = archive["predictions"]
        if len(given) != len(part):
            raise StudyError(f"{request.outputs} holds {len(given)} answers for {len(part)} rows.")
    else:
        built = rebuild()
        _restore(built, request, data, inputs)
        given = _answers(built, part, inputs)
    if part.labels.dtype.kind != "f":
        given = probabilities(given.astype("float64"))
    worst = mistakes(given, part.labels)[: request.most]
    pictures = _pictures(part, worst, inputs.white)
    arrays = {
        "predictions": given.astype("float32"),
        "labels": part.labels,
        "mistakes": worst,
        "names": _names(declared, data, request, worst),
        "sizes": np.array([len(picture) for picture in pictures], dtype="int64"),
        "pictures": np.frombuffer(b"".join(pictures), dtype="uint8"),
    }
    _write(request.output, arrays)
    return Looked(len(part), int(arrays["names"].size))


def _names(declared: Data, data: SearchData, request: Look, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """What a person finds some rows by; none where nothing is known, or where the files have changed meanwhile."""
    setup = request.setup
    try:
        names = validation_names(declared, data_dir=setup.data_dir, subset=setup.subset, skipped=data.skipped)
    except DataError:
        names = ()
    if len(names) != len(data.validation):
        return np.array([], dtype=np.str_)
    # A name that is not text in UTF-8 could not be written into a page.
    return np.array([names[row].encode("utf-8", "backslashreplace").decode() for row in rows], dtype=np.str_)


def mistakes(outputs: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """The rows that were answered wrongly, those first that were answered with the most confidence.

    Args:
        outputs: Probabilities (n, classes), or amounts (n, 1).
        labels: Positions in the class names (n,), whole numbers, or amounts, float.

    Returns:
        Positions; of amounts all of them, those first that were missed by the most.
    """
    if labels.dtype.kind == "f":
        off = np.abs(outputs.reshape(-1).astype("float64") - labels)
        return np.argsort(-off, kind="stable")
    said = outputs.argmax(axis=1)
    wrong = np.flatnonzero(said != labels)
    return np.asarray(wrong[np.argsort(-outputs[wrong, said[wrong]], kind="stable")])


class _Restoring(Watch):
    """Ends training as soon as it has taken up the checkpoint, before it changes anything."""

    def __init__(self) -> None:
        self.there = False

    def continued(self, history: Sequence[Epoch], own: bool) -> Verdict:
        self.there = True
        return "halt"

    def epoch(self, epoch: Epoch, checkpoint: bool) -> Verdict:
        return "leave"

    def step(self, epoch: int, step: int, steps: int | None) -> bool:
        return not self.there and steps is not None


def _restore(built: Built, request: Look, data: SearchData, inputs: Inputs) -> None:
    """Give the network the weights of the best epoch, by the way that training itself goes on from a checkpoint."""
    if not read_checkpoints(request.folder, request.hash):
        raise RunError(f"there is no whole checkpoint of trial {request.name}.")
    watch = _Restoring()
    with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
        # Training clears up where it saves: a folder of its own, in which the checkpoint is only read.
        (Path(folder) / CHECKPOINT).symlink_to(checkpoint_files(request.folder)[0].resolve())
        try:
            fit(
                built,
                data.train,
                data.validation,
                inputs,
                metric=request.metric,
                maximize=True,
                seed=0,
                watch=watch,
                saving=Saving(Path(folder), request.hash),
                epochs=request.epochs or None,
            )
        except Leaving:
            watch.there = False
    if not watch.there:
        raise RunError(f"the checkpoint of trial {request.name} does not fit its network any more.")


def _answers(built: Built, part: Part, inputs: Inputs) -> NDArray[Any]:
    x, _ = encoded(built, part, inputs)
    found = []
    for start in range(0, len(part), AT_ONCE):
        some = keras.tree.map_structure(lambda rows, at=start: rows[at : at + AT_ONCE], x)
        found.append(keras.ops.convert_to_numpy(built.answering.predict_on_batch(some)))
    return np.concatenate(found)


def _pictures(part: Part, rows: NDArray[np.int64], white: float) -> list[bytes]:
    """The first image of some rows, each as the bytes of a small picture; none where there are no images."""
    from PIL import Image

    images = next((each for each in part.inputs.values() if len(each.shape) == 4), None)
    if images is None:
        return []
    found = []
    for pixels in np.asarray(images[rows]):
        scaled = np.clip(pixels.astype("float32") * (255 / white), 0, 255).astype("uint8")
        picture = Image.fromarray(scaled[..., 0] if scaled.shape[-1] == 1 else scaled)
        small = max(picture.size) <= SMALL
        if not small:
            picture.thumbnail((LARGE, LARGE))
        file = io.BytesIO()
        picture.save(file, **({"format": "PNG"} if small else {"format": "JPEG", "quality": 80}))
        found.append(file.getvalue())
    return found


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take the names for other options
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
