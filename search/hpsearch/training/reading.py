"""Whether a space reads what the data has, and whether the trained models that it names can be had."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.files import is_there, located
from hpsearch.blocks.origin import EXPORTED, origin_of
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.blocks.reading import check_body, read_by
from hpsearch.blocks.tiled import shape_read
from hpsearch.domains import possible
from hpsearch.errors import ModelError, SpaceError, WeightsError, join_address
from hpsearch.phases import some
from hpsearch.reads import readers, readings
from hpsearch.recipe import Model, Recipe, Training
from hpsearch.space import Space
from hpsearch.training.inputs import Inputs
from hpsearch.training.measure import measure

__all__ = ["check_reading", "check_unseen", "check_windows"]


def check_reading(model: Any, inputs: Inputs, address: str = "model") -> None:
    """Check that all that a model may read is there: inputs of the data, and trained models.

    Args:
        model: A model, or a domain of models.
        inputs: What the data has.
        address: Where it stands.

    Raises:
        SpaceError: Something is not there, or does not fit; the sentence says where.
    """
    for body, shape, where in readings(model, inputs.features, address):
        if isinstance(body, Pretrained):
            _check_trained(body, shape, inputs, where)


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


def check_unseen(space: Space, fingerprint: str) -> None:
    """Refuse trained models that have seen the validation part of this data: their scores would be too good.

    Exported models have, and models that were exported on this data before. Weights and models from elsewhere say
    nothing of what they were trained on.

    Args:
        space: The space.
        fingerprint: That of its data.

    Raises:
        SpaceError: There is one; the sentence says where, and how to make one that has not.
    """
    models = {"model": space.search.model}
    models |= {f"baselines[{name!r}].model": recipe.model for name, recipe in (space.baselines or {}).items()}
    for address, model in models.items():
        for part, _, where in readers(model, address):
            for body in possible(part.body):
                for path in possible(body.path) if isinstance(body, Pretrained) else ():
                    _check_unseen(path, fingerprint, join_address(where, "body.path"))


def _check_unseen(path: str, fingerprint: str, address: str) -> None:
    origin = origin_of(located(path)) if is_there(path) else None
    if origin is None or origin.parts != EXPORTED or origin.data != fingerprint:
        return
    trial, study = origin.trial or "TRIAL", origin.study or "NAME"
    raise SpaceError(
        f'got "{path}", an exported model: it was trained on the validation part of this data, too, so that its scores '
        f"would be too good; take one that was not, from: hpsearch save {trial} FILE.keras --study {study}",
        address,
    )


def check_windows(model: Model, inputs: Inputs) -> None:
    """Check by arithmetic alone that the windows of convolutional networks fit, as far as that can be told.

    Args:
        model: A model without domains.
        inputs: What the data has.

    Raises:
        ModelError: One does not; the address begins with ``model``.
    """
    for part, name, address in readers(model, "model"):
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
