"""Which trials are ranked together: those whose data, split and objective agree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from hpsearch.results.examples import examples
from hpsearch.results.leaderboard import Row, rank, ranked
from hpsearch.study.folder import StudyInfo
from hpsearch.study.trial import Trial
from hpsearch.wording import code_on_a_line

__all__ = ["Board", "Entered", "board", "disagreement", "of_objective"]


@dataclass(frozen=True)
class Entered:
    """A study that is to be ranked.

    Args:
        info: Who it is.
        trials: Its trials, in any order.
        training: The numbers of those that are being trained now.
    """

    info: StudyInfo
    trials: Sequence[Trial]
    training: Collection[int] = ()


@dataclass(frozen=True)
class Board:
    """Trials that were ranked together.

    Args:
        rows: The best first.
        left_out: A sentence for whatever was left out of the ranking.
    """

    rows: list[Row]
    left_out: list[str] = field(default_factory=list)


def of_objective(objective: str) -> tuple[str, bool]:
    """Metric and whether more is better, of ``max val_accuracy``; the space was checked when the study began."""
    word, _, metric = objective.partition(" ")
    return metric, word == "max"


def board(first: Entered, others: Sequence[Entered] = ()) -> Board:
    """Rank the trials of a study, and with them those of other studies that were measured alike.

    Within a study all trials agree: a run that finds another subset, other data or another objective is refused.

    Args:
        first: The study.
        others: More studies.
    """
    metric, maximize = of_objective(first.info.objective)
    rows: list[Row] = []
    said: list[str] = []
    for study in (first, *others):
        name, trials = study.info.name, study.trials
        if why := disagreement(first.info, study.info):
            said.append(f"left out: {_counted(len(trials), 'trial')} of study {name}: {why}")
            continue
        images = study.info.validation_images
        rows += rank(trials, maximize, study.training, metric=metric, images=images, study=name)
        if repeats := sum(trial.failure == "duplicate" for trial in trials):
            said.append(f"left out: {_counted(repeats, 'proposal')} that repeated a trial")
    return Board(ranked(rows, maximize), said)


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def disagreement(first: StudyInfo, other: StudyInfo) -> str:
    """Why the scores of two studies cannot be compared, as the end of a sentence; empty where they can.

    Epochs, input size, precision and engine belong to the recipe; seeds and strategies say only how recipes were found.

    Args:
        first: The study that the other one is compared with.
        other: The other.
    """
    if first.objective != other.objective:
        return f"its objective is {other.objective}, not {first.objective}"
    if first.data_fingerprint == other.data_fingerprint:
        return ""
    if first.data_text != other.data_text:
        return f"its data is {code_on_a_line(other.data_text)}, not {code_on_a_line(first.data_text)}"
    if first.subset != other.subset:
        return f"it was begun {_begun(other.subset)}, {first.name} {_begun(first.subset)}"
    return f"its {examples(first)}, labels or split are others than those of {first.name}"


def _begun(subset: int | None) -> str:
    return "without --subset" if subset is None else f"with --subset {subset}"
