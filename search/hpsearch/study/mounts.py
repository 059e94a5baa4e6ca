"""Which file system a folder lies on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["FileSystem", "file_system_of"]


class FileSystem(NamedTuple):
    """A file system, as the machine has it mounted.

    Args:
        kind: Such as ``ext4``, ``nfs4``, ``cifs`` or ``fuse.drive``; ``unknown`` where nobody says.
        mount_point: Where it is mounted; empty where nobody says.
    """

    kind: str = "unknown"
    mount_point: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.mount_point})" if self.mount_point else f"an {self.kind} file system"


def file_system_of(path: Path) -> FileSystem:
    """The file system that a file or folder lies on or is to lie on.

    Args:
        path: The file or folder; it need not exist yet.
    """
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
        place = path.resolve()
    except (OSError, RuntimeError, psutil.Error):  # no /proc; links in a circle
        return FileSystem()
    around = [mount for mount in mounts if mount.fstype and place.is_relative_to(mount.mountpoint)]
    # Of several that are mounted on one folder, the last hides the others.
    nearest = max(reversed(around), key=lambda mount: len(mount.mountpoint), default=None)
    return FileSystem(nearest.fstype, nearest.mountpoint) if nearest else FileSystem()
