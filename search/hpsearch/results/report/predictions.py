"""What the best network answers on the validation part: kept in the study, made once by a process that has Keras."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import HpsearchError
from hpsearch.results.leaderboard import Row
from hpsearch.results.report.facts import Facts
from hpsearch.study.checkpoints import checkpoint_files
from hpsearch.study.trial import Trial

__all__ = ["FOLDER", "MOST", "Answers", "Mistake", "answers_of", "left_over"]

MOST = 24
"""So many mistakes are shown."""

FOLDER = "report"
"""Where in the study the answers are kept."""


@dataclass(frozen=True)
class Mistake:
    """A row of the validation part that was answered wrongly.

    Args:
        row: Its position in the validation part.
        label: What it is: a position in the class names, or an amount.
        said: What the network says.
        share: How sure it is, from 0 to 1; None of amounts.
        picture: Its image as a ``data:`` address, or None where there is none.
        name: Its file, or the line of its table; empty where it has none, or where an earlier version did not keep it.
    """

    row: int
    label: float
    said: float
    share: float | None
    picture: str | None
    name: str = ""

    @property
    def where(self) -> str:
        """What a person finds it by."""
        return self.name or f"validation {'image' if self.picture else 'row'} {self.row}"


@dataclass(frozen=True)
class Answers:
    """What a network answers on the validation part.

    Args:
        trial: Whose.
        labels: What each row is: positions in the class names, or amounts.
        said: What the network says of each.
        mistakes: Those that it is surest of; of amounts the largest errors.
        classes: How many classes there are; 0 of amounts.
    """

    trial: Trial
    labels: Sequence[float]
    said: Sequence[float]
    mistakes: Sequence[Mistake]
    classes: int

    @property
    def correct(self) -> int:
        """How many rows are answered rightly."""
        return sum(label == said for label, said in zip(self.labels, self.said, strict=True))

    def confusion(self) -> list[list[int]]:
        """How often each class (a row) was taken for each (a column)."""
        table = [[0] * self.classes for _ in range(self.classes)]
        for label, said in zip(self.labels, self.said, strict=True):
            table[int(label)][int(said)] += 1
        return table


def answers_of(facts: Facts, *, ask: bool) -> Answers | str:
    """What the best network answers on the validation part.

    Args:
        facts: The study.
        ask: Whether a process may be started that computes it; else only what is kept is read.

    Returns:
        The answers, or a sentence why there are none.
    """
    row = facts.chosen
    if row is None:
        return "No trial has a score yet."
    final = _final(facts)
    kept = _file(facts, row, final)
    with contextlib.suppress(OSError, ValueError, KeyError):
        return _read(kept, row.trial, facts)
    if not ask:
        return "They are not drawn yet; hpsearch report does so when no run goes on, so that nothing is taken from it."
    if final is None and not checkpoint_files(facts.folder.trial(row.trial.number).path):
        return f"The checkpoint of trial {row.trial.name} is gone, so that nobody knows what it answers."
    try:
        _asked(facts, row, final, kept)
        return _read(kept, row.trial, facts)
    except (HpsearchError, OSError, ValueError, KeyError) as error:
        return f"What trial {row.trial.name} answers could not be found out: {str(error).strip()}"


def left_over(facts: Facts) -> list[Path]:
    """Answers that are kept in the study and that no report shows any more: another network is the best one now.

    Args:
        facts: The study.
    """
    row = facts.chosen
    shown = _file(facts, row, _final(facts)) if row is not None else None
    return [path for path in sorted((facts.folder.path / FOLDER).glob("*.npz")) if path != shown]


def _final(facts: Facts) -> Path | None:
    """What the chosen network answered in the finals, with the first seed; None where there were none."""
    if facts.finals is None or facts.finals.chosen is None or not facts.finals.seeds:
        return None
    for trial in facts.folder.finals.trials():
        if (trial.parent, trial.seed) == (facts.finals.chosen, facts.finals.seeds[0]):
            path = facts.folder.finals.trial(trial.number).path / "validation.npz"
            return path if path.exists() else None
    return None


def _file(facts: Facts, row: Row, final: Path | None) -> Path:
    """Where the answers of a trial are kept; another training of it would have another name."""
    trial = row.trial
    again = f"final-{final.parent.name}" if final is not None else f"epoch-{trial.best_epoch or 0}"
    return facts.folder.path / FOLDER / f"{trial.number:05d}-{trial.hash[:12] or 'unknown'}-{again}.npz"


def _asked(facts: Facts, row: Row, final: Path | None, output: Path) -> None:
    """Have a process that has Keras compute them.

    Raises:
        HpsearchError: It could not, for the reason said.
    """
    from hpsearch.errands import Look
    from hpsearch.hardware import HardwareOptions, choose_backend
    from hpsearch.launch import answered
    from hpsearch.messages import Setup

    info, trial, folder = facts.info, row.trial, facts.folder
    choose_backend(HardwareOptions(), info)
    imports = Path(info.space_file).parent
    data_dir = Path(info.data_dir) if info.data_dir else None
    setup = Setup(
        folder.space_file.resolve(),
        imports.resolve() if imports.is_dir() else folder.path.resolve(),
        data_dir,
        info.subset,
        info.skip_bad_images,
    )
    answered(
        Look(
            setup=setup,
            data_fingerprint=info.data_fingerprint,
            name=trial.name,
            answers=dict(trial.answers),
            baseline=trial.baseline,
            recipe=trial.recipe if trial.enqueued else None,
            hash=trial.hash,
            folder=folder.trial(trial.number).path.resolve(),
            epochs=trial.epochs_budget,
            metric=facts.metric,
            outputs=final.resolve() if final is not None else None,
            most=MOST,
            output=output.resolve(),
        )
    )


def _read(path: Path, trial: Trial, facts: Facts) -> Answers:
    """Read what is kept.

    Raises:
        OSError: There is nothing.
        ValueError: It is something else.
        KeyError: It is something else.
    """
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        outputs, labels = archive["predictions"].astype("float64"), archive["labels"]
        worst, sizes, pictures = archive["mistakes"], archive["sizes"], archive["pictures"].tobytes()
        names = archive["names"].tolist() if "names" in archive else []
    if len(outputs) != len(labels) or outputs.ndim != 2:
        raise ValueError("not what a network answers")
    images = _images(sizes.tolist(), pictures)
    if labels.dtype.kind == "f":
        said, shares = outputs[:, 0], None
    else:
        said, shares = outputs.argmax(axis=1), outputs.max(axis=1)
    mistakes = [
        Mistake(
            row=int(at),
            label=labels[at].item(),
            said=said[at].item(),
            share=None if shares is None else float(shares[at]),
            picture=images[place] if images else None,
            name=str(names[place]) if names else "",
        )
        for place, at in enumerate(worst)
    ]
    classes = 0 if shares is None else max(len(facts.info.class_names), outputs.shape[1])
    return Answers(trial, labels.tolist(), said.tolist(), mistakes, classes)


def _images(sizes: Sequence[int], pictures: bytes) -> list[str]:
    found, at = [], 0
    for size in sizes:
        data = pictures[at : at + size]
        kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
        found.append(f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}")
        at += size
    return found
