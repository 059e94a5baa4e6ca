"""The Pareto front: the trials to which no other is superior in every respect that counts."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["front"]


def front(points: Sequence[Sequence[float | None]], better: Sequence[int]) -> list[int]:
    """The places of the points that no other point dominates: as good in everything and better in something.

    Equal points stand side by side. A point of which something is not known is left out.

    Args:
        points: One value a field each.
        better: For each field, 1 where more is better and -1 where less is.

    Returns:
        Places in ``points``, ascending.
    """
    known = [
        (tuple(-sign * value for sign, value in zip(better, point, strict=True) if value is not None), place)
        for place, point in enumerate(points)
        if None not in point
    ]
    found: list[tuple[tuple[float, ...], int]] = []
    # Less is better now. In this order no point is dominated by a later one, so those found so far are all to compare.
    for costs, place in sorted(known):
        if not any(_dominates(other, costs) for other, _ in found):
            found.append((costs, place))
    return sorted(place for _, place in found)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
