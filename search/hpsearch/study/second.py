"""A second process that makes the same attempts in a folder as this one, and is not waited for in vain."""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from hpsearch.study import attempts

__all__ = ["Ended", "Hung", "Refused", "Second"]

LIMIT = 10.0
"""Seconds to wait for an answer: a share whose server is gone may keep who asks for a lock waiting for ever."""
START = 60.0
"""Seconds to wait for the process itself: Python may lie on a slow disk, too."""
PROGRAM = Path(attempts.__file__)

_LEAVE = 1.0
"""Seconds to wait for the end of a process that was killed: one that hangs in the kernel does not end."""


class Refused(Exception):
    """The folder's file system refused an attempt, for the reason that the text gives."""


class Hung(Exception):
    """An attempt took too long; the text says how long that is."""


class Ended(Exception):
    """There is no second process, for the reason that the text gives."""


class Second:
    """The process; it is killed when it is left.

    It is started, not forked: whoever searches may have threads, or be a notebook.

    Args:
        folder: Where it makes its attempts.

    Raises:
        Ended: It cannot be started.
    """

    def __init__(self, folder: Path) -> None:
        pipe = subprocess.PIPE
        # Neither the environment nor what is installed matters to it, so it looks at neither.
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(folder.absolute())]
        try:
            self._process = subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise Ended(error.strerror or str(error)) from error
        self._started = False

    def __enter__(self) -> Second:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEAVE)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def ask(self, attempt: str) -> str:
        """What comes of an attempt, as `attempts.answer` says it.

        Args:
            attempt: Its name there.

        Raises:
            Refused: The file system refused it.
            Hung: It took too long.
            Ended: The process ended instead of answering, or did not even start.
        """
        if not self._started:
            try:
                self._line(START)
            except Hung as error:
                raise Ended(f"it took {error}") from error
            self._started = True
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{attempt}\n".encode())
        except BrokenPipeError:
            raise self._ended() from None
        said = self._line(LIMIT)
        if said.startswith("error "):
            raise Refused(said.removeprefix("error "))
        return said

    def _line(self, limit: float) -> str:
        """The next line that the process says."""
        assert self._process.stdout is not None
        until = time.monotonic() + limit
        said = b""
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                if not ready.select(until - time.monotonic()):
                    raise Hung(f"more than {limit:g} seconds")
                part = self._process.stdout.read(1024)
                if not part:
                    raise self._ended()
                said += part
        return said.decode(errors="replace").strip()

    def _ended(self) -> Ended:
        """Why the process ended: the last that it said of itself."""
        try:
            code = self._process.wait(_LEAVE)
        except subprocess.TimeoutExpired:
            return Ended("it closed its pipes")
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        return Ended(next((line.strip().rstrip(".") for line in reversed(lines) if line.strip()), f"exit code {code}"))
