"""``hpsearch status``."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import click

from hpsearch.brief import describe
from hpsearch.cli.output import (
    Cell,
    Column,
    duration,
    one_line,
    results_option,
    say,
    score,
    study_option,
    table,
    tell,
)
from hpsearch.results.leaderboard import Row, counts, rank, summary
from hpsearch.study.asked import Said, read_asked
from hpsearch.study.folder import StudyFolder, StudyInfo, open_study
from hpsearch.study.live import Live, LiveSlot, read_live
from hpsearch.study.lock import Holder, boot_id
from hpsearch.study.requests import queued
from hpsearch.study.trial import Trial

__all__ = ["command_to_go_on", "status"]

SILENT = 60.0
"""After so many seconds without a word a run is said to be silent; it speaks every few seconds."""


@click.command(epilog="\b\nExample:\n  hpsearch status\n  hpsearch status --study digits --json")
@study_option
@results_option
@click.option("--json", "as_json", is_flag=True, help="One object with full precision, nothing else.")
def status(study: str | None, results: Path, as_json: bool) -> None:
    """Show what a study does at this moment, from any terminal.

    While a run goes on: who runs it, for how long, and what is trained in each slot. When nothing runs: how the last
    run ended, which trials are open, and the command that goes on with them.
    """
    folder = open_study(results, study)
    found = _Found.of(folder.finals if folder.finals.held else folder)
    if as_json:
        say(json.dumps(found.as_json(results), indent=1))
        return
    for sentence in (*found.who(), *found.how_far()):
        tell(sentence)
    if found.running and found.slots:
        say()
        table(_COLUMNS, [_row(slot, found.trials, found.now) for slot in found.slots])
    if not found.running:
        tell(f"Go on with: {command_to_go_on(found.study, results)}")


def command_to_go_on(study: StudyFolder, results: Path, *, space: Path | None = None) -> str:
    """The command that goes on with a study, with all that its last run was asked for.

    A budget that is used up is doubled, unless a recipe is queued, which is trained all the same.

    Args:
        study: The study.
        results: The folder that holds the studies, as the user calls it.
        space: The space file; None is the one that the study was begun with.
    """
    if (around := study.study_of_finals) is not None:
        return f"hpsearch finals --study {around.name}{_where(results)}"
    info, live = study.info(), read_live(study)
    file = info.space_file if space is None else str(space)
    words = ["hpsearch run", quote(file)]
    if Path(file).stem != study.name:
        words.append(f"--study {quote(study.name)}")
    words += _options(_budgets(study, live))
    # What a study was begun with has to be said again.
    words += [f"--{name} {value}" for name in ("subset", "epochs") if (value := getattr(info, name)) is not None]
    words += [f"--{name.replace('_', '-')}" for name in ("deterministic", "skip_bad_images") if getattr(info, name)]
    words += _options({name: value for name, value in read_asked(study).items() if name not in _BUDGETS})
    if info.data_dir is not None:
        words.append(f"--data-dir {quote(info.data_dir)}")
    return " ".join(words) + _where(results)


_BUDGETS = ("until", "patience")
_TIMES = ("for", "per-trial", "hang-timeout", "checkpoint-every")
_SOME_TRIALS = 20
"""How many trials are named to whoever has asked for none yet."""


def _budgets(study: StudyFolder, live: Live | None) -> dict[str, Said]:
    """What ends the study, by option; what has ended the last run is doubled."""
    asked = read_asked(study)
    budgets: dict[str, Said] = {
        "trials": live.most_trials if live else None,
        "for": live.most_seconds if live else None,
        **{name: asked.get(name) for name in _BUDGETS},
    }
    # The last word of a run whose budget is used up names the option to go on with.
    used_up = re.search(r"(?:higher|longer) --([a-z-]+)", live.note) if live and live.state == "ended" else None
    if used_up is None or queued(study, lambda *_: None):
        return budgets
    value = budgets.get(used_up[1])
    if isinstance(value, int | float):
        budgets[used_up[1]] = 2 * value or _SOME_TRIALS
    return budgets


def _options(values: dict[str, Said]) -> list[str]:
    """Options as they are written; those without a value are left out."""
    words = []
    for name, value in values.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None:
            text = _as_written(float(value)) if name in _TIMES else str(value)
            words.append(f"--{name} {quote(text)}")
    return words


def _where(results: Path) -> str:
    """What a command says of the folder that holds the studies."""
    return "" if str(results) == "results" else f" --results {quote(str(results))}"


def _as_written(seconds: float) -> str:
    """A time as ``--for`` reads it: ``8h``, ``1h30m``, ``90s``."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "1s"


