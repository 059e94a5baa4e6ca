"""Rows that lie on the device: those of the last trainings stay there, for the next is likely to need the same."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np

from hpsearch.training.engine import Work
from hpsearch.training.feeding import Feed, as_trained
from hpsearch.training.programs import Rows

__all__ = ["let_go", "resident"]

KEPT = 2
"""So many data sets stay, such as images and what a frozen body makes of them."""

_kept: list[tuple[list[Any], Rows]] = []
"""The arrays that rows are made of, which have to live as long as they are known by their identity; the last last."""


def resident(feed: Feed, work: Work) -> Rows:
    """Rows and labels on the device: those that are trained on, then those that are held out.

    Args:
        feed: What serves the rows.
        work: What is trained.
    """
    made_of = keras.tree.flatten((work.x, work.labels, work.validation))
    found = next((rows for arrays, rows in _kept if _same(arrays, made_of)), None)
    if found is None:
        while len(_kept) >= KEPT:
            del _kept[0]
        found = _laid(feed, work)
    _kept[:] = [*(each for each in _kept if each[1] is not found), (made_of, found)]
    return found._replace(weights=jax.device_put(work.weights()))


def let_go() -> None:
    """Keep none; those that a training uses stay as long as it does."""
    _kept.clear()


def _same(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def _laid(feed: Feed, work: Work) -> Rows:
    x, labels = feed.x, feed.labels
    if work.validation is not None:
        held_out, told = keras.tree.map_structure(as_trained, work.validation)
        x = keras.tree.map_structure(lambda *parts: np.concatenate(parts), x, held_out)
        labels = np.concatenate([labels, told])
    rows: Rows = jax.device_put(Rows(x, labels))
    return rows
