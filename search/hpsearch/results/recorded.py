"""What was measured beside the objective: the metrics that histories hold, at the best epoch of a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hpsearch.study.folder import StudyFolder
from hpsearch.study.trial import Epoch, Trial, TrialFolder, finite

__all__ = ["at_best", "recorded_in"]


def recorded_in(folders: Iterable[StudyFolder]) -> list[str]:
    """The metrics that the histories of some studies hold, in their order; of each only the first line is read.

    Args:
        folders: The studies.
    """
    paths = (path for folder in folders for path in sorted(folder.path.glob("trials/[0-9]*")))
    return list(dict.fromkeys(name for path in paths for name in TrialFolder(path).recorded()))


def at_best(
    folder: TrialFolder, trial: Trial, names: Sequence[str], metric: str, maximize: bool
) -> Mapping[str, float | None]:
    """Metrics of a trial at the epoch of its score, or, while that is not known, at the best so far.

    Args:
        folder: Of the trial.
        trial: Its record.
        names: The metrics; one that was not recorded, or is not finite, is None.
        metric: The metric of the objective.
        maximize: Whether more of that is better.
    """
    epoch = _best(folder.history(), trial, metric, maximize)
    return {name: finite(epoch.metrics.get(name)) if epoch else None for name in names}


def _best(history: Sequence[Epoch], trial: Trial, metric: str, maximize: bool) -> Epoch | None:
    if trial.best_epoch is not None:
        return next((each for each in history if each.epoch == trial.best_epoch), None)
    scored = [(value, each) for each in history if (value := finite(each.metrics.get(metric))) is not None]
    if not scored:
        return None
    best = (max if maximize else min)(value for value, _ in scored)
    return next(each for value, each in scored if value == best)  # the first one, as in training
