"""Somebody who looks at a study all night, from another terminal."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from _night import command, environment

__all__ = ["Reader"]

_NOT_YET = ("There is no study", "has no trials yet", "has no trial")
"""What is said before there is anything to read."""


class Reader:
    """Asks for the leaderboard, the status and a trial in turn, until it is closed.

    Args:
        results: The folder that holds the studies.
        every: Seconds between two looks.
    """

    def __init__(self, results: Path, every: float = 3.0) -> None:
        self.results = results
        self.every = every
        self.looks = 0
        self.early = 0
        """Looks before there was anything to read."""
        self.broken: list[str] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _read(self) -> None:
        questions = (("leaderboard", "--json"), ("status", "--json"), ("show", "1", "--json"))
        for question in itertools.cycle(questions):
            if self._closed.wait(self.every):
                return
            self._look(question)

    def _look(self, question: tuple[str, ...]) -> None:
        said = subprocess.run(
            command(*question, "--results", str(self.results)),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        self.looks += 1
        if said.returncode == 2 and any(words in said.stderr for words in _NOT_YET):
            self.early += 1
            return
        try:
            json.loads(said.stdout)
        except ValueError:
            sound = False
        else:
            sound = said.returncode == 0 and not said.stderr
        if not sound:
            answer = f"exit code {said.returncode}, {said.stdout[:200]!r}, {said.stderr.strip()!r}"
            self.broken.append(f"hpsearch {' '.join(question)} answered: {answer}")
