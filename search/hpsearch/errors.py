"""Errors meant for people: one plain sentence, and the exit code it ends a command with."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

__all__ = [
    "DataError",
    "HpsearchError",
    "InputError",
    "ModelError",
    "OutputError",
    "RunError",
    "SpaceError",
    "StudyError",
    "WeightsError",
    "did_you_mean",
    "join_address",
]


class HpsearchError(Exception):
    """Base of every error that hpsearch raises on purpose; its text is shown without a traceback."""

    exit_code = 1


class InputError(HpsearchError):
    """Something the user wrote or pointed at is wrong; nothing was started."""

    exit_code = 2


class SpaceError(InputError):
    """A space file, or a recipe in it, says something that is not allowed.

    Args:
        problem: One sentence: what it got, what is allowed, what to do.
        address: Where in the space, such as ``model.body.stages[1].filters``; empty for the whole.
    """

    def __init__(self, problem: str, address: str = "") -> None:
        super().__init__(f"{address}: {problem}" if address else problem)
        self.problem = problem
        self.address = address


class ModelError(HpsearchError):
    """A recipe is well formed, but its network cannot be built for this input.

    Args:
        problem: One sentence: what does not fit and what to do.
        address: The part of the recipe that does not fit, relative to whoever raises it.
    """

    def __init__(self, problem: str, address: str = "") -> None:
        super().__init__(f"{address}: {problem}" if address else problem)
        self.problem = problem
        self.address = address

    def below(self, parent: str) -> ModelError:
        """The same error seen from one level up: its address prefixed with ``parent``."""
        return ModelError(self.problem, join_address(parent, self.address))


class WeightsError(HpsearchError):
    """Pretrained weights were asked for and cannot be had; the sentence says which file to put where."""


class DataError(InputError):
    """The data cannot be found, read or split as declared."""


class StudyError(InputError):
    """A study cannot be opened, resumed or read as asked."""


class RunError(HpsearchError):
    """A command started properly and failed on the way."""


class OutputError(RunError):
    """What a command prints cannot be written, as on a full disk."""


def join_address(parent: str, child: str) -> str:
    """``model`` and ``body`` give ``model.body``; ``stages`` and ``[0]`` give ``stages[0]``."""
    if not parent or not child:
        return parent or child
    return parent + child if child.startswith(("[", "(")) else f"{parent}.{child}"


_AS_NEAR = 0.2
"""A name whose likeness to what was written is so much less than that of another was not meant."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A question with the nearest known names, or an empty string when nothing is near.

    Args:
        wrong: What was written.
        known: The names that exist.
    """
    near = get_close_matches(wrong, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    alike = [SequenceMatcher(None, wrong, name).ratio() for name in near]
    near = [name for name, ratio in zip(near, alike, strict=True) if ratio > alike[0] - _AS_NEAR]
    return f" Did you mean {' or '.join(near)}?" if near else ""
