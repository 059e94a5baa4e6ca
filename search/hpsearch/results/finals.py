"""What finals found, as ``finals.json`` in the folder of a study holds it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder

__all__ = ["Finalist", "Finals", "Verdict", "read_finals", "write_finals"]

Verdict = Literal["better", "worse", "tie"]


@dataclass(frozen=True)
class Finalist:
    """A recipe that was trained again.

    Args:
        trial: Its trial in the study.
        name: What people call that.
        baseline: The name of the hand-made network it is, or None.
        hash: The hash of its recipe.
        parameters: How many parameters it has.
        search: Its score in the search.
        scores: Its score with each seed, in the order of `Finals.seeds`; None where it was not trained so far.
        mean: Over the seeds that are compared.
        low: Lower bound of the 95 % interval of the mean, over seeds and validation examples; None where there is none.
        high: Upper bound.
        difference: The mean minus that of the best hand-made finalist, paired by seed and example; None where it is the
            one itself, or there is none.
        difference_low: Lower bound of the 95 % interval of the difference.
        difference_high: Upper bound.
        verdict: What the difference says; None where nothing can be said.
        chance: What the difference to answering without looking says: ``tie`` is a tie with chance.
        failure: Why it is out of the running; empty while it is not.
    """

    trial: int
    name: str
    baseline: str | None
    hash: str
    parameters: int | None
    search: float | None
    scores: list[float | None]
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    verdict: Verdict | None = None
    chance: Verdict | None = None
    failure: str = ""


@dataclass(frozen=True)
class Finals:
    """What finals found so far.

    Args:
        study: The name of the study.
        objective: Such as ``max val_accuracy``.
        seeds: The seeds that all finalists are trained with.
        compared: How many of these, from the first, every finalist in the running was trained with: only these count.
        complete: Whether nothing is left to train.
        validation: How many examples scores are measured on.
        finalists: The best mean first, those without one last.
        reference: The trial of the best hand-made finalist, which the others are compared with; None where none is.
        chosen: The trial with the best mean; None while none has one.
        chance: What answering without looking scores; None where that is not known.
        without_interval: Why there are no intervals; empty where there are.
        top: How many found recipes were asked for.
        baselines: How many hand-made ones.
    """

    study: str
    objective: str
    seeds: list[int]
    compared: int
    complete: bool
    validation: int
    finalists: list[Finalist] = field(default_factory=list)
    reference: int | None = None
    chosen: int | None = None
    chance: float | None = None
    without_interval: str = ""
    top: int = 3
    baselines: int = 1

    def finalist(self, trial: int | None) -> Finalist | None:
        """A finalist by its trial in the study; None where it is none.

        Args:
            trial: The number of the trial.
        """
        return next((each for each in self.finalists if each.trial == trial), None)


_FILE = "finals.json"


def read_finals(study: StudyFolder) -> Finals | None:
    """What the finals of a study found; None where they were not begun, or where it cannot be read.

    Args:
        study: The study.
    """
    try:
        said = read_json(study.path / _FILE)
        finalists = [Finalist(**_known(Finalist, each)) for each in said["finalists"]]
        return Finals(**{**_known(Finals, said), "finalists": finalists})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_finals(study: StudyFolder, finals: Finals) -> None:
    """Write what the finals of a study found, atomically.

    Args:
        study: The study.
        finals: It.

    Raises:
        OSError: It cannot be written.
    """
    write_json(study.path / _FILE, dataclasses.asdict(finals))


def _known(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Values of an object; what a later version adds is passed over."""
    names = {each.name for each in dataclasses.fields(cls)}
    return {name: value for name, value in values.items() if name in names}
