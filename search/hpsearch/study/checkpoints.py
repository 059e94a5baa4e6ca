"""Where the checkpoints of a trial lie: names only, so that whoever clears up needs nothing that reads them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CHECKPOINT", "PREVIOUS", "checkpoint_files", "checkpoint_temporaries"]

CHECKPOINT = "checkpoint.npz"
"""The last state that training can go on from."""

PREVIOUS = "checkpoint.previous.npz"
"""The one before it, kept until the next one is whole."""


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a trial, the newest first; those that are there.

    Args:
        folder: The folder of the trial.
    """
    return [path for path in (folder / CHECKPOINT, folder / PREVIOUS) if path.is_file()]


def checkpoint_temporaries(folder: Path) -> list[Path]:
    """What writers that were killed left behind.

    Args:
        folder: The folder of the trial.
    """
    return sorted(folder.glob(f".{CHECKPOINT}.*.tmp"))
