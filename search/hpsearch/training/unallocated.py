"""Networks, optimizers and metrics that are built without a value for any of their variables."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras

__all__ = ["unallocated", "without_a_trace"]


@contextmanager
def unallocated() -> Iterator[None]:
    """What is built within has variables of a shape and a type, which take no memory; it leaves no trace.

    A variable that is made from an array cannot be built here; Keras then says "stateless scope".
    """
    with without_a_trace(), keras.StatelessScope(initialize_variables=False):
        yield


@contextmanager
def without_a_trace() -> Iterator[None]:
    """What is built within leaves no trace in Keras's own state or in random numbers.

    Keras remembers every weight that has no value yet, and would allocate them all when the next network is built.
    """
    from keras.src.backend.common import global_state  # clear_session, which is public, forgets for good

    mine = vars(global_state.GLOBAL_STATE_TRACKER)  # what Keras remembers
    before, drawn = dict(mine), random.getstate()
    mine.pop("uninitialized_variables", None)
    if "object_name_uids" in mine:
        mine["object_name_uids"] = mine["object_name_uids"].copy()
    try:
        yield
    finally:
        mine.clear()
        mine.update(before)
        random.setstate(drawn)
