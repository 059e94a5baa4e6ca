"""Whether a backend sees a GPU and compiles for it, found out by a process that may die of it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path

from hpsearch.data.cache import cached
from hpsearch.errors import DataError
from hpsearch.executors.backend import cuda_libraries, installed_version
from hpsearch.executors.gpus import Gpu, driver_version

__all__ = ["LIMIT", "Compiler", "compiler_of"]

LIMIT = 900.0
"""Seconds for import, start of the device and three compilations, before a process counts as stuck."""
_SMOKE = "hpsearch.training.smoke"
_SLOW = 5.0  # as hpsearch.training.smoke has it, which is not imported here
_STUCK = "gave no answer"
_SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Compiler:
    """What a backend did on this machine.

    Args:
        version: Of the backend; empty where it cannot be imported.
        gpu: The name of the first GPU that it sees; None where it sees none, empty where it died before it could say.
        seconds: What compiling something trivial took, each time it was tried after the first.
        problem: How it failed, or why it may see no GPU, in a few words; empty where there is nothing to say.
    """

    version: str = ""
    gpu: str | None = None
    seconds: tuple[float, ...] = ()
    problem: str = ""

    @property
    def fails(self) -> bool:
        """Whether it sees a GPU, and dies or raises when it compiles for it; want of memory is no fault of it."""
        return self.gpu is not None and bool(self.problem) and not self._full

    @property
    def slow(self) -> bool:
        """Whether it took too long twice in a row."""
        return len(self.seconds) > 1 and min(self.seconds) > _SLOW

    @property
    def lasts(self) -> bool:
        """Whether the same is to be expected next time: a slow machine and a full device are a matter of the hour."""
        return self.gpu is not None and not self.slow and not self._full and _STUCK not in self.problem

    @property
    def _full(self) -> bool:
        return any(word in self.problem.lower() for word in ("memory", "exhausted"))


def compiler_of(
    backend: str,
    environment: Iterable[tuple[str, str]] = (),
    gpu: Gpu | None = None,
    trying: Callable[[], None] = lambda: None,
) -> Compiler:
    """Have a process of its own import a backend, look for a GPU and compile for it.

    What it found of a GPU is remembered by driver, card and versions.

    Args:
        backend: ``tensorflow``, ``jax`` or ``torch``.
        environment: Variables that make it see its device and no other.
        gpu: The card; None compiles nothing, and nothing is remembered.
        trying: Called where it is not known yet, before the seconds that it takes.
    """
    if gpu is None:
        return _tried(backend, environment, compiles=False)
    found: list[Compiler] = []

    def make(folder: Path) -> None:
        trying()
        found.append(_tried(backend, environment, compiles=True))
        if not found[0].lasts:
            raise _Passing
        (folder / "compiler.json").write_text(json.dumps(asdict(found[0])), encoding="utf-8")

    try:
        entry = cached("compiler", _key(backend, gpu), 4096, make)
        said = json.loads((entry / "compiler.json").read_text(encoding="utf-8"))
        return Compiler(**{**said, "seconds": tuple(said["seconds"])})
    except (DataError, OSError, ValueError, TypeError, KeyError, _Passing):
        return found[0] if found else _tried(backend, environment, compiles=True)


class _Passing(Exception):
    """What was found is not to be remembered."""


def _key(backend: str, gpu: Gpu) -> str:
    said = [driver_version() or "", gpu.name, platform.python_version(), backend, str(installed_version(backend))]
    said += cuda_libraries(backend)
    return blake2b("\n".join(said).encode(), digest_size=8).hexdigest()


def _tried(backend: str, environment: Iterable[tuple[str, str]], *, compiles: bool) -> Compiler:
    path = os.pathsep.join(filter(None, [str(_SOURCE), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-m", _SMOKE, backend, "yes" if compiles else "no"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "1", **dict(environment), "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        printed, complained = process.communicate(timeout=LIMIT)
        problem = _ending(process.returncode, complained)
    except subprocess.TimeoutExpired:
        _kill(process)
        printed, complained = process.communicate()
        problem = f"{_STUCK} within {LIMIT:.0f} s"
    except BaseException:  # Ctrl-C does not reach its session
        _kill(process)
        raise
    said: dict[str, object] = {}
    for line in printed.splitlines():
        with contextlib.suppress(ValueError):  # a library's own words
            told = json.loads(line)
            said |= told if isinstance(told, dict) else {}
    found = _compiler(said, problem)
    return replace(found, problem=_complaint(complained)) if compiles and not (found.gpu or found.problem) else found


def _complaint(complained: str) -> str:
    """What a library said of CUDA."""
    lines = [line for line in complained.splitlines() if "cuda" in line.lower() and "fail" in line.lower()]
    return " ".join(lines[-1].partition("] ")[2].split())[:200] if lines else ""


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _compiler(said: dict[str, object], problem: str) -> Compiler:
    seconds, gpu = said.get("second"), said.get("gpu")
    died = bool(problem) and not {"gpu", "error"} & {*said}
    return Compiler(
        str(said.get("version", "")),
        str(gpu) if gpu is not None else "" if died else None,
        tuple(float(each) for each in seconds) if isinstance(seconds, list) else (),
        str(said.get("error", problem)),
    )


def _ending(code: int, complained: str) -> str:
    """How a process failed: by a signal or an exit code, with the line that says why."""
    if code == 0:
        return ""
    lines = [" ".join(line.split()) for line in complained.splitlines() if line.strip()]
    telling = [line for line in lines if "PTX" in line or line.startswith("F") or "fatal" in line.lower()]
    why = (telling or lines or [""])[-1][:200]
    how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{how}{f' ({why})' if why else ''}"
