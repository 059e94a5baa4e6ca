"""Records of studies as a run leaves them, without a run: for tests that only read."""

from pathlib import Path
from typing import Any

from hpsearch.study.folder import StudyFolder, StudyInfo

__all__ = ["begin", "info_of"]


def info_of(name: str = "digits", **more: Any) -> StudyInfo:
    """What a study of two classes says of itself."""
    said: dict[str, Any] = {
        "name": name,
        "objective": "max val_accuracy",
        "space_file": f"spaces/{name}.py",
        "space_text": "",
        "space_fingerprint": "",
        "data_text": '"digits"',
        "data_fingerprint": "images, labels, split",
        "class_names": ["0", "1"],
        "train_images": 1150,
        "validation_images": 287,
        "subset": None,
        "seed": 0,
        "epochs": None,
        "created": 1.76e9,
        **more,
    }
    return StudyInfo(**said)


def begin(results: Path, name: str = "digits", **more: Any) -> StudyFolder:
    """A study without trials."""
    folder = StudyFolder(results / name)
    folder.create(info_of(name, **more), "space = ...\n")
    return folder
