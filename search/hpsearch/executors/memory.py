"""What the system says about memory: how much there is for this process, and how often it ended one for want of it.

Linux counts the processes that it killed when memory ran out, for each control group and for the whole machine
(Documentation/admin-guide/cgroup-v2.rst: ``memory.events``; cgroup-v1/memory.rst: ``memory.oom_control``).
"""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["OutOfMemoryKills", "available_memory"]

_ROOT = Path("/")
_UNLIMITED = 1 << 62  # cgroup v1 says "no limit" with the largest number of whole pages


class OutOfMemoryKills:
    """Tells whether a process that was killed was killed for want of memory.

    Each kill that the system counts explains the death of one worker; what was counted before a worker was started
    explains nothing.

    Args:
        root: Where ``proc`` and ``sys`` are looked up.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        self._root = root
        self._explained: dict[Path, int] = {}

    def begin(self, pid: int) -> tuple[Path, int] | None:
        """Look at the count of a process that has just been started.

        Args:
            pid: The process.

        Returns:
            What to give to `explain` when it is dead; None where the system does not say.
        """
        for file in (*_group_files(self._root, pid, "memory.events", "memory.oom_control"), self._root / "proc/vmstat"):
            kills = _kills(file)
            if kills is not None:
                return file, kills
        return None

    def explain(self, begun: tuple[Path, int] | None) -> bool:
        """Whether the system killed one more process for want of memory than is explained by now.

        Args:
            begun: What `begin` gave for the process that was killed.
        """
        if begun is None:
            return False
        file, before = begun
        explained = max(before, self._explained.get(file, 0))
        if (_kills(file) or 0) <= explained:
            return False
        self._explained[file] = explained + 1
        return True


def available_memory(pid: int | str = "self", root: Path = _ROOT) -> int:
    """The most bytes that a process and all others of its control group may have together.

    Args:
        pid: The process.
        root: Where ``proc`` and ``sys`` are looked up.
    """
    limits = [int(psutil.virtual_memory().total)]
    for file in _group_files(root, pid, "memory.max", "memory.limit_in_bytes"):
        # A group has no more than any of those that it is part of.
        for folder in (file.parent, *file.parent.parents):
            said = _read(folder / file.name).strip()
            if said.isdigit() and int(said) < _UNLIMITED:
                limits.append(int(said))
    return min(limits)


def _group_files(root: Path, pid: int | str, second: str, first: str) -> list[Path]:
    """Where a file of a process's memory control group may be: its name in version 2, and in version 1."""
    found = []
    for line in _read(root / "proc" / str(pid) / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        own = path.lstrip("/")
        groups = root / "sys/fs/cgroup"
        # A container may see its own group as the root of the tree, under whatever path the host knows it.
        if not controllers:
            found += [groups / own / second, groups / second]
        elif "memory" in controllers.split(","):
            found += [groups / "memory" / own / first, groups / "memory" / first]
    return found


def _kills(file: Path) -> int | None:
    """The number that a file of lines ``name number`` gives for ``oom_kill``, or None where it gives none."""
    for line in _read(file).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.strip().isdigit():
            return int(number)
    return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
