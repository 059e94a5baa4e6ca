"""What a network is judged by where training goes on with something else: averaged weights, statistics found anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.training.statistics import Statistics

__all__ = ["Settling"]


class Settling:
    """Has a network be what it is judged by, and have back what training goes on with.

    Args:
        trainer: The compiled model; where its optimizer keeps averages of the weights, these stand in for them.
        statistics: Finds those of batch normalisation, of the weights that are there then; None where nothing is to be
            found. They stay: in training, batch normalisation asks for none.
    """

    def __init__(self, trainer: Any, statistics: Statistics | None) -> None:
        self._trainer = trainer
        self._statistics = statistics
        self._raw: list[NDArray[Any]] = []

    @property
    def averaged(self) -> bool:
        """Whether averages of the weights stand in for them."""
        return bool(getattr(self._optimizer, "use_ema", False))

    @property
    def _optimizer(self) -> Any:
        optimizer = self._trainer.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)

    def begin(self) -> None:
        """Be what is judged."""
        if self.averaged and self._optimizer.built:
            variables = self._optimizer._trainable_variables  # noqa: SLF001  # Keras's own SwapEMAWeights asks for them, too
            averages = self._optimizer._model_variables_moving_average  # noqa: SLF001  # likewise
            self._raw = _copies(variables)
            # Copies again: JAX takes the memory of weights for what a step gives, and the average would go with it.
            for variable, average in zip(variables, _copies(averages), strict=True):
                bound = variable.constraint
                variable.assign(average if bound is None else bound(keras.ops.convert_to_tensor(average)))
        if self._statistics is not None:
            self._statistics.find()

    def end(self) -> None:
        """Be what training goes on with."""
        if self._raw:
            for variable, raw in zip(self._optimizer._trainable_variables, self._raw, strict=True):  # noqa: SLF001  # as above
                variable.assign(raw)
        self._raw = []


def _copies(variables: Sequence[Any]) -> list[NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
