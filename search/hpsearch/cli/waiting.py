"""Checkpoints that hand-made networks wait for: those that a trained model is to be saved from."""

from __future__ import annotations

from pathlib import Path

from hpsearch.cli.options import use_data_dir
from hpsearch.errors import HpsearchError
from hpsearch.study.folder import StudyFolder

__all__ = ["awaited"]


def awaited(study: StudyFolder, options: str) -> dict[str, str]:
    """The hand-made networks whose trained files others of the study take, as a run would say that they are left out.

    Args:
        study: The study. Of a space file that imports Keras nothing is known here.
        options: What is added to the command that saves one, such as `` --study houses``.

    Returns:
        What is to be said, by the name of the hand-made network that is to be saved.
    """
    from hpsearch.describe import describe
    from hpsearch.spacefile import is_declarative, load_space

    info = study.info()
    imports, data = Path(info.space_file).parent, Path(info.data_dir) if info.data_dir else None
    try:
        if not is_declarative(study.space_file):
            return {}
        folder = use_data_dir(data if data is not None and data.is_dir() else None)
        space = load_space(study.space_file, module_path=imports if imports.is_dir() else study.path)
        waiting = describe(space).left_out
    except HpsearchError:  # of a space that cannot be loaded any more no network waits for anything
        return {}
    trained = {trial.baseline for trial in study.trials() if trial.state == "COMPLETE"}
    return {
        name: one.sentence(folder, options) for one in waiting if one.name not in trained for name in one.trials if name
    }
