"""When checkpoints are written and which are read; what is in them is `hpsearch.training.course`'s."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpsearch.study.checkpoints import checkpoint_files
from hpsearch.training.checkpoint import (
    Checkpoint,
    NoRoomError,
    clear_temporaries,
    read_checkpoints,
    write_checkpoint,
)
from hpsearch.training.watch import Leaving, Watch

__all__ = ["Keeper", "Saving"]


@dataclass(frozen=True)
class Saving:
    """Where checkpoints are written, and how often.

    Args:
        folder: The folder of the trial.
        recipe: The hash of its recipe.
        every: Seconds that must have passed since the last checkpoint; 0 writes one after every epoch.
        parent: The folder of the trial from whose checkpoint this one goes on while it has none of its own, or None.
    """

    folder: Path
    recipe: str
    every: float = 0.0
    parent: Path | None = None


class Keeper:
    """Reads and writes the checkpoints of one trial.

    Args:
        saving: Where, and how often.
        watch: Who says what to do while the disk is full.
    """

    def __init__(self, saving: Saving, watch: Watch) -> None:
        self.saving = saving
        self.watch = watch
        self.on_disk: tuple[int, int] | None = None
        """Whole epochs, and steps of the next one, that the last checkpoint of this trial holds."""
        self.unwritten: Checkpoint | None = None
        """What would be written if training stopped now, where that cannot be made out any more."""
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._written >= self.saving.every

    @property
    def epochs_on_disk(self) -> int | None:
        """How many whole epochs the last checkpoint of this trial holds; None where there is none."""
        return self.on_disk[0] if self.on_disk is not None else None

    def candidates(self) -> Iterator[tuple[Checkpoint, bool]]:
        """Checkpoints to go on from, the best first, and whether they are this trial's own and not its parent's."""
        clear_temporaries(self.saving.folder)
        for folder in (self.saving.folder, self.saving.parent):
            if folder is not None:
                for checkpoint in read_checkpoints(folder, self.saving.recipe):
                    yield checkpoint, folder == self.saving.folder

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; while the disk is full, whoever watches says whether to try again.

        Raises:
            Leaving: There is no room, and they stop training.
        """
        while True:
            try:
                write_checkpoint(self.saving.folder, checkpoint)
                break
            except NoRoomError as error:
                if not self.watch.no_room(error):
                    raise Leaving(self.epochs_on_disk) from error
        self.on_disk = checkpoint.header["epochs"], checkpoint.header["step"]
        self.unwritten = None
        self._written = time.monotonic()

    def discard(self) -> None:
        """Remove the checkpoints of this trial."""
        for path in checkpoint_files(self.saving.folder):
            path.unlink(missing_ok=True)
