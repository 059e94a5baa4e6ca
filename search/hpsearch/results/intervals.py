"""How sure a share of correct answers is."""

from __future__ import annotations

import math

__all__ = ["wilson"]


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The score interval of a proportion.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.

    Args:
        correct: How many answers were right.
        total: How many there were; above 0.
        z: The quantile of the normal distribution; 1.96 gives 95 %.

    Returns:
        Lower and upper bound, from 0 to 1.
    """
    share = correct / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (centre - spread) / scale, (centre + spread) / scale
