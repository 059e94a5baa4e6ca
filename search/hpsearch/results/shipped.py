"""What an export says of itself: the networks, what they score on the test part, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.metrics import METRICS
from hpsearch.results.finals import Verdict
from hpsearch.results.formats import Converted
from hpsearch.results.intervals import wilson
from hpsearch.results.jackknife import contributions, measurable
from hpsearch.results.tested import Tested
from hpsearch.results.verdict import Estimate, estimate, verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Export", "Networks", "Seeds", "every_seed"]


@dataclass(frozen=True)
class Networks:
    """What the networks of one recipe gave on the test part, one for each seed.

    Args:
        scores: All that each scores there, as `hpsearch.training.scoring` says it.
        answers: What each gave: probabilities (n, classes) or amounts (n, 1), float.
    """

    scores: Sequence[Mapping[str, float]]
    answers: Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Seeds:
    """What the networks of one recipe score on the test part, each trained with another seed.

    Args:
        seeds: Their seeds; the first one's network was fixed for the export.
        scores: The metric of the search, or another that is known of a test part, of each.
        mean: Of the scores.
        low: Lower bound of the 95 % interval of the mean, over seeds and test rows; None where none is known.
        high: Upper bound.
        difference: The mean minus that of the best hand-made network; None where this is it, or there is none.
        difference_low: Lower bound of its 95 % interval, paired by seed and row.
        difference_high: Upper bound.
        verdict: What the difference says; None where nothing can be said.
        metric: Which, without ``val_``; empty in what was written when it was always accuracy, or ``mae`` of amounts.
        without_interval: Why there is no interval; empty where there is one.
    """

    seeds: list[int]
    scores: list[float]
    mean: float
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    verdict: Verdict | None = None
    metric: str = ""
    without_interval: str = ""


@dataclass(frozen=True)
class Export:
    """What was written.

    Args:
        folder: Where.
        chosen: The exported network.
        baseline: The best hand-made one beside it, or None where there is none or it is the chosen one.
        train_images: How many images the networks were retrained on.
        test_images: How many images the test part has.
        difference: The largest difference between the answers the model gave when it was saved and those it gave when a
            fresh process had loaded it; of amounts as a share of them.
        before: Whether all this was written by an earlier call, and nothing was opened now.
        seeds: The networks of the chosen recipe, each with its seed.
        baseline_seeds: Those of the best hand-made one, or None.
        finals: Whether finals chose it, and not the score of the search alone.
        ensemble: Whether the exported model answers with the mean of all seeds.
        formats: What became of each format that was asked for besides Keras's own.
    """

    folder: Path
    chosen: Tested
    baseline: Tested | None
    train_images: int
    test_images: int
    difference: float
    before: bool = False
    seeds: Seeds | None = None
    baseline_seeds: Seeds | None = None
    finals: bool = False
    ensemble: bool = False
    formats: tuple[Converted, ...] = ()

    @property
    def metric_of_seeds(self) -> str:
        """What the scores of the seeds are of."""
        return (self.seeds.metric if self.seeds else "") or self.chosen.told[-1].metric


def every_seed(
    metric: str, seeds: Sequence[int], chosen: Networks, other: Networks | None, labels: NDArray[Any]
) -> Seeds:
    """The scores of several seeds with mean and interval, and beside another recipe's; see `results.verdict`.

    Args:
        metric: What the search looked at, with or without ``val_``. What is not known of a test part, or is of another
            unit there, is told as accuracy, or as mean absolute error.
        seeds: The seeds.
        chosen: The networks, one for each seed.
        other: Those of the best hand-made recipe, whose seeds are the same; None without one.
        labels: Positions in the class names (n,), whole numbers, or amounts (n,), float.
    """
    metric = _told(metric.removeprefix("val_"), chosen.scores[0])
    scores = [float(each[metric]) for each in chosen.scores]
    found = Seeds(list(seeds), scores, sum(scores) / len(scores), metric=metric)
    if other is not None:
        found = replace(found, difference=found.mean - sum(each[metric] for each in other.scores) / len(other.scores))
    why = measurable(metric, amounts=labels.dtype.kind == "f")
    if why or len(seeds) < 2:
        return replace(found, without_interval=why or "one seed says nothing of another")
    values = _contributed(metric, chosen, labels)
    if _same(metric, values):
        return replace(found, without_interval=f"no row of the test part makes a difference to the {metric}")
    low, high = _bounds(metric, estimate(values), len(labels))
    found = replace(found, low=low, high=high)
    apart = values - _contributed(metric, other, labels) if other is not None else None
    if apart is None or _same(metric, apart):
        return found
    known = estimate(apart)
    said = verdict(known, maximize=METRICS[metric].maximize)
    return replace(found, difference=known.mean, difference_low=known.low, difference_high=known.high, verdict=said)


def _told(metric: str, scores: Mapping[str, float]) -> str:
    """As `results.tested` tells it: the loss of a search is of amounts in units of a training."""
    usual = "accuracy" if "accuracy" in scores else "mae"
    return metric if metric in scores and metric in METRICS and (metric, usual) != ("loss", "mae") else usual


def _contributed(metric: str, networks: Networks, labels: NDArray[Any]) -> NDArray[Any]:
    """What each row has to do with the score of each seed (seeds, n)."""
    import numpy as np

    both = zip(networks.answers, networks.scores, strict=True)
    return np.stack([contributions(metric, answers, labels, scores[metric]) for answers, scores in both])


def _same(metric: str, values: NDArray[Any]) -> bool:
    """Whether rows tell nothing of how sure it is, as with an area of 1; of a share it is known all the same."""
    return metric != "accuracy" and bool((values.max(axis=1) == values.min(axis=1)).all())


def _bounds(metric: str, found: Estimate, rows: int) -> tuple[float | None, float | None]:
    """An interval within what the metric can be; where no answer differs, that of a share with so few wrong."""
    low, high = found.low, found.high
    if low is None or high is None:
        return None, None
    if metric == "accuracy" and low == high:
        return wilson(round(found.mean * rows), rows)
    return low if metric == "r2" else max(low, 0.0), min(high, 1.0) if METRICS[metric].maximize else high
