"""Networks with several inputs: a branch for each, joined into one vector."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Self

from hpsearch.blocks.dense import Dense
from hpsearch.blocks.tiled import READS, Tiled
from hpsearch.declare import (
    Choice,
    Declared,
    Instance,
    Many,
    Maybe,
    Number,
    declared,
    is_declared,
    option,
    walk_fields,
)
from hpsearch.domains import possible
from hpsearch.errors import SpaceError

__all__ = ["BODY", "DENSE", "Branch", "Concat"]


def _is_block(value: object) -> bool:
    return is_declared(value) and callable(value) and not isinstance(value, Tiled)


_OF_BRANCH = Maybe(Instance((), "ConvNet(...), a backbone, Pretrained(...), a block of your own", _is_block))
DENSE = Many(Instance((Dense,), "Dense(...) or a block of your own", _is_block))


@declared
class Branch(Declared):
    """One branch of a ``Concat``: what it reads, a body, pooling, dense layers.

    Args:
        body: What a ``Model`` may have as its body, or None: a table as the vector that it is, or bare pixels.
        input: The input of the data that it reads, or several images as one, ``Tiled("front", "back")``. None reads
            the input that has the branch's name.
        pooling: How features of height and width become a vector: ``"flatten"``, ``"average"`` or ``"max"`` (global).
        dropout: Share of the pooled features set to zero while training.
        dense: The layers before the join: ``Dense(...)`` or blocks of your own.
    """

    body: Any = option(_OF_BRANCH, default=None)
    input: str | Tiled | None = option(READS, default=None)
    pooling: str = option(Choice("flatten", "average", "max"), default="flatten")
    dropout: float = option(Number(at_least=0, below=1), default=0.0)
    dense: Sequence[Any] = option(DENSE, default=())


BRANCH = Maybe(Instance((Branch,), "Branch(...)"))


class Concat(Declared):
    """Several branches whose outputs are joined into one vector, which the model's dense layers go on from.

    ``Concat(image=Branch(...), table=Branch(...))`` has a branch for the input "image" of the data and one for "table".
    A branch of another name says what it reads: ``photo=Branch(input="front", ...)``. None in place of a branch leaves
    it out, so that which inputs are used can be a choice: ``front=one_of(Branch(...), None)``. The order in which
    branches are written does not matter; they are joined in the order of their names.

    Args:
        branches: ``Branch(...)``, None, or a choice among them, by name.

    Raises:
        SpaceError: No branch, or a name that is not a plain word.
    """

    def __new__(cls, **branches: Any) -> Self:
        # Each set of names is a class of its own, so that branches are options like those of any declared object.
        if cls is Concat:
            if not branches:
                raise SpaceError("Concat needs a branch; write Concat(image=Branch(...), table=Branch(...)).")
            cls = _with_branches(tuple(sorted(branches)))  # type: ignore[assignment]  # a subclass
        return object.__new__(cls)

    def __reduce__(self) -> tuple[Any, ...]:
        return _concat, (dict(self.branches),)

    @property
    def branches(self) -> tuple[tuple[str, Any], ...]:
        """Names and branches; None for those that are left out."""
        return tuple((name, branch) for name, branch, _ in walk_fields(self))

    @property
    def used(self) -> Iterator[tuple[str, Branch]]:
        """Names and branches of those that are there; only asked of a ``Concat`` without domains."""
        return ((name, branch) for name, branch in self.branches if branch is not None)

    def conflict(self) -> tuple[str, str] | None:
        if not any(self.used):
            return "", "got None for every branch; keep at least one."
        return None

    def canonical(self) -> Concat:
        used = dict(self.used)
        named = {_canonical_name(name, branch, used): branch for name, branch in used.items()}
        said = {name: replace(b, input=None) if b.input == name else b for name, b in named.items()}
        return Concat(**said) if said else self

    def alike(self, like: Any) -> Concat:
        """The same with None for branches that another has and this one leaves out.

        Args:
            like: Anything; unless it has all branches that this one has, nothing is added.
        """
        others = {name for name, _ in like.branches} if isinstance(like, Concat) else set()
        used = dict(self.used)
        return Concat(**{**dict.fromkeys(others), **used}) if others >= set(used) else self

    def respelled(self, like: Any) -> Iterable[tuple[Any, Any]]:
        yield like, self
        own = {name: _said(name, branch) for name, branch in self.branches}
        theirs = {name: getattr(like, name) for name, _ in like.branches}
        yield like, type(self)(**{name: _as_written(branch, theirs[name], name) for name, branch in own.items()})


_OF_MODEL = "ConvNet(...), a backbone, Pretrained(...), Concat(...), a block of your own"
BODY = Maybe(Instance((Concat,), _OF_MODEL, _is_block))
"""The rule of a model's body."""


def _said(name: str, branch: Any) -> Any:
    """A branch that says its input."""
    return replace(branch, input=name) if isinstance(branch, Branch) and branch.input is None else branch


def _as_written(branch: Any, like: Any, name: str) -> Any:
    """A branch of this name whose input is left out where that is how another leaves it out."""
    silent = any(isinstance(other, Branch) and other.input is None for other in possible(like))
    return replace(branch, input=None) if silent and isinstance(branch, Branch) and branch.input == name else branch


def _canonical_name(name: str, branch: Branch, used: dict[str, Branch]) -> str:
    """A branch is called as what it reads, where no other is."""
    read = branch.input
    taken = [other.input or key for key, other in used.items() if key != name]
    return read if isinstance(read, str) and read.isidentifier() and read not in (*taken, *used) else name


def _concat(branches: dict[str, Any]) -> Concat:
    return Concat(**branches)


@cache
def _with_branches(names: tuple[str, ...]) -> type[Concat]:
    """The class of those with branches of these names."""
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or hasattr(Concat, name):
            allowed = f'a plain word that is not taken; write another and say what it reads, Branch(input="{name}")'
            raise SpaceError(f'Concat got the branch name "{name}"; allowed: {allowed}.')
    said = {name: option(BRANCH) for name in names}
    body = {"__annotations__": dict.fromkeys(names, Any), "__module__": __name__, "__doc__": Concat.__doc__, **said}
    return declared(type("Concat", (Concat,), body))
