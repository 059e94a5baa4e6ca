"""What killed processes left beside the record of a study: folders for temporary files, and exports in the making."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hpsearch.executors.scratch import stale
from hpsearch.results.placing import settle, unsettled
from hpsearch.study.folder import StudyFolder
from hpsearch.study.keeping import Reclaimable, size_of

__all__ = ["leftovers"]


def leftovers(study: StudyFolder) -> list[Reclaimable]:
    """What is left of processes that have ended, where this study and its exports lie and where temporary files go.

    Args:
        study: The study, which no run holds.
    """
    folders = [path for place in (None, study.path.parent, study.path) for path in stale(place)]
    found = [_of(path, "temporary files of a process that was killed") for path in folders]
    earlier = study.path / ".export.new"
    if earlier.is_dir() and not earlier.is_symlink():
        found.append(_of(earlier, "an export that was killed"))
    said = [opening.get("folder") for opening in study.info().test_openings]
    places = dict.fromkeys([study.path.resolve() / "export", *(Path(str(each)) for each in said if each)])
    for place in places:
        settled = partial(settle, place)
        found += [
            _of(path, "an export that was killed; what is whole is put in its place", settled)
            for path in unsettled(place)
        ]
    return found


def _of(path: Path, why: str, settled: Callable[[], None] | None = None) -> Reclaimable:
    return Reclaimable(path, size_of(path), why, settled)
