"""Writing files so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["append_text", "in_place", "put_text", "read_json", "write_json", "write_text"]

_LINKS = 40
"""So many links may lead to each other, as the system has it."""


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write, flush to disk, then rename over the old file.

    Args:
        path: The file; its folder must exist.
        text: The new content.
        sync: Whether it must be on the disk when this returns, and not only safe from a kill of the process.

    Raises:
        OSError: It could not be written, as on a full disk; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def put_text(path: Path, text: str) -> None:
    """Write to where a user says, which may be no regular file: devices, pipes and links stay what they are.

    Args:
        path: The file, which is replaced as `write_text` does it; folders that it lies in are made. Where it is a link,
            what that leads to is meant; a device, a pipe and an open file such as ``/dev/stdout`` take the text.
        text: The content.

    Raises:
        OSError: It could not be written.
    """
    if in_place(path):
        with open(path, "a", encoding="utf-8") as file:  # after what an open file holds already
            file.write(text)
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text, sync=False)


def in_place(path: Path) -> bool:
    """Whether a text goes into what is there, because that is no file of a folder.

    Args:
        path: A file, or what a user says instead of one.
    """
    if path.exists() and not path.is_file():
        return True
    for _ in range(_LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        if path.is_relative_to("/proc"):  # an open file, which others go on to write to
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def write_json(path: Path, value: Any, *, sync: bool = True) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        path: The file; its folder must exist.
        value: What JSON knows; not-a-number and infinities are not allowed.
        sync: Whether it must be on the disk when this returns.

    Raises:
        OSError: It could not be written; the old file is as it was.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n", sync=sync)


def append_text(path: Path, text: str) -> None:
    """Add lines to the end of a file, all or none; the part of a line that a kill left there goes first.

    Args:
        path: The file; made when it is missing.
        text: Whole lines, each with its end.

    Raises:
        OSError: It could not be written, as on a full disk; the file holds the lines it held.
    """
    # Without a buffer, whose rest would be written when the file is closed, after what was written is taken back.
    with open(path, "ab+", buffering=0) as file:
        file.seek(0)
        before = file.read()
        kept = before.rfind(b"\n") + 1
        if kept < len(before):
            file.truncate(kept)
        data = text.encode("utf-8")
        try:
            written = file.write(data)
            while written < len(data):  # a disk that fills up takes a part first and says so at the next attempt
                written += file.write(data[written:])
        except OSError:
            file.truncate(kept)
            raise


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))
