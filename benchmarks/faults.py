"""Does a night lose anything? Searches on scikit-learn's digits that are killed again and again, and what it cost.

Claims, each of which is checked and ends the script with exit code 1 where it does not hold:

- No trial is lost and none is counted twice, whatever is killed and whenever: the coordinator, its worker, the process
  that workers are forked from, all of them at once; by SIGKILL, SIGTERM, SIGINT, SIGHUP, or stopped by SIGSTOP.
- A kill costs the epoch in progress: no epoch that had ended is trained again, but for one at the most.
- No process outlives the coordinator.
- With ``--deterministic`` a study that was killed gives what an undisturbed one of the same seed gives: the same
  proposals, the same histories, the same scores.
- The same holds for a kill at every single write to disk, and the run goes on by itself where a write fails because the
  disk is full at that moment.
- A truncated checkpoint costs an epoch; a damaged database is refused in a sentence, with the record still readable;
  of two coordinators one runs; and whoever reads the study meanwhile gets valid JSON and disturbs nobody.

Run it with:

    python benchmarks/faults.py --kills 200 --seed 0 --output results/reference/faults.json
    python benchmarks/faults.py --kills 10 --writes 6
"""

from __future__ import annotations

import dataclasses
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _damage import damaged_database, truncated_checkpoint, two_coordinators  # its own folder comes first
from _kills import FAULTS, Fault, Kill, Night, reference
from _machine import machine, words
from _night import Job, write_space
from _reader import Reader
from _record import Kept, differing
from _writes import Writes

__all__ = ["Account", "kill_studies"]

TRIALS = 6
EPOCHS = 6
SMALL = ("--subset", "800")
SEEDS = 3
"""Studies take so many seeds in turn; for each an undisturbed one is run once."""


@dataclass
class Account:
    """What was done, what it cost, and what was broken.

    Args:
        kills: Every kill at a random moment.
        studies: How many studies were killed to their end.
        trials: How many trials they have.
        lost: Trials that were lost.
        twice: Trials that were counted twice.
        differing: Trials that are not those of an undisturbed study.
        looks: How often the studies were read meanwhile.
        writes: Faults at writes, by kind.
        points: How many such faults there are in the small study.
        others: What else was tried, by name: how often.
        broken: Sentences about what does not hold.
    """

    kills: list[Kill] = field(default_factory=list)
    studies: int = 0
    trials: int = 0
    lost: int = 0
    twice: int = 0
    differing: int = 0
    orphans: int = 0
    looks: int = 0
    writes: dict[str, int] = field(default_factory=dict)
    points: int = 0
    others: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def kill_studies(
    account: Account,
    folder: Path,
    space: Path,
    *,
    kills: int,
    seed: int,
    trials: int = TRIALS,
    seeds: int = SEEDS,
    options: tuple[str, ...] = SMALL,
    faults: Sequence[Fault] = FAULTS,
    expected: Mapping[int, dict[int, Kept]] | None = None,
) -> dict[int, dict[int, Kept]]:
    """Run studies and kill them at random moments, each to its end.

    Args:
        account: Takes what it cost.
        folder: Where the studies are written.
        space: The space file.
        kills: How many kills, those that the account holds already included.
        seed: Where the moments, the faults and the seeds of the studies come from.
        trials: Of each study.
        seeds: How many seeds the studies take in turn.
        options: Further options of the command.
        faults: What may happen.
        expected: Undisturbed studies that are known already, by seed.

    Returns:
        The undisturbed study of each seed that was needed.
    """
    dice = random.Random(seed)
    known = dict(expected or {})
    while len(account.kills) < kills and len(account.broken) < 20:
        own = seed + account.studies % seeds
        job = Job(space, folder / "references", f"seed-{own}", own, trials, options)
        if own not in known:
            known[own] = reference(job)
        job = dataclasses.replace(job, results=folder / "killed", study=f"study-{account.studies}")
        night = Night(job, dice, faults, say=_say_kill)
        night.go(kills - len(account.kills))
        _add(account, night, differing(known[own], night.watch.look()) if night.done else [])
    return known


