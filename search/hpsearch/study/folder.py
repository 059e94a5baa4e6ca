"""A study as one folder under the results: who it is, its trials, and the lock of its one writer."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any, Literal

from hpsearch.errors import RunError, StudyError, did_you_mean
from hpsearch.study.atomic import read_json, write_json, write_text
from hpsearch.study.lock import Holder, Taken, holder_of, locked
from hpsearch.study.trial import Trial, TrialFolder

__all__ = ["StudyFolder", "StudyInfo", "checked_name", "open_study", "studies_in"]


@dataclass
class StudyInfo:
    """What a study is; written once, but for the openings of the test part.

    Args:
        name: Its name, which is its folder's.
        objective: Such as ``max val_accuracy``.
        space_file: The space file it was started with.
        space_text: What is searched, as source.
        space_fingerprint: The fingerprint of the space.
        data_text: The declaration of the data, as source.
        data_fingerprint: The fingerprint of the images, labels and split that were searched on.
        class_names: The classes, in the order of the labels.
        train_images: How many images were trained on.
        validation_images: How many images the scores were measured on.
        subset: The number of training images asked for, or None for all.
        seed: Where the random numbers of the study start.
        epochs: The epochs asked for on the command line, or None for the recipe's own.
        created: Seconds since 1970.
        data_dir: Where data was looked for first, or None.
        skip_bad_images: Whether images that cannot be read were left out.
        versions: Of Python and of the packages that matter; ``backend`` is what Keras calculates with.
        strategy: Who proposes, as ``--strategy`` says it.
        pruner: Who stops trials early, as ``--pruner`` says it.
        deterministic: Whether the same seed gives the same weights, bit by bit.
        xla: Whether TensorFlow compiles with XLA: ``auto``, ``yes``, or ``no``, as where its compiler fails on the GPU.
        test_openings: Each opening of the sealed test part: when, by which command, for which trials.
    """

    name: str
    objective: str
    space_file: str
    space_text: str
    space_fingerprint: str
    data_text: str
    data_fingerprint: str
    class_names: list[str]
    train_images: int
    validation_images: int
    subset: int | None
    seed: int
    epochs: int | None
    created: float
    data_dir: str | None = None
    skip_bad_images: bool = False
    strategy: str = "tpe"
    pruner: str = "none"
    deterministic: bool = False
    xla: Literal["auto", "yes", "no"] = "auto"
    versions: dict[str, str] = field(default_factory=dict)
    test_openings: list[dict[str, Any]] = field(default_factory=list)


class StudyFolder:
    """``results/<study>/``: ``study.json``, ``space.py``, ``study.db``, ``trials/00012/``, ``export/``.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: int | None = None  # the descriptor of the lock while this process writes

    @property
    def name(self) -> str:
        """The name of the study; of finals with that of their study before it, as in ``digits/finals``."""
        return f"{self.path.parent.name}/{_FINALS}" if self.study_of_finals else self.path.name

    @property
    def finals(self) -> StudyFolder:
        """The finals of this study, which are a study of their own inside it; they may not have begun."""
        return StudyFolder(self.path / _FINALS)

    @property
    def study_of_finals(self) -> StudyFolder | None:
        """The study that these are the finals of; None where this is a search."""
        around = StudyFolder(self.path.parent)
        return around if self.path.name == _FINALS and around.exists else None

    @property
    def database(self) -> Path:
        """Optuna's storage."""
        return self.path / "study.db"

    @property
    def space_file(self) -> Path:
        """The copy of the space file the study was started with."""
        return self.path / "space.py"

    @property
    def exists(self) -> bool:
        """Whether the study was begun."""
        return (self.path / "study.json").exists()

    def create(self, info: StudyInfo, space_source: str) -> None:
        """Begin the study: write who it is and the copy of the space file.

        Args:
            info: What the study is.
            space_source: The text of the space file.

        Raises:
            StudyError: The folder cannot be written.
        """
        try:
            (self.path / "trials").mkdir(parents=True, exist_ok=True)
            write_text(self.space_file, space_source)
            self.write_info(info)
        except OSError as error:
            raise StudyError(
                f"The study cannot be written to {self.path}: {error.strerror}. Choose another folder with --results."
            ) from error

    def info(self) -> StudyInfo:
        """Who the study is.

        Raises:
            StudyError: Its ``study.json`` is missing or damaged.
        """
        path = self.path / "study.json"
        try:
            return StudyInfo(**read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise StudyError(f"{path} is not the record of a study ({error}).") from error

    def write_info(self, info: StudyInfo) -> None:
        """Write who the study is."""
        write_json(self.path / "study.json", dataclasses.asdict(info))

    def trial(self, number: int) -> TrialFolder:
        """The folder of a trial."""
        return TrialFolder(self.path / "trials" / f"{number:05d}")

    def trials(self) -> list[Trial]:
        """The records of all trials, by number; a folder without a readable record is passed over."""
        found: list[Trial] = []
        for path in sorted((self.path / "trials").glob("[0-9]*")):
            try:
                found.append(TrialFolder(path).read())
            except (OSError, ValueError):
                continue
        return found

    def find(self, name: str) -> Trial:
        """A trial by its number or by the name of its baseline.

        Raises:
            StudyError: There is none; the sentence names the nearest.
        """
        trials = self.trials()
        for trial in trials:
            if name in (trial.name, str(trial.number)):
                return trial
        if not trials:
            raise StudyError(f"Study {self.name} has no trials yet.")
        numbers = f"trials {trials[0].number} to {trials[-1].number}"
        baselines = [trial.baseline for trial in trials if trial.baseline]
        listed = f" and the baselines {', '.join(baselines)}" if baselines else ""
        raise StudyError(
            f"Study {self.name} has no trial {name!r}; it has {numbers}{listed}.{did_you_mean(name, baselines)}"
        )

    def difference(self, space_text: str) -> str:
        """What changed in the space since the study began, as a unified diff without its header."""
        lines = unified_diff(self.info().space_text.splitlines(), space_text.splitlines(), lineterm="", n=1)
        return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    def holder(self) -> Holder | None:
        """Who writes to the study now; None where nobody does. Looking disturbs nobody.

        Raises:
            StudyError: The file system knows no locks.
        """
        return holder_of(self._lock)

    @property
    def held(self) -> bool:
        """Whether a process writes to the study now."""
        return self.holder() is not None

    @contextmanager
    def writing(self, *, continues: bool = True) -> Iterator[None]:
        """Hold the study as its one writer.

        Args:
            continues: Whether the study is gone on with, so that it counts as the latest.

        Raises:
            StudyError: Another process writes to it, or the folder cannot be written.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                before = self._lock.stat() if self._lock.exists() else None
                self._held = stack.enter_context(locked(self._lock))
                stack.callback(self._let_go)
                if before is not None and not continues:
                    os.utime(self._lock, ns=(before.st_atime_ns, before.st_mtime_ns))
            except Taken as taken:
                raise StudyError(
                    f"Study {self.name} is being written by {taken.holder}; wait for it, end it with: hpsearch stop "
                    f"--study {self.name}, or give this run a --study of its own."
                ) from taken
            except OSError as error:
                raise StudyError(
                    f"The study cannot be written to {self.path}: {error.strerror}. Choose another folder with "
                    "--results."
                ) from error
            yield

    @property
    def lost(self) -> bool:
        """Whether the lock that this process took is not the study's any more: removed by hand, or moved with it."""
        if self._held is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._held), self._lock.stat())
        except OSError:
            return True

    def check_held(self) -> None:
        """Stop before anything is written that might be another's.

        Raises:
            RunError: The study is `lost`.
        """
        if self.lost:
            raise RunError(
                f"{self._lock} was removed, or the folder was moved, while this run wrote to study {self.name}; it has "
                "stopped writing. Put the folder back where it was, and the same command goes on."
            )

    def _let_go(self) -> None:
        self._held = None


