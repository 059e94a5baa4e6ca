"""Options of the last run that nothing else in the record holds: ``asked.json`` in the folder of the study."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder

__all__ = ["Said", "read_asked", "write_asked"]

Said = str | float | bool | None

_FILE = "asked.json"


def write_asked(study: StudyFolder, options: Mapping[str, Said]) -> None:
    """Keep what a run was asked for, so that the command that goes on can say it again.

    Args:
        study: The study.
        options: The values by the names of the options, such as ``no-baselines``; None and False where one was not
            given.
    """
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    with contextlib.suppress(OSError):  # a convenience: a run does not end because there is no room for it
        write_json(study.path / _FILE, given)


def read_asked(study: StudyFolder) -> dict[str, Said]:
    """What the last run was asked for, by option; empty where no run said so.

    Args:
        study: The study.
    """
    try:
        said = read_json(study.path / _FILE)
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, str | int | float)}