def _add(account: Account, night: Night, other: list[str]) -> None:
    account.kills += night.kills
    account.studies += 1
    account.trials += len(night.watch.look())
    account.lost += len(night.watch.lost)
    account.twice += len(night.watch.twice)
    account.differing += len(other)
    account.orphans += sum(kill.orphans for kill in night.kills)
    name = night.job.study
    account.broken += night.broken
    account.broken += [f"{name}: {each}" for each in night.watch.lost + night.watch.twice]
    account.broken += [f"{name} is not what an undisturbed study is: {each}" for each in other]


_errors = Console(stderr=True, highlight=False)


def _say_kill(kill: Kill) -> None:
    lost = (
        f"{kill.seconds_lost:.1f} s lost"
        if kill.seconds_lost is not None
        else "nothing was trained before the next fault or the end"
    )
    when = "starting" if kill.early else "training"
    _errors.print(f"{kill.study}: {kill.fault} while {when}; {kill.epochs_lost} epochs, {lost}")


def _disturb_writes(account: Account, folder: Path, *, most: int | None, seed: int) -> None:
    """A fault at every write of a small study, or at some."""
    if most == 0:
        return
    (folder / "writes").mkdir()
    space = write_space(folder / "writes", epochs=2)
    job = Job(space, folder / "writes" / "studies", "", seed, 1, ("--no-baselines", "--subset", "200", "--keep", "0"))
    writes = Writes(job, folder / "writes" / "notes")
    writes.count()
    points = writes.points if most is None else writes.some(most, random.Random(seed))
    writes.say = lambda point: _errors.print(f"{sum(writes.tried.values())}/{len(points)} {point}")
    for point in points:
        writes.disturb(point)
    account.points = len(writes.points)
    account.writes = writes.tried
    account.lost += writes.lost
    account.twice += writes.twice
    account.differing += writes.differing
    account.orphans += writes.orphans
    account.broken += writes.broken


