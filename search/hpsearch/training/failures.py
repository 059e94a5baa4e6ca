"""Recognising why a trial failed."""

from __future__ import annotations

from hpsearch.errors import DataError, ModelError, SpaceError, WeightsError
from hpsearch.study.trial import FailureKind
from hpsearch.training.build import UserCodeError
from hpsearch.training.fit import NotFiniteError

__all__ = ["failure_kind", "failure_sentence"]

_OUT_OF_MEMORY = (
    "out of memory",
    "resource_exhausted",
    "resource exhausted",
    "oom when allocating",
    "cannot allocate memory",
)


def failure_kind(error: BaseException) -> FailureKind:
    """The kind of a failure.

    Args:
        error: What was raised while a trial was built or trained.
    """
    text = f"{type(error).__name__}: {error}".lower()
    if isinstance(error, MemoryError) or any(phrase in text for phrase in _OUT_OF_MEMORY):
        return "out_of_memory"
    if isinstance(error, NotFiniteError):
        return "not_finite"
    if isinstance(error, UserCodeError):
        return "user_code"
    if isinstance(error, ModelError | SpaceError):
        return "invalid_model"
    if isinstance(error, DataError | WeightsError):
        return "bad_data"
    return "crashed"


def failure_sentence(error: BaseException) -> str:
    """What is shown of a failure; the traceback is in the trial's log."""
    text = " ".join(str(error).split())
    if failure_kind(error) in ("crashed", "out_of_memory"):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:500]
