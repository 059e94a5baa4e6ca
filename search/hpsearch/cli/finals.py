"""``hpsearch finals``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.lanes import doubt, lanes_option
from hpsearch.cli.options import backend_option, data_dir_option, use_data_dir, xla_option
from hpsearch.cli.output import (
    Cell,
    Column,
    Duration,
    PositiveWhole,
    on_terminal,
    one_line,
    results_option,
    say,
    score,
    study_option,
    table,
    tell,
    telling,
)
from hpsearch.results.examples import examples
from hpsearch.results.finals import Finalist, Finals
from hpsearch.wording import difference

if TYPE_CHECKING:
    from hpsearch.coordinator.agenda import Repeat
    from hpsearch.events import Watcher
    from hpsearch.hardware import Xla
    from hpsearch.results.contest import Terms
    from hpsearch.space import Objective
    from hpsearch.study.folder import StudyFolder, StudyInfo
    from hpsearch.study.trial import Trial

__all__ = ["Asked", "final_screen", "finals", "finals_options", "say_what_counts", "say_what_starts", "show_finals"]


@dataclass(frozen=True)
class Asked:
    """What the options ask of finals; None is what finals do where nothing is said.

    Args:
        top: How many of the recipes that were found take part.
        baselines: How many of the networks made by hand.
        seeds: With how many seeds each is trained.
        seconds: How long to train.
        devices: On which devices.
        backend: With which backend.
        xla: Whether compiled with XLA.
        per_device: How many processes on each.
    """

    top: int | None
    baselines: int | None
    seeds: int | None
    seconds: float | None
    devices: str | None
    backend: str | None
    xla: Xla | None
    per_device: int

    def terms(self, data_dir: Path | None) -> Terms:
        """The same for whoever holds them.

        Args:
            data_dir: Where data is looked for first.
        """
        from hpsearch.hardware import HardwareOptions
        from hpsearch.repeats import Workplace
        from hpsearch.results.contest import Terms

        workplace = Workplace(self.seconds, HardwareOptions(self.devices, self.backend, self.xla), self.per_device)
        return Terms(self.top, self.baselines, self.seeds, workplace, data_dir)


def finals_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how finals are held; the command is given them as ``asked``."""

    @wraps(command)
    def collected(**given: Any) -> None:
        command(asked=Asked(**{field.name: given.pop(field.name) for field in fields(Asked)}), **given)

    for option in reversed(
        (
            click.option(
                "--top",
                type=click.IntRange(min=0),
                metavar="K",
                help="How many of the best recipes that were found take part; 3 if not given.",
            ),
            click.option(
                "--baselines",
                type=PositiveWhole(),
                metavar="B",
                help="How many of the best hand-made networks take part; 1 if not given.",
            ),
            click.option(
                "--seeds",
                type=PositiveWhole(),
                metavar="N",
                help="With how many seeds each is trained; 3 if not given, and with one there is no interval.",
            ),
            click.option(
                "--for",
                "seconds",
                type=Duration(),
                metavar="TIME",
                help="How long to train in the finals, over all calls: 2h, 30m.",
            ),
            click.option("--devices", metavar="WHICH", help="As in hpsearch run: cpu, all, auto, or numbers of GPUs."),
            backend_option,
            xla_option,
            click.option(
                "--per-device",
                type=PositiveWhole(),
                default=1,
                show_default=True,
                metavar="N",
                help="How many processes train on a device at a time.",
            ),
            lanes_option,
        )
    ):
        collected = option(collected)
    return collected


@click.command(epilog="\b\nExample:\n  hpsearch finals\n  hpsearch finals --study cifar --top 5 --seeds 5 --for 4h")
@study_option
@finals_options
@click.option("--json", "as_json", is_flag=True, help="What the finals say as one JSON object, nothing else.")
@data_dir_option
@results_option
def finals(
    study: str | None,
    asked: Asked,
    as_json: bool,
    data_dir: Path | None,
    results: Path,
) -> None:
    """Train the best recipes and the best hand-made networks again, to see which score was luck.

    Each is trained from scratch with several seeds, the same for all, on the same split as in the search. The mean over
    the seeds counts; its interval holds what another seed and another validation part would change. What was trained
    stays: the same command goes on, and a higher --top or --seeds adds to it.
    """
    from hpsearch.results.contest import hold_finals
    from hpsearch.study.folder import open_study

    folder = open_study(results, study)
    folder = folder.study_of_finals or folder
    terms = asked.terms(use_data_dir(data_dir))
    with folder.writing():
        starting = partial(say_what_starts, folder, quiet=as_json)
        show = final_screen(folder, quiet=as_json)
        found, stopped = hold_finals(folder, terms, show, starting, telling(as_json))
    if as_json:
        say(json.dumps(asdict(found), indent=2, allow_nan=False))
        return
    show_finals(found, folder.info())
    say_what_counts(found, asked.seeds)
    where = "" if str(results) == "results" else f" --results {results}"
    _say_what_is_doubtful(folder, results)
    go_on = stopped or (not found.complete and found.compared < len(found.seeds))
    tell(f"{'Go on with: hpsearch finals' if go_on else 'Next: hpsearch export-best'} --study {folder.name}{where}")


def _say_what_is_doubtful(study: StudyFolder, results: Path) -> None:
    found = [said for trial in study.finals.trials() if (said := doubt(study.finals, trial, results))]
    if found:
        tell(f"{len(found)} of these trainings are doubtful. {found[0]}")


