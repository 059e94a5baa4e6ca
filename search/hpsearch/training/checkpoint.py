"""One file with everything that training needs to go on: arrays, and a header in JSON; never a pickle.

At whatever moment the writer is killed, a whole file remains: the new one is written under another name, flushed to
disk, and takes the old one's place only then; the old one stays under a name of its own until the next is whole.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.study.checkpoints import CHECKPOINT, PREVIOUS, checkpoint_files, checkpoint_temporaries

__all__ = [
    "Checkpoint",
    "NoRoomError",
    "clear_temporaries",
    "disk_is_full",
    "read_checkpoints",
    "saved_epochs",
    "write_checkpoint",
]

FORMAT = "hpsearch checkpoint 1"
_HEADER = "header"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class NoRoomError(OSError):
    """A checkpoint does not fit on the disk.

    Args:
        path: The file.
        wanted: Bytes that it needs.
    """

    def __init__(self, path: Path, wanted: int) -> None:
        super().__init__(errno.ENOSPC, "No space left on device", str(path))
        self.path = path
        self.wanted = wanted


@dataclass(frozen=True)
class Checkpoint:
    """A state that training can go on from.

    Args:
        recipe: The hash of the recipe that is trained.
        header: Everything that JSON can say: epochs, step, the state of callbacks and random numbers, the history.
        arrays: Everything else, by name, of any dtype that NumPy or ``ml_dtypes`` knows.
    """

    recipe: str
    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or what a user may use of it, is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside the one there, then let it take its place.

    Args:
        folder: The folder of the trial.
        checkpoint: What to write.

    Raises:
        NoRoomError: The disk is full; what was there is as it was.
        OSError: It cannot be written for another reason.
    """
    path = folder / CHECKPOINT
    temporary = folder / f".{CHECKPOINT}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            _write(file, checkpoint)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.replace(path, folder / PREVIOUS)
        os.replace(temporary, path)
        _flush_folder(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if disk_is_full(error):
            wanted = sum(array.nbytes for array in checkpoint.arrays.values())
            raise NoRoomError(path, wanted) from error
        raise


def clear_temporaries(folder: Path) -> None:
    """Remove what writers that were killed left behind; only while nobody else writes here.

    Args:
        folder: The folder of the trial.
    """
    for path in checkpoint_temporaries(folder):
        with contextlib.suppress(OSError):
            path.unlink()


def read_checkpoints(folder: Path, recipe: str) -> list[Checkpoint]:
    """The checkpoints of a trial that are whole, the newest first; never raises for one that is damaged.

    Args:
        folder: The folder of the trial.
        recipe: The hash of the recipe that is to be trained; those of another do not count.
    """
    found = (_read(path) for path in checkpoint_files(folder))
    return [checkpoint for checkpoint in found if checkpoint is not None and checkpoint.recipe == recipe]


def saved_epochs(folder: Path) -> int | None:
    """How many whole epochs the newest checkpoint of a trial holds that is whole; None where there is none.

    Args:
        folder: The folder of the trial.
    """
    for path in checkpoint_files(folder):
        checkpoint = _read(path)
        if checkpoint is not None:
            return int(checkpoint.header["epochs"])
    return None


def _write(file: Any, checkpoint: Checkpoint) -> None:
    kinds = {name: (array.dtype.name, list(array.shape)) for name, array in checkpoint.arrays.items()}
    header = {"format": FORMAT, "recipe": checkpoint.recipe, "state": checkpoint.header, "arrays": kinds}
    text = np.frombuffer(json.dumps(header).encode(), "uint8")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in [(_HEADER, text), *checkpoint.arrays.items()]:
            # Bytes, because NumPy's own format forgets what bfloat16 is.
            plain = np.ascontiguousarray(array).reshape(-1).view("uint8")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)


def _read(path: Path) -> Checkpoint | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            header = json.loads(archive[_HEADER].tobytes())
            if header["format"] != FORMAT:
                return None
            arrays = {
                name: archive[name].view(_dtype(kind)).reshape(shape)
                for name, (kind, shape) in header["arrays"].items()
            }
        return Checkpoint(header["recipe"], header["state"], arrays)
    except Exception as error:  # noqa: BLE001  # whatever damage does to a file, it is one that cannot be used
        with contextlib.suppress(OSError):  # the log may be on a full disk
            print(f"{path} cannot be used: {type(error).__name__}: {error}", flush=True)  # noqa: T201  # into the log
        return None


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes  # NumPy knows bfloat16 and its like by this package only, which every backend brings

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return found


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