@dataclass(frozen=True)
class _Found:
    """What is known of a study at one moment."""

    study: StudyFolder
    info: StudyInfo
    holder: Holder | None
    live: Live | None
    trials: dict[int, Trial]
    queued: list[str]
    unreadable: list[str]
    now: float

    @classmethod
    def of(cls, study: StudyFolder) -> _Found:
        holder = study.holder()
        live = read_live(study)
        trials = {trial.number: trial for trial in study.trials()}
        bad: list[str] = []
        waiting = [each.name for each in queued(study, lambda _, sentence: bad.append(sentence))]
        return cls(study, study.info(), holder, live, trials, waiting, bad, time.time())

    @property
    def running(self) -> bool:
        """Whether a run holds the study."""
        return self.holder is not None

    @property
    def _own(self) -> Live | None:
        """What the run that goes on says of itself; None where it has not said anything yet."""
        if self.holder is None or self.live is None:
            return None
        return self.live if self.holder.pid in (None, self.live.pid) else None

    @property
    def state(self) -> str:
        """``running``, and so on; ``killed`` for a run that did not say that it ended, ``busy`` for an export."""
        if self.running and self._own is None:
            return "busy"
        if self._own is not None:
            return "stopping" if self._own.state == "ended" else self._own.state
        return "killed" if self.live is not None and self.live.state != "ended" else "ended"

    @property
    def slots(self) -> list[LiveSlot]:
        """What the run that goes on trains."""
        return self._own.slots if self._own else []

    @property
    def open(self) -> list[Trial]:
        """The trials that began and did not end."""
        return [trial for trial in self.trials.values() if trial.state == "RUNNING"]

    @cached_property
    def _ranked(self) -> list[Row]:
        """As on the leaderboard, which leaves repeats out."""
        return rank(self.trials.values(), self.info.objective.startswith("max"))

    @property
    def best(self) -> Trial | None:
        """The best trial so far."""
        return self._ranked[0].trial if self._ranked and self._ranked[0].rank is not None else None

    @property
    def seconds(self) -> float | None:
        """On the clock, over all runs."""
        if self.live is None:
            return None
        own = self._own
        return self.live.seconds + (max(self.now - own.updated, 0.0) if own else 0.0)

    def who(self) -> list[str]:
        """Who runs it, or how the last run ended."""
        name, live = self.study.name, self.live
        if self.holder is not None and self._own is None:
            return [f"Study {name} is held by {self.holder}, which has not said that it trains: an export, say."]
        if self.holder is not None:
            note = f": {one_line(self._own.note)}" if self._own and self._own.note else ""
            said = [f"Study {name} is {self.state}{note}; held by {self.holder}."]
            silent = self.now - self._own.updated if self._own else 0.0
            if silent > SILENT:
                said.append(f"It has not been heard of for {duration(silent)}; it may be stopped or hang.")
            return said
        if live is None:
            return [f"Study {name}: nothing runs, and no run has said how it ended."]
        when = f"{datetime.fromtimestamp(live.updated):%Y-%m-%d %H:%M} ({duration(self.now - live.updated)} ago)"
        if live.state == "ended":
            reason = one_line(live.note).rstrip(".")
            return [f"Study {name}: nothing runs; the last run ended {when}{f': {reason}' if reason else ''}."]
        why = "was killed"
        if live.host == Holder.here().host and live.boot != boot_id():
            why = "ended when the machine went down"
        return [
            f"Study {name}: nothing runs; the last run, process {live.pid} on {live.host}, {why}; last seen {when}."
        ]

    def how_far(self) -> list[str]:
        """How far the study is."""
        ended = [row for row in self._ranked if row.trial.state != "RUNNING"]
        parts = [words for _, words in summary(counts(ended))]
        if self.open:
            names = ", ".join(one_line(trial.name) for trial in self.open)
            parts.append(f"{len(self.open)} {'running' if self.running else 'open'} ({names})")
        said = [f"Trials: {'; '.join(parts) or 'none yet'}."]
        if self.queued:
            said.append(f"Queued: {', '.join(map(one_line, self.queued))}.")
        said += map(one_line, self.unreadable)
        if self.seconds is not None:
            most = self.live.most_seconds if self.live else None
            limit = f" of {duration(most)}" if most is not None else ""
            said.append(f"Time: {duration(self.seconds)}{limit} over all runs.")
        if self.best is not None:
            value = score(self.best.score)
            said.append(f"Best so far ({self.info.objective}): trial {one_line(self.best.name)}, {value}.")
        return said

    def as_json(self, results: Path) -> dict[str, Any]:
        """The same as plain values."""
        ended = [row.trial for row in self._ranked if row.trial.state != "RUNNING"]
        said, best = (self._own if self.running else self.live), self.best
        return {
            "study": self.study.name,
            "state": self.state,
            "running": self.running,
            "note": said.note if said else "",
            "pid": self.holder.pid if self.holder else None,
            "host": self.holder.host if self.holder else None,
            "since": self.holder.since if self.holder else None,
            "updated": self.live.updated if self.live else None,
            "seconds": self.seconds,
            "most_seconds": self.live.most_seconds if self.live else None,
            "most_trials": self.live.most_trials if self.live else None,
            "slots": [asdict(slot) for slot in self.slots],
            "trials": Counter(trial.state for trial in ended),
            "failures": Counter(trial.failure for trial in ended if trial.failure),
            "open": [trial.number for trial in self.open],
            "queued": self.queued,
            "unreadable": self.unreadable,
            "best": {"trial": best.name, "number": best.number, "score": best.score} if best else None,
            "go_on": None if self.running else command_to_go_on(self.study, results),
        }


_COLUMNS = [
    Column("Device"),
    Column("Trial"),
    Column("Epoch", right=True),
    Column("Step", right=True, drop=2),
    Column("Score", right=True),
    Column("Time", right=True, drop=3),
    Column("Process", right=True, drop=1),
    Column("Recipe", wraps=True),
]


def _row(slot: LiveSlot, trials: dict[int, Trial], now: float) -> Sequence[Cell]:
    trial = trials.get(slot.trial) if slot.trial is not None else None
    busy = slot.trial is not None
    texts = [
        slot.device,
        one_line(slot.name or str(slot.trial)) if busy else "idle",
        f"{slot.epoch}/{slot.epochs}" if busy and slot.epochs else "-",
        f"{slot.step}/{slot.steps or '?'}" if busy and slot.step is not None else "-",
        score(slot.score) if busy else "-",
        duration(now - slot.started) if busy else "-",
        str(slot.pid) if slot.pid is not None else "-",
        describe(trial.recipe) if trial else "",
    ]
    return [Cell(text) for text in texts]
