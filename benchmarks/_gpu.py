"""What the parts of `gpu.sh` share: where they work, until when, and how they say what they measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["GPU", "ROOT", "Setting"]

GPU = Path(__file__).with_name("gpu.py")
ROOT = GPU.parents[1]
_QUICK = "--xla_backend_optimization_level=0"
"""On a CPU, compiling takes a third; what is compiled is slow."""


@dataclass(frozen=True)
class Setting:
    """How a part is measured.

    Args:
        script: ``stages`` or ``sweep``.
        part: Its name.
        work: The folder for all that nobody wants later.
        deadline: When it is killed, on the monotonic clock.
        tiny: Whether a few images and steps are enough: to see that it works.
        job: What a process below the part is to do; None in that of the part.
    """

    script: str
    part: str
    work: Path
    deadline: float
    tiny: bool
    job: Mapping[str, Any] | None = None

    @classmethod
    def heard(cls, given: Mapping[str, Any]) -> Setting:
        """What `started` gave to a process.

        Args:
            given: As it travelled.
        """
        names = ("script", "part", "deadline", "tiny", "job")
        return cls(work=Path(given["work"]), **{name: given[name] for name in names})

    @property
    def data(self) -> Path:
        """The folder of the images."""
        return self.work / "data"

    @property
    def said(self) -> Path:
        """The file that takes what was measured, a line each."""
        return self.work / "said.jsonl"

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def row(self, name: str, **figures: Any) -> None:
        """Say what was measured; it is on the disk a moment later, whatever happens then.

        Args:
            name: Of the row, which takes the place of one of this name.
            figures: By name. Lists are for machines, all others stand in the table, too.
        """
        self._say({"row": name, "figures": figures})

    def note(self, sentence: str) -> None:
        """Say what is no figure.

        Args:
            sentence: It.
        """
        self._say({"note": sentence})

    def _say(self, said: Mapping[str, Any]) -> None:
        with self.said.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": self.part, **said}) + "\n")

    def started(self, function: str, job: Mapping[str, Any] | None = None, flags: str = "") -> subprocess.Popen[bytes]:
        """Begin a part, or a process below one.

        Args:
            function: What it does; see `gpu.py`.
            job: What a process below a part is to know; a part has none, and its output goes to ``log.txt``.
            flags: Of XLA, beside those that are set.
        """
        given = {**asdict(self), "job": job, "work": str(self.work), "parent": os.getpid()}
        site = os.pathsep.join(filter(None, [str(self.work / "site"), os.environ.get("PYTHONPATH", "")]))
        xla = " ".join(
            [os.environ.get("XLA_FLAGS", ""), *([_QUICK] if self.tiny and job is None else []), flags]
        ).strip()
        known = {**os.environ, "PYTHONPATH": site, **({"XLA_FLAGS": xla} if xla else {})}
        known["HPSEARCH_CACHE"] = str(self.work / "cache" / self.part)  # nothing that another part compiled is known
        command = [sys.executable, str(GPU), "part", function, json.dumps(given)]
        with (self.work / "log.txt").open("ab" if job else "wb") as log:
            return subprocess.Popen(command, env=known, start_new_session=True, stdout=log, stderr=log)
