"""Which of two networks is better, as far as several seeds and one validation part can tell.

A score of a finalist has two sources of chance: the seed of a training and the examples it was measured on. All
finalists are trained with the same seeds and measured on the same examples, so both are crossed: with S seeds and n
examples there is a matrix (S, n) of what each example contributed to the score of each seed (`jackknife`). Its mean is
the score; its variance, with mean squares MS of a two-way analysis of variance over seeds, over examples and of what
is left, is estimated by

    max(MS_seeds + max(MS_examples - MS_left, 0), MS_left) / (S n)

(no less than if all S n were independent, though seeds may happen to agree to the last example), and the interval is
that of Student's t with Satterthwaite's degrees of freedom. That is the analysis by which several readers of the same
X-rays are compared, with seeds for readers and examples for X-rays: Dorfman, Berbaum and Metz, "Receiver operating
characteristic rating analysis: generalization to the population of readers and patients with the jackknife method",
Investigative Radiology 1992, with the degrees of freedom of Hillis, "A comparison of denominator degrees of freedom
methods for multiple observer ROC analysis", Statistics in Medicine 2007, never more than there are examples for. Two
finalists are compared by the matrix of their differences, paired by seed and by example. Where the interval of the mean
difference holds 0, that is a tie.

Owen's pigeonhole bootstrap ("The pigeonhole bootstrap", Annals of Applied Statistics 2007), which draws seeds and
examples anew, estimates the same two parts of the variance; but with three seeds it finds a third too little of that of
the seeds, and its percentiles know nothing of how rough an estimate from three is. Student's t does: it is 4.3 instead
of 2 where all the spread is between three seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from hpsearch.results.finals import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Estimate", "estimate", "luck_of_epochs", "student", "verdict"]

LEVEL = 0.95
"""How often intervals hold what they are of."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Args:
        mean: Over seeds and examples.
        low: Lower bound of the 95 % interval; None where there is none, as with one seed.
        high: Upper bound.
    """

    mean: float
    low: float | None = None
    high: float | None = None


def estimate(values: NDArray[Any]) -> Estimate:
    """The mean of a matrix whose rows and columns were both drawn at random, with its interval; see the module.

    Args:
        values: What each example contributed to the score of each seed (seeds, examples), float. One seed says
            nothing about others, and one example nothing about others: then there is a mean and no interval.
    """
    seeds, examples = values.shape
    mean = float(values.mean())
    if seeds < 2 or examples < 2:
        return Estimate(mean)
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    left = values - rows[:, None] - columns[None, :] + mean
    of_seeds = examples * float(((rows - mean) ** 2).sum()) / (seeds - 1)
    of_examples = seeds * float(((columns - mean) ** 2).sum()) / (examples - 1)
    of_left = float((left**2).sum()) / ((seeds - 1) * (examples - 1))
    parts = max(of_seeds + max(of_examples - of_left, 0.0), of_left)
    if parts <= 0:
        return Estimate(mean, mean, mean)
    # Where seeds hardly differ, the examples are all there is to go by, and there are no more of them than that.
    freedom = parts**2 / (of_seeds**2 / (seeds - 1) + parts**2 / (examples - 1))
    reach = student(freedom) * math.sqrt(parts / (seeds * examples))
    return Estimate(mean, mean - reach, mean + reach)


def verdict(difference: Estimate, *, maximize: bool) -> Verdict | None:
    """What a mean difference says.

    Args:
        difference: Of one thing minus another.
        maximize: Whether more of the score is better.

    Returns:
        Whether the one is better, worse, or cannot be told from the other; None without an interval.
    """
    if difference.low is None or difference.high is None:
        return None
    if difference.low <= 0 <= difference.high:
        return "tie"
    return "better" if (difference.mean > 0) == maximize else "worse"


def luck_of_epochs(values: NDArray[Any], epochs: Sequence[int]) -> float:
    """By how much the best epoch of a network that has learned nothing may stand above chance by luck alone.

    The score of a training is that of its best epoch, chosen on the very examples that it is measured on: of networks
    that guess, the best of many guesses. Were the epochs independent, that would be the expected largest of so many
    normal numbers (Blom, "Statistical estimates and transformed beta-variables", 1958); as they are not, it is less.

    Args:
        values: What each example contributed to the score of each seed (seeds, examples), float.
        epochs: Of how many epochs each seed's is the best (seeds,).

    Returns:
        In the unit of the score, 0 or more: the mean over the seeds.
    """
    normal = NormalDist()
    found = 0.0
    for row, tried in zip(values, epochs, strict=True):
        largest = normal.inv_cdf((tried - 0.375) / (tried + 0.25)) if tried > 1 else 0.0
        found += largest * float(row.std(ddof=1)) / math.sqrt(len(row))
    return found / len(epochs)


def student(freedom: float, level: float = LEVEL) -> float:
    """How many standard errors an interval reaches to either side: Student, "The probable error of a mean", 1908.

    Args:
        freedom: Degrees of freedom, 1 or more; need not be whole.
        level: How often the interval is to hold what it is of.
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))
