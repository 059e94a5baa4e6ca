"""What trains a phase, epoch by epoch: Keras's ``fit``, or an engine that keeps everything on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpsearch.training.callbacks import First, Last
from hpsearch.training.course import Course

__all__ = ["Engine", "Work"]


@dataclass(frozen=True)
class Work:
    """The rest of a phase.

    Args:
        course: The course of the training: the model, how far it is, who is told.
        x: What the network is given: rows (n, ...), or several of them by name.
        labels: What it is to answer (n, ...).
        validation: The same of what it is validated on, or None.
        batch_size: Rows a step.
        seed: Where the shuffles start.
        class_weight: How much a row of each class counts, or None.
        like: The rows whose order they are served in, where they were computed of others; None is ``x`` itself.
        program: Tells what networks that need programs of their own differ in; see `hpsearch.training.programs`.
        twin: Makes a model like the one that is trained, which nobody trains; or None where that cannot be done.
    """

    course: Course
    x: Any
    labels: NDArray[Any]
    validation: tuple[Any, NDArray[Any]] | None
    batch_size: int
    seed: int
    class_weight: Mapping[int, float] | None = None
    like: Any = None
    program: Callable[[], str] = str
    twin: Callable[[], Any] = lambda: None

    def callbacks(self) -> list[Any]:
        """All that hear of the epochs, in their order."""
        return [First(self.course), *self.course.callbacks, Last(self.course)]

    def weights(self) -> NDArray[np.float32] | None:
        """How much a row counts, by its class (classes,); None where all count the same."""
        if self.class_weight is None:
            return None
        found = np.ones(max(self.class_weight) + 1, dtype="float32")
        found[list(self.class_weight)] = list(self.class_weight.values())
        return found


class Engine(Protocol):
    """Trains the rest of a phase: every epoch is begun, measured and ended on the course of the work.

    One engine does one training, phase by phase.
    """

    def train(self, work: Work) -> None:
        """Train to the end of the phase.

        Args:
            work: What and how.

        Raises:
            Halted: Whoever watches ends training after an epoch.
            Leaving: They stop it, to go on later.
        """
        ...

    def score(self, places: NDArray[np.int64]) -> dict[str, float] | None:
        """Loss and metrics, in inference mode, on some of the rows that were trained on last.

        Args:
            places: Of the rows.

        Returns:
            None where Keras's ``evaluate`` does it as well.
        """
        ...
