"""Keras Tuner's ``HyperParameters``, answered by whoever searches: a ``build(hp)`` runs unchanged."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar
from hpsearch.errors import join_address
from hpsearch.resolve import Suggest

__all__ = ["SuggestedHyperParameters"]


class SuggestedHyperParameters(keras_tuner.HyperParameters):  # type: ignore[misc]  # keras_tuner has no types
    """Asks for each hyperparameter when ``build`` first reads it.

    Only ``_retrieve`` differs from the original: a hyperparameter that is active and has no value yet is suggested.
    ``Fixed`` is never suggested. Two of one name under different conditions are two parameters. Where Keras Tuner knows a
    sampling that a range cannot say (``log`` with a step, which multiplies; ``reverse_log``), the position on its scale is
    suggested and converted.

    Args:
        suggest: Makes the choices.
        address: What their names begin with.
        values: Values chosen before, by name; they are not suggested again.
    """

    def __init__(self, suggest: Suggest, address: str = "", values: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._suggest = suggest
        self._address = address
        self._known = dict(values or {})

    def _retrieve(self, hp: Any) -> Any:
        if self._exists(hp.name, hp.conditions) or not self._conditions_are_active(hp.conditions):
            return super()._retrieve(hp)
        if not isinstance(hp, kinds.Fixed):
            self.values[hp.name] = self._chosen(hp)
        return super()._retrieve(hp)

    def _chosen(self, hp: Any) -> Any:
        key = qualified(hp)
        for known in (key, hp.name):
            if known in self._known:
                return self._known[known]
        name = join_address(self._address, key)
        if isinstance(hp, kinds.Boolean):
            chosen: Any = self._suggest(Parameter(name, Choices((False, True))))
        elif isinstance(hp, kinds.Choice):
            ordinal = bool(hp.ordered) and len(hp.values) > 1 and list(hp.values) == sorted(set(hp.values))
            chosen = self._suggest(Parameter(name, Choices(tuple(hp.values), ordinal)))
        else:
            chosen = self._number(name, hp)
        self._known[key] = chosen
        return chosen

    def _number(self, name: str, hp: Any) -> Scalar:
        whole = isinstance(hp, kinds.Int)
        if hp.sampling == "reverse_log":
            position = self._suggest(Parameter(name, Between(0.0, 1.0)))
            return hp.prob_to_value(position)  # type: ignore[no-any-return]  # keras_tuner has no types
        if hp.step is not None and not (whole and hp.sampling == "linear"):
            values = tuple(hp.values)
            return self._suggest(Parameter(name, Choices(values, ordinal=len(values) > 1)))
        if not whole:
            return self._suggest(Parameter(name, Between(float(hp.min_value), float(hp.max_value), log=hp.sampling == "log")))
        low, step = int(hp.min_value), int(hp.step or 1)
        high = low + (int(hp.max_value) - low) // step * step
        return self._suggest(Parameter(name, Between(low, high, None if step == 1 else step, hp.sampling == "log")))

    @property
    def chosen(self) -> dict[str, Any]:
        """What was suggested so far, by name."""
        return dict(self._known)


def qualified(hp: Any) -> str:
    """The name of a hyperparameter with its conditions: ``units(model_type=mlp)``."""
    conditions = [f"{c.name}={'|'.join(str(value) for value in c.values)}" for c in hp.conditions]
    return f"{hp.name}({', '.join(conditions)})" if conditions else str(hp.name)
