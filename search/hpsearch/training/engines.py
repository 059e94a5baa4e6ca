"""Which engine trains."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import InputError
from hpsearch.installing import how_to_install_extra
from hpsearch.training.by_fit import Fit
from hpsearch.training.engine import Engine, Work

__all__ = ["WhereSuited", "check_engine", "engine_for"]


def check_engine(asked: str) -> None:
    """Refuse an engine that nothing could be trained with.

    Args:
        asked: ``auto``, ``fit`` or ``device``.

    Raises:
        InputError: The backend is not the one that it needs.
    """
    backend = keras.config.backend()
    if asked == "device" and backend != "jax":
        raise InputError(
            f'--engine got "device", which needs Keras on JAX, and Keras is on {backend} here; say --backend jax '
            f"(installed with: {how_to_install_extra('jax')}), or leave --engine out."
        )


def engine_for(asked: str) -> Engine:
    """The engine for a training.

    Args:
        asked: ``fit``; ``device``, which is taken wherever it can do the work; or ``auto``, which takes it where a
            device other than the CPU is used.
    """
    if asked == "fit" or keras.config.backend() != "jax":
        return Fit()
    from hpsearch.training.programs import loops_on_device

    return Fit() if asked == "auto" and not loops_on_device() else WhereSuited()


class WhereSuited:
    """The device engine, and ``fit`` for the phases that it cannot train; why goes into the log of the trial."""

    def __init__(self) -> None:
        self._now: Engine = Fit()

    def train(self, work: Work) -> None:
        """Train to the end of the phase.

        Args:
            work: What and how.
        """
        from hpsearch.training.by_device import Device, UnsuitedError, unsuited

        why = unsuited(work)
        if why is None:
            self._now = Device()
            try:
                self._now.train(work)
                return
            except UnsuitedError as error:
                why = str(error)
        print(f"Trained by model.fit and not by the device engine: {why}.", flush=True)  # noqa: T201  # into the log
        self._now = Fit()
        self._now.train(work)

    def score(self, places: NDArray[np.int64]) -> dict[str, float] | None:
        """Loss and metrics, in inference mode, on some of the rows that were trained on last.

        Args:
            places: Of the rows.
        """
        return self._now.score(places)
