"""What is left of ``--lanes``: several trainings in one process, as earlier versions had them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hpsearch.cli.output import PositiveWhole
from hpsearch.errors import InputError
from hpsearch.study import StudyFolder, Trial
from hpsearch.study.asked import lanes_until

__all__ = ["doubt", "lanes_option"]

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


def doubt(study: StudyFolder, trial: Trial, results: Path) -> str:
    """Why the score of a trial may be wrong, and the way out; empty where no record speaks of ``--lanes``.

    Whether a trial of such a run was in a lane beside others is not recorded, so that all of them are doubtful. Finals
    never recorded their options: they are doubtful where the search was trained so.

    Args:
        study: The study, or the finals of one.
        trial: A trial of it.
        results: The folder that holds the studies, as the user calls it.
    """
    around = study.study_of_finals
    ends = lanes_until(around or study)
    if ends is None or trial.engine != "device" or trial.started >= ends:
        return ""
    where = "" if str(results) == "results" else f" --results {results}"
    again = f"hpsearch finals --study {(around or study).name}{where}"
    how = f"train it again with: {again}" if around is None else f"move {study.path} away, then train all with: {again}"
    return (
        "Trained by an earlier version with --lanes, perhaps: its score may be wrong where its network has batch "
        f"normalisation; {how}"
    )
