"""The export of a study as its report tells it: where it lies, and what it scores on the test part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hpsearch.results.tested import Tested, Told
from hpsearch.study.atomic import read_json
from hpsearch.study.folder import StudyFolder, StudyInfo

__all__ = ["Exported", "read_exported"]


@dataclass(frozen=True)
class Exported:
    """An export.

    Args:
        folder: Where it lies, as the user calls it.
        tested: Its network and what that scores on the test part.
        images: How many rows the test part has.
    """

    folder: Path
    tested: Tested
    images: int

    @property
    def score(self) -> Told | None:
        """The metric of the search on the test part, or else what is usual of such data."""
        return next(iter(self.tested.told), None)


def read_exported(folder: StudyFolder, info: StudyInfo, results: Path) -> Exported | None:
    """The last export of a study; None where there is none, or where it cannot be read.

    Args:
        folder: The study.
        info: Who it is.
        results: The folder that holds the studies, as the user calls it.
    """
    usual, places = folder.path / "export", []
    if info.test_openings and (last := info.test_openings[-1].get("folder")):
        places.append(Path(str(last)))
    for place in [*places, usual]:
        try:
            record = read_json(place / "metrics.json")
            if record["study"] != folder.name or not (place / "model.keras").exists():
                continue
            said = results / folder.name / "export" if place.resolve() == usual.resolve() else _near(place)
            return Exported(said, Tested(**record["chosen"]), int(record["test_images"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _near(place: Path) -> Path:
    """A folder as it is called from here, where it lies below."""
    near = Path(os.path.relpath(place))
    return place if near.parts[:1] == ("..",) else near
