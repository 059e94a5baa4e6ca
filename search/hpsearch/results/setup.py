"""What a worker loads that goes on with a study after its search."""

from __future__ import annotations

from pathlib import Path

from hpsearch.messages import Setup
from hpsearch.study.folder import StudyFolder, StudyInfo

__all__ = ["setup_of"]


def setup_of(study: StudyFolder, info: StudyInfo, data_dir: Path | None) -> Setup:
    """The space and the data of a study, as the search loaded them.

    Args:
        study: The study.
        info: Who it is.
        data_dir: Where to look for data first; None is where the search found it.
    """
    imports = Path(info.space_file).parent
    known = Path(info.data_dir) if info.data_dir else None
    return Setup(
        study.space_file,
        imports if imports.is_dir() else study.path,
        data_dir or known,
        info.subset,
        info.skip_bad_images,
        info.deterministic,
    )
