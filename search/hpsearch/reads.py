"""What the models of a space read, and whether the data has it; told from the declaration of the data alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hpsearch.blocks.concat import Branch, Concat
from hpsearch.blocks.reading import check_body, read_by
from hpsearch.blocks.tiled import Shapes, Tiled, shape_read
from hpsearch.domains import possible
from hpsearch.errors import ModelError, SpaceError, join_address
from hpsearch.recipe import Model

__all__ = ["check_reads", "inputs_read", "readers", "readings"]


def check_reads(model: Any, shapes: Shapes, address: str = "model") -> None:
    """Check that the data has all that a model may read, and that what reads it can.

    Args:
        model: A model, or a domain of models.
        shapes: Those of the inputs of the data.
        address: Where it stands.

    Raises:
        SpaceError: An input is not there, or a body cannot read it; the sentence says where.
    """
    shown = {len(shape) for _, shape, _ in readings(model, shapes, address)}
    flips = [each for each in possible(model) if isinstance(each, Model) and True in possible(each.flip_averaging)]
    if flips and 3 not in shown:
        problem = "got True, but the model reads no images that could be mirrored; drop it."
        raise SpaceError(problem, join_address(address, "flip_averaging"))


def readings(model: Any, shapes: Shapes, address: str = "model") -> Iterator[tuple[Any, tuple[int, ...], str]]:
    """Every body that may be there, with the shape of what it reads, and where the model or branch of it stands.

    Args:
        model: A model, or a domain of models.
        shapes: Those of the inputs of the data.
        address: Where it stands.

    Raises:
        SpaceError: What is read is not there, or the body cannot read it.
    """
    for part, name, where in readers(model, address):
        for read in possible(part.input):
            for body in possible(part.body):
                if not isinstance(body, Concat):
                    yield body, _checked(body, _concrete(read), name, shapes, where), where


def inputs_read(model: Any, shapes: Shapes) -> set[str]:
    """The names of all inputs that a model reads.

    Args:
        model: A model without domains; of one that is no declared model, all are taken to be read.
        shapes: Those of the inputs of the data, which has all that it reads.
    """
    if not isinstance(model, Model):
        return set(shapes)
    found: set[str] = set()
    for part, name, _ in readers(model, "model"):
        read = read_by(part.input, name, shapes)
        found |= set(read.inputs) if isinstance(read, Tiled) else {read}
    return found


def readers(model: Any, address: str) -> Iterator[tuple[Any, str | None, str]]:
    """Every model and branch that may be there, with the name of the branch and its address.

    Args:
        model: A model, or a domain of models.
        address: Where it stands.
    """
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


def _checked(body: Any, read: Any, name: str | None, shapes: Shapes, address: str) -> tuple[int, ...]:
    try:
        found = read_by(read, name, shapes)
        shape = shape_read(found, shapes)
        check_body(body, found, shape)
    except ModelError as error:
        raise SpaceError(error.problem, join_address(address, error.address)) from None
    return shape