def final_screen(
    study: StudyFolder, *, quiet: bool
) -> Callable[[Objective, Trial | None], AbstractContextManager[Watcher]]:
    """Whatever shows finals while they are held: a live screen on a terminal, lines elsewhere.

    Args:
        study: The study that they are of.
        quiet: Whether nothing is shown.
    """

    def screen(objective: Objective, best: Trial | None) -> AbstractContextManager[Watcher]:
        from contextlib import nullcontext

        from hpsearch.cli.lines import PlainLines
        from hpsearch.cli.screen import LiveScreen
        from hpsearch.events import Silent

        if quiet:
            return nullcontext(Silent())
        kind = LiveScreen if on_terminal() else PlainLines
        return kind(objective.metric, objective.maximize, study.finals.name, best=best)

    return screen


def say_what_starts(study: StudyFolder, left: Sequence[Repeat], *, quiet: bool) -> None:
    """Say what finals are about to train.

    Args:
        study: The study that they are of.
        left: What is left to train.
        quiet: Whether nothing is said.
    """
    if quiet:
        return
    names = list(dict.fromkeys(one_line(repeat.finalist.name) for repeat in left))
    seeds = len({repeat.seed for repeat in left})
    times = f"{seeds} seed{'' if seeds == 1 else 's'}"
    say(f"Finals of study {study.name}: {', '.join(names)}, with {times}; {len(left)} trainings are left.")


# ---- what they say


def say_what_counts(found: Finals, seeds: int | None) -> None:
    """Say so where fewer seeds were asked for than all were trained with before.

    Args:
        found: What the finals say.
        seeds: How many were asked for, or None.
    """
    if seeds is not None and seeds < found.compared:
        say(f"--seeds {seeds}: all were trained with {found.compared} seeds before, and all of these count.")


def show_finals(finals: Finals, info: StudyInfo) -> None:
    """Print the finalists, the best first, and in words what that means.

    Args:
        finals: What the finals say.
        info: The study that they are of.
    """
    measured_on = f"{finals.validation:,} validation {examples(info)}"
    say()
    say(f"Finals of {finals.study}: {finals.objective}, {len(finals.seeds)} seeds, {measured_on}")
    say()
    columns = [
        Column("finalist"),
        Column("search", right=True, drop=1),
        *(Column(f"seed {place}", right=True, drop=2) for place in range(1, len(finals.seeds) + 1)),
        Column("mean", right=True),
        Column("95 % interval", right=True),
        Column("to by hand", right=True),
        Column("verdict", wraps=True),
    ]
    table(columns, [_row(finals, finalist) for finalist in finals.finalists])
    say()
    for sentence in _sentences(finals):
        tell(sentence)


def _row(finals: Finals, finalist: Finalist) -> list[Cell]:
    bold = "bold" if finalist.trial == finals.chosen else ""
    name = f"{one_line(finalist.name)}{' *' if finalist.baseline else ''}"
    texts = [name, score(finalist.search), *map(score, finalist.scores), score(finalist.mean)]
    apart = difference(finalist.difference, finalist.difference_low, finalist.difference_high)
    texts += [_between(finalist.low, finalist.high), apart]
    return [*(Cell(text, bold) for text in texts), Cell(_verdict(finals, finalist), _STYLES.get(finalist.verdict, ""))]


_FEW = 4
"""With fewer seeds, a spread between them leaves intervals wide."""
_STYLES = {"better": "green", "worse": "red", "tie": "yellow", None: ""}


def _between(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{score(low)} to {score(high)}"


def _verdict(finals: Finals, finalist: Finalist) -> str:
    """``better than by_hand``, ``tie with by_hand; tie with chance``, ``failed: ...``."""
    if finalist.failure:
        return f"failed, {one_line(finalist.failure)}"
    reference = finals.finalist(finals.reference)
    words = {"better": "better than", "worse": "worse than", "tie": "tie with"}
    said = []
    if finalist.verdict is not None and reference is not None:
        said.append(f"{words[finalist.verdict]} {one_line(reference.name)}")
    elif finalist.trial == finals.reference:
        said.append("the best made by hand")
    if finalist.chance in ("tie", "worse"):
        said.append(f"{words[finalist.chance]} chance")
    return "; ".join(said) or "-"


def _sentences(finals: Finals) -> list[str]:
    said = []
    maximize = finals.objective.startswith("max")
    if finals.without_interval:
        said.append(f"No intervals and no verdicts: {finals.without_interval}.")
    if not finals.complete and finals.chosen is not None and finals.compared < len(finals.seeds):
        done = f"{finals.compared} of {len(finals.seeds)} seeds"
        said.append(f"Only {done} were trained for every finalist so far, and are compared; the same command goes on.")
    best = finals.finalist(finals.chosen)
    for each in finals.finalists:
        if each.search is not None and each.low is not None and each.high is not None:
            lucky = each.search > each.high if maximize else each.search < each.low
            if lucky:
                told = f"{score(each.search)} in the search and {score(each.mean)} here"
                said.append(f"{_called(each)} scored {told}: in the search it was lucky.")
    if best is not None and best.chance in ("tie", "worse"):
        at = f" ({score(finals.chance)})" if finals.chance is not None else ""
        few = "; more --seeds would tell more" if finals.compared < _FEW else ""
        said.append(f"Even the best cannot be told from answering without looking{at}{few}.")
    elif best is not None and best.verdict == "tie":
        reference = finals.finalist(finals.reference)
        name = one_line(reference.name) if reference else ""
        said.append(f"{_called(best)} has the best mean, and cannot be told from {name}, made by hand: a tie.")
    elif best is not None:
        said.append(f"{_called(best)} has the best mean.")
    return said


def _called(finalist: Finalist) -> str:
    name = one_line(finalist.name)
    return name if finalist.baseline else f"Trial {name}"
