"""Asking ``nvidia-smi``, which may hang, fail or say something else; the Makefile runs this file on a bare Python.

So it needs the standard library alone, and imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["PATIENCE", "Answer", "ask", "found_command"]

PATIENCE = 4.0
"""Seconds for an answer; a driver that has to be woken up first takes one or two."""
_WINDOWS = "/usr/lib/wsl/lib/nvidia-smi"


@dataclass(frozen=True)
class Answer:
    """What ``nvidia-smi`` said.

    Args:
        text: What it printed; where one GPU of several is broken it fails, and lists the others all the same.
        problem: Why that is nothing to rely on, in a few words; empty where it ended well, or is not installed.
    """

    text: str = ""
    problem: str = ""


def found_command() -> str | None:
    """Where ``nvidia-smi`` is, also where Windows puts it for its Linux; None where there is none."""
    return shutil.which("nvidia-smi") or shutil.which(_WINDOWS)


def ask(*options: str, anew: bool = False) -> Answer:
    """Ask ``nvidia-smi``; within one process, the same question is asked once.

    Args:
        options: Of its command line.
        anew: Whether an answer from before does not do, as where memory is asked for.
    """
    command = found_command()
    if command is None:
        return Answer()
    asked = _asked.__wrapped__ if anew else _asked
    return asked(command, Path(command).stat().st_mtime_ns, options)


@lru_cache
def _asked(command: str, changed: int, options: tuple[str, ...]) -> Answer:  # noqa: ARG001  # a key alone
    """Files take what it prints, and nobody waits for its end: a process that is stuck in the driver cannot be killed.

    Args:
        command: The program.
        changed: When the file was written, so that another one is asked anew.
        options: Of its command line.
    """
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                [command, *options], stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, start_new_session=True
            )
        except OSError as error:
            return Answer(problem=f"cannot be started ({error.strerror})")
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(0.2)
            return Answer(problem=f"gave no answer within {PATIENCE:g} s")
        printed.seek(0)
        text = printed.read().decode(errors="replace")
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return Answer(text, f"failed with exit code {code}{f' ({first[:120]})' if first else ''}" if code else "")


if __name__ == "__main__":
    listed = ask("-L")
    if any(line.startswith("GPU ") for line in listed.text.splitlines()):
        sys.exit(0)
    if found_command() is not None:
        sys.stderr.write(f"nvidia-smi {listed.problem or 'lists no GPU'}: installing TensorFlow without CUDA.\n")
    sys.exit(1)
