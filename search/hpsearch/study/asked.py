"""Options of the last run that nothing else in the record holds: ``asked.json`` in the folder of the study."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping

from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder

__all__ = ["Said", "lanes_until", "read_asked", "write_asked"]

Said = str | float | bool | None

_FILE = "asked.json"
_LANES = "lanes"
"""An option of earlier versions: how many trials were trained in each process at a time."""
_LANES_UNTIL = "lanes-until"
"""When the first run without that option went on with the study, in seconds since 1970."""


def write_asked(study: StudyFolder, options: Mapping[str, Said]) -> None:
    """Keep what a run was asked for, so that the command that goes on can say it again.

    Args:
        study: The study.
        options: The values by the names of the options, such as ``no-baselines``; None and False where one was not
            given.
    """
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if (ends := lanes_until(study)) is not None:
        given[_LANES_UNTIL] = min(ends, time.time())
    with contextlib.suppress(OSError):  # a convenience: a run does not end because there is no room for it
        write_json(study.path / _FILE, given)


def read_asked(study: StudyFolder) -> dict[str, Said]:
    """What the last run was asked for, by option; empty where no run said so.

    What an earlier version trained in several lanes of a process is trained by as many processes now.

    Args:
        study: The study.
    """
    asked = _read(study)
    lanes = asked.pop(_LANES, None)
    asked.pop(_LANES_UNTIL, None)
    return {"per-device": lanes, **asked} if _several(lanes) else asked


def lanes_until(study: StudyFolder) -> float | None:
    """Before when trials of a study may have been trained in lanes, in seconds since 1970; None where none was.

    Args:
        study: The study.
    """
    asked = _read(study)
    if _several(asked.get(_LANES)):
        return math.inf
    ends = asked.get(_LANES_UNTIL)
    return float(ends) if isinstance(ends, int | float) else None


def _several(lanes: Said) -> bool:
    return isinstance(lanes, int) and lanes > 1


def _read(study: StudyFolder) -> dict[str, Said]:
    """All that the file says."""
    try:
        said = read_json(study.path / _FILE)
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, str | int | float)}
