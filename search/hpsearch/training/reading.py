"""Whether a space reads what the data has, and whether the trained models that it names can be had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from hpsearch.blocks.concat import Branch, Concat
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.blocks.reading import check_body, read_by
from hpsearch.blocks.tiled import Tiled, shape_read
from hpsearch.domains import possible
from hpsearch.errors import ModelError, SpaceError, WeightsError, join_address
from hpsearch.phases import some
from hpsearch.recipe import Model, Recipe, Training
from hpsearch.training.inputs import Inputs
from hpsearch.training.measure import measure

__all__ = ["check_reading", "check_windows"]


def check_reading(model: Any, inputs: Inputs, address: str = "model") -> None:
    """Check that all that a model may read is there: inputs of the data, and trained models.

    Args:
        model: A model, or a domain of models.
        inputs: What the data has.
        address: Where it stands.

    Raises:
        SpaceError: Something is not there, or does not fit; the sentence says where.
    """
    for part, name, where in _parts(model, address):
        for read in possible(part.input):
            for body in possible(part.body):
                if not isinstance(body, Concat):
                    _check(body, _concrete(read), name, inputs, where)


def _parts(model: Any, address: str) -> Iterator[tuple[Any, str | None, str]]:
    """Every model and branch that may be there, with the name of the branch and its address."""
    for each in possible(model):
        if not isinstance(each, Model):
            continue
        bodies = possible(each.body)
        if any(not isinstance(body, Concat) for body in bodies):
            yield each, None, address
        for body in bodies:
            for name, branches in body.branches if isinstance(body, Concat) else ():
                for branch in possible(branches):
                    if isinstance(branch, Branch):
                        yield branch, name, f"{address}.body.{name}"


def _concrete(read: Any) -> Any:
    """What is read, where names within it may be open."""
    if not isinstance(read, Tiled):
        return read
    first = possible(read.inputs)[0]
    return replace(read, inputs=[possible(name)[0] for name in first])


def _check(body: Any, read: Any, name: str | None, inputs: Inputs, address: str) -> None:
    try:
        found = read_by(read, name, inputs.features)
        shape = shape_read(found, inputs.features)
        check_body(body, found, shape)
    except ModelError as error:
        raise SpaceError(error.problem, join_address(address, error.address)) from None
    if isinstance(body, Pretrained):
        _check_trained(body, shape, inputs, address)


def _check_trained(body: Pretrained, shape: tuple[int, ...], inputs: Inputs, address: str) -> None:
    """Every file and layer that may be meant, behind an input of this shape."""
    alone = Inputs({"only": shape}, max(inputs.classes, 2), inputs.white)
    for path, until in product(possible(body.path), possible(body.until)):
        model = Model(body=some(replace(body, path=path, until=until)))
        try:
            measure(Recipe(model=model, training=Training(epochs=1)), alone)
        except WeightsError as error:
            raise SpaceError(str(error), join_address(address, "body.path")) from None
        except ModelError as error:
            where = error.address.removeprefix("model").lstrip(".")
            raise SpaceError(error.problem, join_address(address, where)) from None


def check_windows(model: Model, inputs: Inputs) -> None:
    """Check by arithmetic alone that the windows of convolutional networks fit, as far as that can be told.

    Args:
        model: A model without domains.
        inputs: What the data has.

    Raises:
        ModelError: One does not; the address begins with ``model``.
    """
    for part, name, address in _parts(model, "model"):
        try:
            shape = shape_read(read_by(part.input, name, inputs.features), inputs.features)
            check_body(part.body, part.input, shape)
        except ModelError as error:
            raise error.below(address) from None
        if isinstance(part.body, ConvNet):
            try:
                part.body.output_shape((shape[0], shape[1], shape[2]))
            except ModelError as error:
                raise error.below(f"{address}.body") from None
