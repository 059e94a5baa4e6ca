"""What is left of ``--lanes``: several trainings in one process, as earlier versions had them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hpsearch.cli.output import PositiveWhole
from hpsearch.errors import InputError

__all__ = ["lanes_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


def lanes_option(command: Command) -> Command:
    """Add ``--lanes``, which nobody is told of and which says what to take instead."""
    return click.option(
        "--lanes", type=PositiveWhole(), callback=_refused, expose_value=False, is_eager=True, hidden=True
    )(command)


def _refused(context: click.Context, option: click.Parameter, number: int | None) -> None:  # noqa: ARG001  # Click's
    if number is not None and number > 1:
        raise InputError(
            "--lanes is gone, for its networks with batch normalisation were scored wrongly; "
            f"use --per-device {number} instead."
        )
