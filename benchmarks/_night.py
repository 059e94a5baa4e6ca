"""The command ``hpsearch run`` as somebody starts it in the evening: its processes, its lines, what it leaves behind.

Nothing of the package is imported: a run is seen as a user sees it, by its lines, its exit code and its processes.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["DIGITS", "PATIENCE", "TRAINING", "Job", "Line", "Run", "command", "environment", "write_space"]

SOURCE = Path(__file__).resolve().parents[1] / "search"
PATIENCE = 180.0
"""Seconds after which a run that says nothing and does not end counts as stuck."""
LINGER = 10.0
"""Seconds that processes may take to end after their coordinator; what lives longer is an orphan."""
_MARK = "HPSEARCH_FAULTS_MARK"

DIGITS = '''
"""Small networks on scikit-learn's digits: a trial takes a second or two."""

from hpsearch import Adam, ConvNet, Dense, Model, Recipe, Space, Stage, Training, between, one_of

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=ConvNet(
                stages=[Stage(filters=between(8, 32, step=4))],
                batchnorm=one_of(None, "after_activation"),
                dropout=between(0.0, 0.3, step=0.1),
            ),
            dense=[Dense(units=between(8, 64, step=8))],
        ),
        training=Training(
            epochs=EPOCHS, early_stopping=3, batch_size=16, optimizer=Adam(learning_rate=between(1e-3, 1e-2, log=True))
        ),
    ),
    baselines={
        "by_hand": Recipe(
            model=Model(body=ConvNet(stages=[Stage(filters=16)]), dense=[Dense(units=32)]),
            training=Training(epochs=EPOCHS, early_stopping=3, batch_size=16, optimizer=Adam(learning_rate=0.002)),
        )
    },
)
'''
"""The space of the benchmarks; EPOCHS is put in."""

TRAINING = re.compile(
    r"trial (?P<number>\d+)(?: \(.*?\))? (?:started|goes on (?:at epoch (?P<epoch>[\d,]+)|(?P<last>after)))"
)
"""The line with which a trial begins to train or goes on."""


def write_space(folder: Path, *, epochs: int) -> Path:
    """Write the space file of the benchmarks.

    Args:
        folder: Where to.
        epochs: The most epochs of a trial.
    """
    path = folder / "night.py"
    path.write_text(DIGITS.lstrip().replace("EPOCHS", str(epochs)), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Job:
    """A study to run.

    Args:
        space: The space file.
        results: The folder that holds the studies.
        study: Its name.
        seed: Its seed.
        trials: Its budget.
        options: Further options of the command.
    """

    space: Path
    results: Path
    study: str
    seed: int
    trials: int
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return self.results / self.study

    @property
    def arguments(self) -> list[str]:
        """What the command is given."""
        said = ["run", self.space, "--study", self.study, "--seed", self.seed, "--trials", self.trials]
        return [*map(str, said), "--deterministic", "--results", str(self.results), "--devices", "cpu", *self.options]


def command(*arguments: str) -> list[str]:
    """``hpsearch`` with these arguments, from the sources beside this folder.

    It heeds signals even where whoever started this ignores them: a shell does that in the background, nohup always.
    """
    heed = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    heed += "signal.signal(signal.SIGINT, signal.default_int_handler); "
    return [sys.executable, "-c", heed + "from hpsearch.cli.main import main; main(prog_name='hpsearch')", *arguments]


def environment(more: Mapping[str, str] | None = None, *paths: Path) -> dict[str, str]:
    """The environment of a command.

    Args:
        more: Variables to add.
        paths: Folders to import from before all others.
    """
    imports = os.pathsep.join(map(str, (*paths, SOURCE)))
    return {**os.environ, "PYTHONPATH": imports, "PYTHONUNBUFFERED": "1", "COLUMNS": "160", **(more or {})}


@dataclass(frozen=True)
class Line:
    """A line that a run printed.

    Args:
        when: In seconds since 1970.
        text: Without its end.
    """

    when: float
    text: str

    @property
    def training(self) -> re.Match[str] | None:
        """The line as the beginning of training; None where it says something else."""
        return TRAINING.match(self.text)


class Run:
    """One run of a study, in a session of its own.

    Args:
        job: The study.
        more: Variables to add to its environment.
        paths: Folders that it imports from before all others.
    """

    def __init__(self, job: Job, more: Mapping[str, str] | None = None, *paths: Path) -> None:
        self.job = job
        self.mark = uuid.uuid4().hex
        self.began = time.time()
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # read when the run has ended
        self.process = subprocess.Popen(
            command(*job.arguments),
            env=environment({**(more or {}), _MARK: self.mark}, *paths),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self.lines: list[Line] = []
        self._told = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            with self._told:
                self.lines.append(Line(time.time(), text.rstrip("\n")))
                self._told.notify_all()
        with self._told:
            self._over = True
            self._told.notify_all()

    def line(self, pattern: str | re.Pattern[str], since: int = 0, patience: float = PATIENCE) -> Line | None:
        """Wait for a line.

        Args:
            pattern: What it matches, anywhere in it.
            since: How many of the lines so far do not count.
            patience: Seconds to wait at most.

        Returns:
            None where the run ended, or the patience did, without it.
        """
        limit = time.monotonic() + patience
        with self._told:
            while True:
                for line in self.lines[since:]:
                    if re.search(pattern, line.text):
                        return line
                since = len(self.lines)
                left = limit - time.monotonic()
                if self._over or left <= 0:
                    return None
                self._told.wait(left)

    @property
    def running(self) -> bool:
        """Whether the coordinator lives."""
        return self.process.poll() is None

    @property
    def done(self) -> bool:
        """Whether it said that the study is done."""
        return any(": Done:" in line.text for line in self.lines)

    @property
    def errors(self) -> str:
        """What it printed on standard error so far."""
        self._errors.seek(0)
        return self._errors.read()

    def end(self, patience: float = PATIENCE) -> int | None:
        """Wait for the end of the coordinator and read what it still said.

        Args:
            patience: Seconds to wait at most.

        Returns:
            Its exit code; None where it does not end.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=patience)
        return self.process.returncode

    # ---- its processes

    def family(self) -> list[psutil.Process]:
        """Every process that the run started and that lives, the coordinator included; zombies are dead."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == self.mark:
                    found.append(process)
        return found

    def server(self) -> psutil.Process | None:
        """The process that workers are forked from."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.Error):
                    if any("forkserver" in word for word in child.cmdline()):
                        return child
        return None

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        with contextlib.suppress(psutil.Error):
            server = self.server()
            return server.children() if server is not None else []
        return []

    def signal_group(self, kind: signal.Signals) -> None:
        """Send a signal to all of its processes at once, as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, kind)

    def orphans(self) -> tuple[int, float]:
        """Wait for the end of all processes of a run whose coordinator has ended.

        Returns:
            How many outlived it by more than LINGER seconds, and the seconds it took until all others were gone.
        """
        began = time.monotonic()
        while (left := self.family()) and time.monotonic() - began < LINGER:
            time.sleep(0.05)
        took = time.monotonic() - began
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return len(left), took

    def close(self) -> None:
        """End whatever is left of it."""
        self.signal_group(signal.SIGKILL)
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()
        self._reader.join(timeout=LINGER)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()
