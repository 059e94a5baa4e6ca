"""Keras Tuner's ``HyperParameters``, answered by whoever searches: a ``build(hp)`` runs unchanged."""

from __future__ import annotations

import math
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from hpsearch.addresses import Choices, Parameter
from hpsearch.declare import brief, plain
from hpsearch.domains import Between, Scalar
from hpsearch.errors import SpaceError, join_address
from hpsearch.resolve import Suggest

__all__ = ["SuggestedHyperParameters"]


class SuggestedHyperParameters(keras_tuner.HyperParameters):  # type: ignore[misc]  # keras_tuner has no types
    """Asks for each hyperparameter when ``build`` first reads it.

    Only ``_retrieve`` differs from the original: a hyperparameter that is active and has no value yet is suggested.
    ``Fixed`` is never suggested. Two of one name under different conditions are two parameters, each with a value of
    its own; ``hp.get`` gives that of the one read last. The values are those that Keras Tuner allows, free of the noise
    of binary fractions. Where it knows a sampling that a range cannot say, the values are suggested one by one (``log``
    with a step, which multiplies), or the position on its scale is suggested and converted (``reverse_log``).

    Args:
        suggest: Makes the choices.
        address: What their names begin with.
        values: Values chosen before, by name; they are not suggested again.
    """

    def __init__(self, suggest: Suggest, address: str = "", values: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._suggest = suggest
        self._address = address
        self._given = dict(values or {})
        self._chosen: dict[str, Any] = {}
        self._used: set[str] = set()

    def _retrieve(self, hp: Any) -> Any:
        if isinstance(hp, kinds.Fixed) or not self._conditions_are_active(hp.conditions):
            return super()._retrieve(hp)
        self._validate_name(hp.name)
        key = qualified(hp)
        if key not in self._chosen:
            self._chosen[key] = self._value(key, hp)
        # Another of this name, under another condition, may have been read in between.
        self.values[hp.name] = self._chosen[key]
        return super()._retrieve(hp)

    def _value(self, key: str, hp: Any) -> Any:
        """The value given before, else one that is suggested."""
        for name in (key, hp.name):
            if name in self._given:
                self._used.add(name)
                return _allowed(plain(self._given[name]), hp, f"{join_address(self._address, 'values')}[{brief(name)}]")
        return _suggested(self._suggest, join_address(self._address, key), hp)

    @property
    def chosen(self) -> dict[str, Any]:
        """All values by name: those read so far, and those given that nothing has read yet."""
        return {**self._chosen, **{name: value for name, value in self._given.items() if name not in self._used}}


def qualified(hp: Any) -> str:
    """The name of a hyperparameter with its conditions: ``units(model_type=mlp)``."""
    conditions = [f"{c.name}={'|'.join(str(value) for value in c.values)}" for c in hp.conditions]
    return f"{hp.name}({', '.join(conditions)})" if conditions else str(hp.name)


def _suggested(suggest: Suggest, name: str, hp: Any) -> Any:
    """A new value for a hyperparameter."""
    domain = _domain(hp)
    if domain is not None:
        return suggest(Parameter(name, domain))
    position = suggest(Parameter(name, Between(0.0, 1.0)))
    # Position 1 of a whole number is one beyond its largest, because Keras Tuner never draws it.
    return Between(hp.min_value, hp.max_value).snapped(hp.prob_to_value(position))


def _domain(hp: Any) -> Choices | Between | None:
    """What a hyperparameter may be; None where only a position on its scale can say it."""
    if isinstance(hp, kinds.Boolean):
        return Choices((False, True))
    if isinstance(hp, kinds.Choice):
        return _choices(list(hp.values), ordered=bool(hp.ordered))
    log = hp.sampling == "log"
    if hp.step is None:
        low, high = hp.min_value, hp.max_value
        return None if hp.sampling == "reverse_log" else Between(low, high, log=log)
    if hp.sampling != "linear":
        return _choices([_cleaned(value, hp) for value in hp.values], ordered=True)
    steps = hp._get_n_values() - 1  # noqa: SLF001 - the one place where Keras Tuner says where a step ends
    every = isinstance(hp, kinds.Int) and hp.step == 1
    return Between(hp.min_value, _cleaned(hp.min_value + steps * hp.step, hp), None if every or not steps else hp.step)


def _choices(values: list[Scalar], *, ordered: bool) -> Choices:
    labels = list(dict.fromkeys(values))
    if ordered:
        labels.sort()  # Keras Tuner orders nothing but numbers
    return Choices(tuple(labels), ordinal=ordered and len(labels) > 1)


def _cleaned(value: float, hp: Any) -> float:
    """A computed value without the noise of binary fractions; whole where the hyperparameter is."""
    return int(value) if isinstance(hp, kinds.Int) else float(f"{value:.10g}")


def _allowed(value: Any, hp: Any, address: str) -> Any:
    """A value given before, as the hyperparameter writes it.

    Raises:
        SpaceError: It is none that the hyperparameter may have.
    """
    domain = _domain(hp)
    if isinstance(domain, Choices):
        for label in domain.labels:
            if label == value or (isinstance(label, float) and _close(label, value)):
                return label
        raise SpaceError(f"got {brief(value)}; build(hp) allows {', '.join(map(brief, domain.labels))}.", address)
    between = domain or Between(hp.min_value, hp.max_value)
    if value not in between:
        raise SpaceError(f"got {brief(value)}; build(hp) allows {between.allowed}.", address)
    return between.written(value)


def _close(label: float, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isclose(label, value, rel_tol=1e-6)
