"""What the parts of a network read of the data."""

from __future__ import annotations

from typing import Any

from hpsearch.blocks.backbones import Backbone
from hpsearch.blocks.convnet import ConvNet
from hpsearch.blocks.tiled import Shapes, Tiled
from hpsearch.domains import Between, possible
from hpsearch.errors import ModelError, did_you_mean

__all__ = ["check_body", "read_by"]


def read_by(read: str | Tiled | None, name: str | None, shapes: Shapes) -> str | Tiled:
    """What a model or a branch reads.

    Args:
        read: What it says.
        name: The name of the branch; None for a model.
        shapes: Those of the inputs of the data.

    Raises:
        ModelError: It does not say which of several, or names one that the data does not have.
    """
    listed = ", ".join(shapes)
    wanted = name if read is None else read
    if wanted is None and len(shapes) == 1:
        return next(iter(shapes))
    if wanted is None:
        first = next(iter(shapes))
        ways = f'name one, input="{first}", or join several, body=Concat({first}=Branch(...), ...)'
        raise ModelError(f"is left out although the data has several inputs: {listed}; {ways}.", "input")
    for each in wanted.inputs if isinstance(wanted, Tiled) else (wanted,):
        if each not in shapes:
            said = f'is left out, and the branch\'s name "{each}"' if read is None else f'got "{each}", which'
            raise ModelError(
                f"{said} is no input of the data.{did_you_mean(each, shapes)} Its inputs are {listed}.", "input"
            )
    return wanted


def check_body(body: Any, read: str | Tiled, shape: tuple[int, ...]) -> None:
    """Check that a body can take what it is given.

    Args:
        body: A body, the options of which may hold domains.
        read: What is read.
        shape: Its shape.

    Raises:
        ModelError: It cannot.
    """
    if isinstance(body, ConvNet | Backbone) and len(shape) != 3:
        kind = type(body).__name__
        raise ModelError(f'got {kind} for the table "{read}", which has no height and width; write None.', "body")
    if isinstance(body, Backbone) and (problem := _too_small(body, shape)) is not None:
        raise problem.below("body")


def _too_small(body: Backbone, shape: tuple[int, ...]) -> ModelError | None:
    """Why a backbone cannot take images of this shape, whatever its input size is chosen to be."""
    sizes = [int(size.high) if isinstance(size, Between) else size for size in possible(body.input_size)]
    problems = [body.misfit((size, size, shape[2]) if size else shape) for size in sizes]
    return None if None in problems else problems[-1]