_FINALS = "finals"
_LONGEST = 200
"""Characters of a name; most file systems take 255 bytes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def checked_name(name: str) -> str:
    """A name that can be a folder.

    Raises:
        StudyError: It cannot.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        got = repr(name) if len(name) <= _LONGEST else f"a name of {len(name)} characters"
        raise StudyError(
            f"--study got {got}; allowed: at most {_LONGEST} letters, digits, '.', '_' and '-', beginning with a "
            "letter or digit."
        )
    return name


def studies_in(results: Path) -> list[StudyFolder]:
    """The studies in a results folder, the latest begun or continued last.

    Args:
        results: The folder that holds them; it may be missing.
    """
    folders = [StudyFolder(path.parent) for path in results.glob("*/study.json")]
    return sorted(folders, key=lambda study: (_last_change(study), study.name))


def _last_change(study: StudyFolder) -> float:
    paths = (study.path / "study.json", study.path / "lock")
    return max(path.stat().st_mtime for path in paths if path.exists())


def open_study(results: Path, name: str | None = None) -> StudyFolder:
    """A study by name, or the latest.

    Args:
        results: The folder that holds the studies.
        name: Its name; None for the one begun or continued last. ``digits/finals`` names the finals of a study.

    Raises:
        StudyError: There is none of that name; the sentence names the nearest.
    """
    known = studies_in(results)
    if not known:
        raise StudyError(f"There is no study in {results}; begin one with: hpsearch run spaces/digits.py")
    if name is None:
        return known[-1]
    for study in known:
        if name in (study.name, study.finals.name) and (study.name == name or study.finals.exists):
            return study if study.name == name else study.finals
    names = [study.name for study in known]
    guess = did_you_mean(name, names) or f" There are: {', '.join(names)}."
    raise StudyError(f"There is no study {name!r} in {results}.{guess}")
