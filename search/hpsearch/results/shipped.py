"""What an export says of itself: the networks, what they score on the test part, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.results.finals import Verdict
from hpsearch.results.formats import Converted
from hpsearch.results.tested import Tested
from hpsearch.results.verdict import estimate, verdict

__all__ = ["Export", "Seeds", "every_seed"]


@dataclass(frozen=True)
class Seeds:
    """What the networks of one recipe score on the test part, each trained with another seed.

    Args:
        seeds: Their seeds; the first one's network was fixed for the export.
        scores: Accuracy, or mean absolute error, of each.
        mean: Of the scores.
        low: Lower bound of the 95 % interval of the mean, over seeds and test images; None with one seed.
        high: Upper bound.
        difference: The mean minus that of the best hand-made network; None where this is it, or there is none.
        difference_low: Lower bound of its 95 % interval, paired by seed and image.
        difference_high: Upper bound.
        verdict: What the difference says; None where nothing can be said.
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


def every_seed(
    seeds: Sequence[int], rows: Sequence[Sequence[float]], other: Sequence[Sequence[float]] = (), *, maximize: bool
) -> Seeds:
    """The scores of several seeds with mean and interval, and beside another recipe's; see `results.verdict`.

    Args:
        seeds: The seeds.
        rows: For each, what each row of the test part contributed: 1 or 0, or an absolute error.
        other: The same of the best hand-made network, whose seeds are the same; empty without one.
        maximize: Whether more is better.
    """
    import numpy as np

    values = np.array(rows)
    found = estimate(values)
    low, high = found.low, found.high
    if low is not None and high is not None:
        low, high = max(low, 0.0), min(high, 1.0) if maximize else high
    scores = [float(row.mean()) for row in values]
    if len(other) != len(rows):
        return Seeds(list(seeds), scores, found.mean, low, high)
    apart = estimate(values - np.array(other))
    said = verdict(apart, maximize=maximize)
    return Seeds(list(seeds), scores, found.mean, low, high, apart.mean, apart.low, apart.high, said)
