"""Keras objects as the call that makes them, said as briefly as a person would."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import keras

from hpsearch.errors import HpsearchError

__all__ = ["Call", "Raw", "ScriptError", "call_of", "operation_call"]

_SQUARE = ("kernel_size", "strides", "pool_size", "dilation_rate", "size", "padding", "cropping")
"""Options that take one number where both sides are alike."""

_NEVER = ("name", "seed", "build_config", "batch_shape", "quantization_config")


class ScriptError(HpsearchError):
    """A network that cannot be written as plain Keras code."""


class Raw:
    """A text that stands in the source as it is.

    Args:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Call:
    """A call, printed by `hpsearch.declare.source`.

    Args:
        name: What is called.
        args: Without names.
        options: By name.
    """

    name: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def source_call(self) -> tuple[str, list[object], dict[str, object]]:
        """How `source` prints it."""
        return self.name, list(self.args), dict(self.options)


def call_of(thing: Any, own: dict[str, str], without: tuple[str, ...] = ()) -> Call:
    """The call that makes a Keras object again, options at their default left out.

    Args:
        thing: A layer, optimizer, initializer, constraint, regularizer or loss.
        own: Takes the source of classes that are not Keras's, by name.
        without: Options to leave out.

    Raises:
        ScriptError: It is of a class whose source is not known, or does not say how it is made.
    """
    cls, config = type(thing), _comparable(thing)
    needed = {name: config[name] for name, each in _parameters(cls).items() if _needed(each) and name in config}
    said: dict[str, Any] = {}
    for _ in range(3):  # what is said may change what is usual for the rest, as the size of a pool does for its stride
        usual = _again(cls, {**needed, **said})
        other = {name: value for name, value in config.items() if name not in usual or usual[name] != value}
        missing = {name: value for name, value in other.items() if name not in (*_NEVER, *without, *needed)}
        if not missing:
            break
        said |= missing
    else:
        raise ScriptError(f"{cls.__name__} cannot be made again from what its get_config says: {', '.join(missing)}")
    args = tuple(_value(name, value, own) for name, value in needed.items())
    return Call(_name_of(cls, own), args, {name: _value(name, value, own) for name, value in said.items()})


def _comparable(thing: Any) -> dict[str, Any]:
    config = dict(thing.get_config())
    if "dtype" in config:
        config["dtype"] = _policy(config["dtype"])
    return config


def _again(cls: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _comparable(cls(**_revived(options)))
    except Exception as error:  # a class of the user's own may raise anything
        raise ScriptError(f"{cls.__name__} cannot be made again from what its get_config says: {error}") from error


def operation_call(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """The call of an operation that is no layer, such as ``ops.flip(x, axis=-1)``.

    Args:
        operation: Of ``keras.ops``.
        args: What it is given.
        kwargs: And by name.

    Raises:
        ScriptError: It is none that ``keras.ops`` offers by name.
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(operation).__name__).lower()
    name = {"get_item": "get_item", "true_divide": "divide"}.get(name, name)
    if not hasattr(keras.ops, name):
        raise ScriptError(f"the operation {type(operation).__name__} has no name in keras.ops")
    options = {}
    for key, parameter in _parameters(type(operation)).items():
        value = getattr(operation, key, parameter.default)
        if key != "name" and value != parameter.default:
            options[key] = value
    given = {key: value for key, value in kwargs.items() if value is not None}
    return Call(f"ops.{name}", args, {**given, **options})


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments that can be given by name; those that a class passes on are found on the class above it."""
    found: dict[str, inspect.Parameter] = {}
    for each in cls.__mro__:
        if "__init__" not in vars(each) or each is object:
            continue
        signature = inspect.signature(each.__init__)  # type: ignore[misc]  # looked up only
        named = [p for p in list(signature.parameters.values())[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        found |= {p.name: p for p in named if p.name not in found}
        if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            break
    return found


def _needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _policy(dtype: Any) -> Any:
    """A policy by its name."""
    return dtype["config"]["name"] if isinstance(dtype, dict) and "name" in dtype.get("config", {}) else dtype


def _serialized(value: Any) -> bool:
    return isinstance(value, dict) and {"class_name", "config"} <= set(value)


def _revived(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a class takes them."""
    return {
        name: keras.saving.deserialize_keras_object(value) if _serialized(value) else value
        for name, value in options.items()
    }


def _value(name: str, value: Any, own: dict[str, str]) -> Any:
    """An option as it is written."""
    if _serialized(value):
        return _object(keras.saving.deserialize_keras_object(value), own)
    if isinstance(value, list | tuple) and any(map(_serialized, value)):
        return [_value(name, each, own) for each in value]
    if name in _SQUARE and isinstance(value, list | tuple) and len(set(value)) == 1:
        return value[0]
    if name == "factor" and isinstance(value, tuple | list) and len(value) == 2 and value[0] == -value[1]:
        return value[1]
    if name == "scale" and isinstance(value, float):
        share = Fraction(value).limit_denominator(1000)
        if share.denominator > 1 and share.numerator / share.denominator == value:
            return Raw(f"{share.numerator} / {share.denominator}")
    return value


def _object(thing: Any, own: dict[str, str]) -> Any:
    if isinstance(thing, keras.initializers.Initializer):
        short = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(thing).__name__).lower()
        call = call_of(thing, own)
        return short if not call.args and not call.options else call
    if callable(thing) and hasattr(thing, "__name__"):
        return thing.__name__
    return call_of(thing, own)


_HOMES = {
    "layers": "layers",
    "optimizers": "keras.optimizers",
    "initializers": "keras.initializers",
    "constraints": "keras.constraints",
    "regularizers": "keras.regularizers",
    "losses": "keras.losses",
    "metrics": "keras.metrics",
}


def _name_of(cls: type, own: dict[str, str]) -> str:
    """How a class is called in the script."""
    for home, said in _HOMES.items():
        known = getattr(getattr(keras, home), cls.__name__, None)
        # On some backends an optimizer is of a class of Keras below the one that everybody calls.
        if isinstance(known, type) and issubclass(cls, known) and cls.__module__.split(".")[0] == "keras":
            return f"{said}.{cls.__name__}"
    if cls.__module__.split(".")[0] == "hpsearch":
        raise ScriptError(f"{cls.__name__} is a class of hpsearch itself")
    try:
        own[cls.__name__] = inspect.cleandoc("\n" + inspect.getsource(cls))
    except (OSError, TypeError) as error:
        raise ScriptError(f"the source of the class {cls.__name__} is not known") from error
    return cls.__name__