def _damage(account: Account, folder: Path, job: Job, expected: Mapping[int, Kept], *, times: int, seed: int) -> None:
    """Truncated checkpoints, damaged databases, two coordinators."""
    dice = random.Random(seed)

    def another(name: str) -> Job:
        account.others[name] = account.others.get(name, 0) + 1
        study = f"{name.replace(' ', '-')}-{account.others[name]}"
        return dataclasses.replace(job, results=folder / "damaged", study=study)

    for time_ in range(times):
        both = time_ % 3 == 2
        name = "both checkpoints truncated" if both else "checkpoint truncated"
        account.broken += truncated_checkpoint(another(name), expected, dice, both=both)
    for _ in range(max(1, times // 3)):
        account.broken += damaged_database(another("database damaged"), expected, dice)
        account.broken += two_coordinators(another("two coordinators"), expected)


# ---- the table


def _figures(account: Account) -> dict[str, Any]:
    """The figures of the table, by name."""
    kills = account.kills
    lost = [kill.seconds_lost for kill in kills if kill.seconds_lost is not None]
    epochs = [kill.epochs_lost for kill in kills]
    work = [kill.work_lost for kill in kills if kill.work_lost is not None]
    return {
        "kills": len(kills),
        "kills while starting": sum(kill.early for kill in kills),
        "studies": account.studies,
        "trials": account.trials,
        "trials lost": account.lost,
        "trials counted twice": account.twice,
        "trials that differ from an undisturbed study": account.differing,
        "whole epochs lost per kill, most": max(epochs, default=0),
        "whole epochs lost, all kills": sum(epochs),
        "orphans": account.orphans,
        "seconds lost per kill": _spread(lost),
        "  of these work since the checkpoint": _spread(work),
        "  of these until training goes on": _spread([k.back_after for k in kills if k.back_after is not None]),
        "seconds to stop in good order": _spread([k.stopped_after for k in kills if k.stopped_after is not None]),
        "seconds until no process is left": _spread([k.gone_after for k in kills if k.gone_after is not None]),
        "reads meanwhile": account.looks,
        "writes of a small study, with what may happen at each": account.points,
        **{f"writes disturbed: {mode}": number for mode, number in account.writes.items()},
        **account.others,
        "broken": len(account.broken),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": round(statistics.median(values), 2), "worst": round(max(values), 2)}


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _tables(account: Account) -> list[Table]:
    rows = []
    for name, value in _figures(account).items():
        if isinstance(value, dict):
            rows.append((name, f"{value['median']:.1f}", f"{value['worst']:.1f}"))
        else:
            rows.append((name, "-" if value is None else f"{value:,}", ""))
    kinds = []
    for fault, number in Counter(kill.fault for kill in account.kills).most_common():
        own = [kill for kill in account.kills if kill.fault == fault]
        spread = _spread([kill.seconds_lost for kill in own if kill.seconds_lost is not None])
        seconds = (f"{spread['median']:.1f}", f"{spread['worst']:.1f}") if spread else ("-", "-")
        kinds.append((fault, str(number), str(max(kill.epochs_lost for kill in own)), *seconds))
    found = [_table("What the faults cost", ("", "median or number", "worst"), rows)]
    if kinds:
        columns = ("fault at a random moment", "times", "epochs lost, most", "seconds, median", "seconds, worst")
        found.append(_table("Kills", columns, kinds))
    return found


def _as_json(account: Account, said: dict[str, Any]) -> dict[str, Any]:
    return {
        **said,
        "figures": {name.strip(): value for name, value in _figures(account).items()},
        "kills": [{**dataclasses.asdict(kill), "seconds_lost": kill.seconds_lost} for kill in account.kills],
        "broken": account.broken,
    }


def _write(output: Path, account: Account, said: dict[str, Any], shown: str) -> None:
    """The figures as JSON, and the tables for people beside them."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(_as_json(account, said), indent=1) + "\n", encoding="utf-8")
    text = (
        f"# A night of faults\n\nMade with `{said['command']}` in {said['minutes']:.0f} minutes.\n\n```\n{shown}```\n"
    )
    output.with_suffix(".md").write_text(text, encoding="utf-8")


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--kills", type=click.IntRange(min=0), default=200, show_default=True, help="Kills at random moments.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the moments and studies.")
@click.option("--writes", type=click.IntRange(min=0), help="Faults at writes; at every write if not given.")
@click.option("--damages", type=click.IntRange(min=0), default=6, show_default=True, help="Checkpoints to truncate.")
@click.option("--output", type=click.Path(path_type=Path), help="A JSON file for the figures; tables go beside it.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the studies in this folder, which must be new.")
def main(kills: int, seed: int, writes: int | None, damages: int, output: Path | None, keep: Path | None) -> None:
    """Kill, look, and say what it cost."""
    began, account = time.monotonic(), Account()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=keep is None)
        space = write_space(folder, epochs=EPOCHS)
        with Reader(folder / "killed") as reader:
            expected = kill_studies(account, folder, space, kills=kills, seed=seed)
        account.looks = reader.looks
        account.broken += reader.broken
        if damages:
            job = Job(space, folder / "references", f"seed-{seed}", seed, TRIALS, SMALL)
            undisturbed = expected.get(seed) or reference(job)
            _damage(account, folder, job, undisturbed, times=damages, seed=seed)
        _disturb_writes(account, folder, most=writes, seed=seed)
    arguments = ["--kills", kills, "--seed", seed, "--damages", damages]
    arguments += ["--writes", writes] if writes is not None else []
    said = {
        "command": f"python benchmarks/faults.py {' '.join(map(str, arguments))}",
        "machine": machine(),
        "minutes": (time.monotonic() - began) / 60,
        "study": {"trials": TRIALS, "baselines": 1, "epochs": EPOCHS},
    }
    console = Console(width=110, record=True, highlight=False)
    console.print(f"Machine: {words(machine())}", soft_wrap=True)
    console.print(f"{len(account.kills)} kills, seed {seed}")
    for table in _tables(account):
        console.print(table)
    for sentence in account.broken:
        console.print(f"Broken: {sentence}", markup=False, soft_wrap=True)
    if output is not None:
        _write(output, account, said, console.export_text())
    sys.exit(1 if account.broken else 0)


if __name__ == "__main__":
    main()
