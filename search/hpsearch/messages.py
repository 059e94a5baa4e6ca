"""What a coordinator and a worker say to each other over their pipe; plain values only, so that both sides stay apart.

coordinator                         worker
Setup            ->                 loads the space and the data
                 <-  Ready          or Refused
Train            ->                 resolves the recipe
                 <-  Suggest        for every choice; answered with Chosen
                 <-  Resolved       answered with Go or Drop
                 <-  Measured       the network is known, not yet allocated; answered with Go or Drop
                 <-  Continued      from a checkpoint, where there was one; answered with Go
                 <-  EpochDone      answered with Go, Halt or Leave
                 <-  Trained        or Failed, or Left

At any time while it trains, a worker says Beat, which nobody answers, and NoRoom, which is answered with Go (try again)
or Leave. At any time the coordinator may say Leave without being asked: the worker ends the step, writes a checkpoint
and says Left; a Leave that arrives when the trial has just ended is passed over. What else a worker is asked is in
``hpsearch.errands``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpsearch.addresses import Parameter
from hpsearch.describe import SpaceSummary
from hpsearch.domains import Scalar
from hpsearch.study.trial import Epoch, FailureKind

__all__ = [
    "Beat",
    "Chosen",
    "Continued",
    "Drop",
    "EpochDone",
    "Failed",
    "Go",
    "Halt",
    "Leave",
    "Left",
    "Measured",
    "NoRoom",
    "Ready",
    "Refused",
    "Resolved",
    "Setup",
    "Suggest",
    "Train",
    "Trained",
]


@dataclass(frozen=True)
class Setup:
    """Load this space and its data.

    Args:
        space_file: The space file.
        imports: The folder that the space file's imports are looked up in.
        data_dir: Where to look for data and weights first, or None.
        subset: How many training images to take, or None for all.
        skip_bad_images: Whether to go on without images that cannot be decoded.
        deterministic: Whether the same seed must give the same weights, bit by bit, even where that is slower.
        engine: What trains: ``fit``, ``device``, or ``auto``, which takes the better one.
        backend: What Keras must calculate with; None takes what it finds.
    """

    space_file: Path
    imports: Path
    data_dir: Path | None = None
    subset: int | None = None
    skip_bad_images: bool = False
    deterministic: bool = False
    engine: str = "auto"
    backend: str | None = None


@dataclass(frozen=True)
class Ready:
    """Space and data are there.

    Args:
        summary: The space.
        data_fingerprint: Of the images, labels and split.
        class_names: The classes, in the order of the labels.
        train_images: How many images are trained on.
        validation_images: How many images scores are measured on.
        skipped: The bad images that were left out.
        baseline_costs: Floating-point operations of one image through each baseline, by name; those that build.
        versions: Of what trains.
        device: What the worker trains on, such as ``cpu`` or the name of a GPU.
        validation_classes: How many of those images are of each class; none where amounts are told.
    """

    summary: SpaceSummary
    data_fingerprint: str
    class_names: tuple[str, ...]
    train_images: int
    validation_images: int
    skipped: tuple[str, ...]
    baseline_costs: dict[str, int]
    versions: dict[str, str]
    device: str = "cpu"
    validation_classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Refused:
    """Space or data cannot be had; the user must mend something.

    Args:
        sentence: What and how.
        exit_code: How the command should end.
    """

    sentence: str
    exit_code: int


@dataclass(frozen=True)
class Train:
    """Train one trial, or go on with it where its folder holds a checkpoint.

    Args:
        seed: Of weights, shuffles and dropout.
        folder: The folder of the trial: takes ``log.txt``, with whatever training prints, and the checkpoints.
        baseline: The name of a baseline to train, or None to resolve the space.
        recipe: The source of a recipe to train that somebody enqueued, or None.
        epochs: The most epochs, those of a parent or an earlier run included, or None for the recipe's own.
        parent: The folder of the trial from whose checkpoint this one goes on while it has none of its own, or None.
        checkpoint_every: Seconds that must have passed since the last checkpoint; 0 writes one after every epoch.
        answers: The folder of the finals, where what the best weights say of the validation part is to be kept:
            ``validation.npz`` in the folder of the trial, and ``validation_labels.npz`` there; or None.
    """

    seed: int
    folder: Path
    baseline: str | None = None
    recipe: str | None = None
    epochs: int | None = None
    parent: Path | None = None
    checkpoint_every: float = 0.0
    answers: Path | None = None


@dataclass(frozen=True)
class Suggest:
    """Make this choice."""

    parameter: Parameter


@dataclass(frozen=True)
class Chosen:
    """The choice made."""

    value: Scalar


@dataclass(frozen=True)
class Resolved:
    """The recipe is known.

    Args:
        recipe: As source.
        hash: Of its canonical form.
        epochs: The most epochs it will be trained.
        unique: Whether the hash says all about it; not so where a user's own ``fit`` still makes choices.
    """

    recipe: str
    hash: str
    epochs: int
    unique: bool = True


@dataclass(frozen=True)
class Measured:
    """The network is known; nothing large was allocated yet.

    Args:
        parameters: How many it has, frozen ones included.
        flops: Floating-point operations of one image through it, forward: two for a multiplication with its addition.
        memory: Estimate of the most bytes that training it takes at its batch size.
    """

    parameters: int
    flops: int
    memory: int


@dataclass(frozen=True)
class Continued:
    """Training goes on from a checkpoint.

    Args:
        epochs: How many epochs it holds; 0 where the only checkpoint was written in the middle of the first epoch.
    """

    epochs: int


@dataclass(frozen=True)
class Beat:
    """A sign of life between two steps, at most one a second.

    Args:
        epoch: The epoch in progress, from 1.
        step: Steps done in it.
        steps: Steps of an epoch, or None where that is not known.
    """

    epoch: int
    step: int
    steps: int | None


@dataclass(frozen=True)
class NoRoom:
    """A checkpoint could not be written because the disk is full.

    Args:
        path: The file.
        wanted: Bytes that it needs.
    """

    path: Path
    wanted: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch ended.

    Args:
        epoch: What it gave.
        checkpoint: Whether a checkpoint of it is on disk.
    """

    epoch: Epoch
    checkpoint: bool = False


@dataclass(frozen=True)
class Trained:
    """Training ended, at its last epoch or because it was halted.

    Args:
        score: The objective at the best epoch.
        best_epoch: That epoch, from 1.
        train_score: The same metric on training images, in inference mode; None where training was given up early.
        engine: What trained it, ``fit`` or ``device``.
    """

    score: float
    best_epoch: int
    train_score: float | None
    engine: str = "fit"


@dataclass(frozen=True)
class Left:
    """Training stopped as asked and can go on from its checkpoint.

    Args:
        epochs: Whole epochs that the checkpoint holds; None where there is no checkpoint.
    """

    epochs: int | None


@dataclass(frozen=True)
class Failed:
    """The trial failed; the worker lives on.

    Args:
        kind: Why, as a kind.
        message: Why, in a sentence.
    """

    kind: FailureKind
    message: str


@dataclass(frozen=True)
class Go:
    """Go on."""


@dataclass(frozen=True)
class Drop:
    """Give this trial up before it trains."""


@dataclass(frozen=True)
class Halt:
    """End the trial after this epoch; what was found counts."""


@dataclass(frozen=True)
class Leave:
    """Stop after this step, so that the trial can go on later."""
