"""From the record of finals to what they say: means, intervals, differences and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.coordinator.agenda import Repeat
from hpsearch.coordinator.rounds import repeated
from hpsearch.results.finals import Finalist, Finals
from hpsearch.results.intervals import wilson
from hpsearch.results.jackknife import chance, contributions, measurable
from hpsearch.results.verdict import Estimate, estimate, luck_of_epochs, verdict
from hpsearch.study.folder import StudyFolder
from hpsearch.study.trial import Trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["judged"]

_SHARES = ("accuracy", "auc", "f1", "precision", "recall")
"""Metrics from 0 to 1."""


def judged(study: StudyFolder, repeats: Sequence[Repeat]) -> Finals:
    """What finals say so far.

    Args:
        study: The study.
        repeats: The recipes that are trained again, with their seeds.
    """
    return _Judge(study, repeats).finals()


@dataclass
class _Side:
    """A finalist while it is judged.

    Args:
        trial: Its trial in the study.
        finals: What was trained of it to its end, by seed.
        failure: Why it is out of the running.
        values: What each example contributed to the score of each seed (seeds, examples), or None.
    """

    trial: Trial
    finals: dict[int, Trial]
    failure: str
    values: NDArray[Any] | None = None


class _Judge:
    """Reads the record of finals."""

    def __init__(self, study: StudyFolder, repeats: Sequence[Repeat]) -> None:
        self.study = study
        self.info = study.info()
        direction, metric = self.info.objective.split()
        self.maximize, self.metric = direction == "max", metric.removeprefix("val_")
        self.seeds = list(dict.fromkeys(repeat.seed for repeat in repeats))
        entrants = {repeat.finalist.number: repeat.finalist for repeat in repeats}
        self.sides = self._read(list(entrants.values()))
        running = [side for side in self.sides if not side.failure]
        self.compared = 0
        while running and self.compared < len(self.seeds) and self._all_have(running, self.seeds[self.compared]):
            self.compared += 1

    @staticmethod
    def _all_have(sides: Sequence[_Side], seed: int) -> bool:
        return all(seed in side.finals for side in sides)

    def _read(self, entrants: Sequence[Trial]) -> list[_Side]:
        trials = self.study.finals.trials()
        done = {repeated(trial): trial for trial in trials if trial.state == "COMPLETE" and trial.score is not None}
        lost = [trial for trial in trials if trial.state in ("FAIL", "PRUNED") and trial.failure != "interrupted"]
        out = {trial.parent: trial for trial in reversed(lost) if repeated(trial) not in done}
        sides = []
        for each in entrants:
            found = {seed: done[each.number, seed] for seed in self.seeds if (each.number, seed) in done}
            sides.append(_Side(each, found, _reason(out[each.number]) if each.number in out else ""))
        return sides

    def finals(self) -> Finals:
        """All that can be said."""
        why = self._contributions()
        found = [self._finalist(side) for side in self.sides]
        found.sort(key=self._place)
        means = [each for each in found if each.mean is not None]
        reference = next((each for each in means if each.baseline), None)
        level = self._chance() if not why else None
        running = [side for side in self.sides if not side.failure]
        return Finals(
            study=self.study.name,
            objective=self.info.objective,
            seeds=self.seeds,
            compared=self.compared,
            complete=bool(running) and self.compared == len(self.seeds),
            validation=self.info.validation_images,
            finalists=[self._compared(each, reference, level) for each in found],
            reference=reference.trial if reference else None,
            chosen=means[0].trial if means else None,
            chance=float(level.mean()) if level is not None else None,
            without_interval=why,
        )

    def _place(self, finalist: Finalist) -> tuple[bool, float, int]:
        mean = finalist.mean
        return mean is None, -(mean or 0.0) if self.maximize else (mean or 0.0), finalist.trial

    # ---- what each example contributed

    def _contributions(self) -> str:
        """Read what all finalists in the running said; returns why there can be no intervals."""
        if not self.compared:
            return "no seed was trained for every finalist so far"
        why = measurable(self.metric, amounts=not self.info.class_names)
        try:
            self.labels = _array(self.study.finals.path / "validation_labels.npz", "labels")
            for side in self.sides if not why else ():
                if not side.failure:
                    side.values = self._values(side)
        except (OSError, ValueError, KeyError) as error:
            why = f"what the finals said of validation cannot be read ({type(error).__name__}: {error})"
        if not why and self.compared == 1:
            why = "one seed says nothing of another; more are trained with --seeds"
        return why

    def _values(self, side: _Side) -> NDArray[Any]:
        import numpy as np

        rows = []
        for seed in self.seeds[: self.compared]:
            final = side.finals[seed]
            said = _array(self.study.finals.trial(final.number).path / "validation.npz", "predictions")
            rows.append(contributions(self.metric, said, self.labels, final.score))
        return np.stack(rows)

    def _chance(self) -> NDArray[Any] | None:
        return chance(self.metric, self.labels, len(self.info.class_names))

    # ---- what is made of them

    def _finalist(self, side: _Side) -> Finalist:
        trial = side.trial
        scores = [side.finals[seed].score if seed in side.finals else None for seed in self.seeds]
        known = [score for score in scores[: self.compared] if score is not None]
        found = Finalist(
            trial=trial.number,
            name=trial.name,
            baseline=trial.baseline,
            hash=trial.hash,
            parameters=trial.parameters,
            search=trial.score,
            scores=scores,
            mean=sum(known) / len(known) if known and not side.failure else None,
            failure=side.failure,
        )
        if side.values is None or found.mean is None:
            return found
        bounds = self._bounded(estimate(side.values))
        return replace(found, low=bounds.low, high=bounds.high)

    def _bounded(self, found: Estimate) -> Estimate:
        """An interval within what the metric can be; where nothing varies, that of a share with so few wrong."""
        if found.low is None or found.high is None or self.metric not in _SHARES:
            return found
        low, high = max(found.low, 0.0), min(found.high, 1.0)
        if self.metric == "accuracy" and low == high:
            low, high = wilson(round(found.mean * len(self.labels)), len(self.labels))
        return Estimate(found.mean, low, high)

    def _compared(self, finalist: Finalist, reference: Finalist | None, level: NDArray[Any] | None) -> Finalist:
        side = self._side(finalist)
        if side.values is None:
            mean, against = finalist.mean, reference.mean if reference and reference is not finalist else None
            return replace(finalist, difference=mean - against if mean is not None and against is not None else None)
        if level is not None:
            finalist = replace(finalist, chance=self._above_chance(side, side.values - level))
        if reference is None or reference.trial == finalist.trial:
            return finalist
        other = self._side(reference).values
        assert other is not None  # it has a mean, as this one has
        difference = estimate(side.values - other)
        return replace(
            finalist,
            difference=difference.mean,
            difference_low=difference.low,
            difference_high=difference.high,
            verdict=verdict(difference, maximize=self.maximize),
        )

    def _above_chance(self, side: _Side, above: NDArray[Any]) -> Any:
        """What the distance to chance says; better is only what the luckiest of the epochs does not explain."""
        assert side.values is not None  # as the caller has made sure
        epochs = [max(side.finals[seed].epochs, 1) for seed in self.seeds[: self.compared]]
        luck = luck_of_epochs(side.values, epochs)
        found = verdict(estimate(above), maximize=self.maximize)
        if found != "better":
            return found
        shifted = verdict(estimate(above - luck if self.maximize else above + luck), maximize=self.maximize)
        return "better" if shifted == "better" else "tie"

    def _side(self, finalist: Finalist) -> _Side:
        return next(side for side in self.sides if side.trial.number == finalist.trial)


def _reason(final: Trial) -> str:
    kind = f"{final.failure}: " if final.failure else ""
    return f"{kind}{final.message or 'it was stopped'}"


def _array(path: Path, name: str) -> NDArray[Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        found: NDArray[Any] = archive[name]
    return found
