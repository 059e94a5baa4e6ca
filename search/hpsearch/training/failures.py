"""Recognising why a trial failed."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from hpsearch.errors import DataError, ModelError, SpaceError, WeightsError
from hpsearch.study.trial import FailureKind
from hpsearch.training.build import UserCodeError
from hpsearch.training.checkpoint import disk_is_full
from hpsearch.training.course import NotFiniteError

__all__ = ["failure_kind", "failure_sentence", "gist"]

# As TensorFlow, JAX, PyTorch, their CUDA libraries and NumPy write it, on a CPU and on a GPU. What a lost device or a
# broken kernel says (CUDA_ERROR_LAUNCH_FAILED, CUDNN_STATUS_INTERNAL_ERROR) is not among them: that is a crash.
_OUT_OF_MEMORY = (
    "out of memory",
    "out_of_memory",
    "outofmemory",
    "resource_exhausted",
    "resource exhausted",
    "oom when allocating",
    "ran out of memory",
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "failed to allocate memory",
    "failed to allocate request for",
    "dst tensor is not initialized",  # TensorFlow, copying to a GPU without room
    "unable to allocate",
    "bad_alloc",
    "cudnn_status_alloc_failed",
    "cublas_status_alloc_failed",
    "cusolver_status_alloc_failed",
    "cufft_alloc_failed",
)
_NO_ROOM = ("no space left on device", "disk quota exceeded")


def failure_kind(error: BaseException) -> FailureKind:
    """The kind of a failure.

    Args:
        error: What was raised while a trial was built or trained; what it was raised from is looked through too.
    """
    if any(_says_disk_is_full(each) for each in _causes(error)):
        return "interrupted"
    if any(_says_out_of_memory(each) for each in _causes(error)):
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
    kind = failure_kind(error)
    text = gist(error)
    if kind == "interrupted":
        return f"the disk is full: {text or type(error).__name__}"[:500]
    if kind in ("crashed", "out_of_memory") and not isinstance(error, UserCodeError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:500]


def gist(error: BaseException) -> str:
    """What an error says, in one line: of many lines the one that tells.

    An error within a graph of TensorFlow begins with the calls that led to it, and says at their end what happened.

    Args:
        error: What was raised.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if any(phrase in line.lower() for phrase in _OUT_OF_MEMORY)]
    if not telling and lines and lines[0].startswith("Graph execution error"):
        calls = [place for place, line in enumerate(lines) if line.startswith("File ")]
        telling = lines[calls[-1] + 1 : calls[-1] + 2] if calls else []
    return " ".join((telling[0] if telling else " ".join(lines)).split())


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from or while handling, and so on."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _says_disk_is_full(error: BaseException) -> bool:
    text = str(error).lower()
    return disk_is_full(error) or any(phrase in text for phrase in _NO_ROOM)


def _says_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = f"{type(error).__name__}: {error}".lower()
    return any(phrase in text for phrase in _OUT_OF_MEMORY)
