"""Does the memory of a long run stay flat? Hundreds of tiny trials in one run, and what its processes hold meanwhile.

Claims, each of which is checked and ends the script with exit code 1 where it does not hold:

- Coordinator and fork server do not grow: what they hold in the last tenth of the run is at most five per cent more
  than in the second tenth. (The first tenth is left out: the first trials load what all others need.)
- Workers grow from trial to trial, as TensorFlow keeps some memory of every model, and are replaced in time: the most
  that any later worker holds is at most five per cent more than the most that the first one held.
- All processes together follow: the most in the second half of the run is at most five per cent more than in the first.

Measured after every trial is the resident set (RSS) of each process. Of all together it is what is no file's, with what
several of them share counted once (Linux: Pss_Anon), for a worker has hundreds of megabytes in common with the process
that it was forked from; where the system does not tell, the resident sets are added up.

Run it with:

    python benchmarks/memory.py --output results/reference/memory.json
    python benchmarks/memory.py --trials 90
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _machine import machine, words  # its own folder comes first
from _night import Job, Run, write_space

__all__ = ["Held", "Look", "broken", "watched"]

WITHIN = 1.05
"""What is held later may be so many times what was held before."""
MB = 2**20
ROLES = ("coordinator", "fork server", "worker")
_ENDED = re.compile(r"; [\d,]+/[\d,]+ trials")
"""The line with which a trial ends."""


@dataclass(frozen=True)
class Held:
    """What a process held at a moment.

    Args:
        role: One of ROLES, or ``other``.
        pid: The process.
        resident: Resident bytes, those shared with others included.
        own: Resident bytes that are no file's, with its share of those in common; all where the system does not tell.
    """

    role: str
    pid: int
    resident: int
    own: int


@dataclass(frozen=True)
class Look:
    """All processes of a run after a trial.

    Args:
        trials: How many trials had ended.
        seconds: Since the run began.
        processes: What each held.
    """

    trials: int
    seconds: float
    processes: tuple[Held, ...]

    def of(self, role: str) -> int:
        """Resident bytes of the processes of a role."""
        return sum(held.resident for held in self.processes if held.role == role)

    @property
    def all(self) -> int:
        """Bytes of all processes together."""
        return sum(held.own for held in self.processes)


def watched(job: Job, say: Callable[[Look], object] = repr) -> list[Look]:
    """Run a study and look at its processes after every trial.

    Args:
        job: The study.
        say: Told about every look.

    Returns:
        The looks, in order.

    Raises:
        RuntimeError: It does not end well.
    """
    run, looks, seen = Run(job), [], 0
    try:
        while (line := run.line(_ENDED, seen)) is not None:
            seen = len(run.lines)
            ended = sum(bool(_ENDED.search(each.text)) for each in run.lines[:seen])
            looks.append(Look(ended, round(line.when - run.began, 2), _processes(run)))
            say(looks[-1])
        if run.end() != 0 or not run.done:
            raise RuntimeError(f"the run did not end well: {run.errors.strip()}")
    finally:
        run.close()
    return looks


def _processes(run: Run) -> tuple[Held, ...]:
    roles = {run.process.pid: "coordinator"}
    if (server := run.server()) is not None:
        roles[server.pid] = "fork server"
    roles.update((worker.pid, "worker") for worker in run.workers())
    found = (_held(process, roles.get(process.pid, "other")) for process in run.family())
    return tuple(held for held in found if held is not None)


def _held(process: psutil.Process, role: str) -> Held | None:
    """What a process holds; None where it has just ended."""
    try:
        resident = process.memory_info().rss
    except psutil.Error:
        return None
    return Held(role, process.pid, resident, _own(process.pid) or resident) if resident else None


def _own(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:")), None)


# ---- what follows from the looks


@dataclass
class Worker:
    """One worker from its first trial to its last.

    Args:
        pid: The process.
        looks: Resident bytes, by trials that had ended.
    """

    pid: int
    looks: list[tuple[int, int]] = field(default_factory=list)

    @property
    def most(self) -> int:
        """The most that it held."""
        return max(held for _, held in self.looks)

    @property
    def growth(self) -> float | None:
        """Bytes that a trial added, from its third look on: the first trials also load what all others need."""
        later = self.looks[2:]
        if len(later) < 2:
            return None
        (first, before), (last, after) = later[0], later[-1]
        return (after - before) / (last - first)


def workers(looks: Sequence[Look]) -> list[Worker]:
    """The workers of a run, in the order in which they came.

    Args:
        looks: Of one run.
    """
    found: dict[int, Worker] = {}
    for look in looks:
        for held in look.processes:
            if held.role == "worker":
                found.setdefault(held.pid, Worker(held.pid)).looks.append((look.trials, held.resident))
    return list(found.values())


def tenth(looks: Sequence[Look], number: int) -> Sequence[Look]:
    """A tenth of the looks.

    Args:
        looks: All of them; ten at the least.
        number: Which tenth, from 1.
    """
    size = len(looks) // 10
    return looks[-size:] if number == 10 else looks[(number - 1) * size : number * size]


def broken(looks: Sequence[Look]) -> list[str]:
    """What does not hold of the claims.

    Args:
        looks: Of one run; ten at the least.

    Returns:
        Sentences.
    """
    said = []
    for role in ("coordinator", "fork server"):
        before, after = (statistics.median(look.of(role) for look in tenth(looks, each)) for each in (2, 10))
        if after > WITHIN * before:
            said.append(f"the {role} grew from {_mb(before)} MB to {_mb(after)} MB")
    first, *later = workers(looks)
    # The first may be replaced before it trained as many as the others did; that only makes the claim harder to keep.
    said += [
        f"worker {number} held up to {_mb(worker.most)} MB, the first one {_mb(first.most)} MB"
        for number, worker in enumerate(later, start=2)
        if worker.most > WITHIN * first.most
    ]
    middle = len(looks) // 2
    before, after = max(look.all for look in looks[:middle]), max(look.all for look in looks[middle:])
    if after > WITHIN * before:
        said.append(
            f"all processes together held up to {_mb(before)} MB in the first half, {_mb(after)} MB in the second"
        )
    return said


def _mb(amount: float) -> str:
    return f"{amount / MB:,.0f}"


# ---- the table

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int], width: int = 60) -> str:
    """A line of bars from nothing to the largest value.

    Args:
        values: One after the other.
        width: The most bars; each shows the largest of the values that fall to it.
    """
    groups = min(width, len(values))
    parts = [values[n * len(values) // groups : (n + 1) * len(values) // groups] for n in range(groups)]
    most = max(values)
    return "".join(_BARS[min(len(_BARS) - 1, max(part) * len(_BARS) // max(most, 1))] for part in parts)


def _tables(looks: Sequence[Look]) -> list[Table]:
    held = Table(title="Resident memory, MB", title_justify="left")
    columns = ("", "2nd tenth of the run", "last tenth", "most", "over the run, from 0")
    for column in columns:
        held.add_column(column, justify="right" if column not in ("", columns[-1]) else "left")
    for role in ROLES:
        own = [look.of(role) for look in looks]
        held.add_row(role, *_figures(own), sparkline(own, 40))
    together = [look.all for look in looks]
    held.add_row("all together, no files", *_figures(together), sparkline(together, 40))
    each = Table(title="Workers", title_justify="left")
    for column in ("worker", "trials", "most, MB", "MB a trial"):
        each.add_column(column, justify="right")
    for number, worker in enumerate(workers(looks), start=1):
        growth = "-" if worker.growth is None else f"{worker.growth / MB:.1f}"
        each.add_row(str(number), str(len(worker.looks)), _mb(worker.most), growth)
    return [held, each]


def _figures(values: Sequence[int]) -> tuple[str, str, str]:
    size = len(values) // 10
    return _mb(statistics.median(values[size : 2 * size])), _mb(statistics.median(values[-size:])), _mb(max(values))


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option(
    "--trials",
    type=click.IntRange(min=90),
    default=300,
    show_default=True,
    help="Trials in the one run; a worker trains forty.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the study.")
@click.option("--output", type=click.Path(path_type=Path), help="A JSON file for the looks; tables go beside it.")
def main(trials: int, seed: int, output: Path | None) -> None:
    """Run, look, and say what the processes held."""
    began, errors = time.monotonic(), Console(stderr=True, highlight=False)

    def say(look: Look) -> None:
        if look.trials % 20 == 0:
            errors.print(f"{look.trials} trials, {look.seconds:.0f} s, {_mb(look.all)} MB")

    with tempfile.TemporaryDirectory(prefix="memory-") as temporary:
        folder = Path(temporary)
        space = write_space(folder, epochs=1)
        options = ("--no-baselines", "--subset", "100", "--keep", "0")
        looks = watched(Job(space, folder / "results", "memory", seed, trials, options), say)
    wrong = broken(looks)
    said = {
        "command": f"python benchmarks/memory.py --trials {trials} --seed {seed}",
        "machine": machine(),
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    console = Console(width=120, record=True, highlight=False)
    console.print(f"Machine: {words(machine())}")
    console.print(f"{trials} trials, seed {seed}; looked {len(looks)} times")
    for table in _tables(looks):
        console.print(table)
    for sentence in wrong:
        console.print(f"Broken: {sentence}", markup=False, soft_wrap=True)
    if output is not None:
        _write(output, {**said, "broken": wrong, **_as_json(looks)}, console.export_text())
    sys.exit(1 if wrong else 0)


def _as_json(looks: Sequence[Look]) -> dict[str, Any]:
    """The looks in few words: a row each, memory in MB, workers by the order in which they came."""
    number = {worker.pid: place for place, worker in enumerate(workers(looks), start=1)}

    def row(look: Look) -> list[float | None]:
        latest = max((number[held.pid] for held in look.processes if held.role == "worker"), default=None)
        sizes = [round(look.of(role) / MB, 1) for role in ROLES]
        return [look.trials, look.seconds, *sizes, latest, round(look.all / MB, 1)]

    columns = ["trials", "seconds", *ROLES, "number of the worker", "all together, no files"]
    return {"columns": columns, "looks": [row(look) for look in looks]}


def _write(output: Path, said: dict[str, Any], shown: str) -> None:
    """The looks as JSON, and the tables for people beside them."""
    output.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n  ".join(json.dumps(row) for row in said.pop("looks"))
    text = json.dumps({**said, "looks": []}, indent=1).removesuffix("[]\n}")
    output.write_text(f"{text}[\n  {rows}\n ]\n}}\n", encoding="utf-8")
    text = f"# The memory of a long run\n\nMade with `{said['command']}` in {said['minutes']:.0f} minutes.\n\n"
    output.with_suffix(".md").write_text(f"{text}```\n{shown}```\n", encoding="utf-8")


if __name__ == "__main__":
    main()
