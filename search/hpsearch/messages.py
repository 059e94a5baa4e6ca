"""What a coordinator and a worker say to each other over their pipe; plain values only, so that both sides stay apart.

coordinator                         worker
Setup            ->                 loads the space and the data
                 <-  Ready          or Refused
Train            ->                 resolves the recipe
                 <-  Suggest        for every choice; answered with Chosen
                 <-  Resolved       answered with Go or Drop
                 <-  Measured       the network is built; answered with Go or Drop
                 <-  EpochDone      answered with Go or Halt
                 <-  Trained        or Failed
Refit            ->                 trains a recipe again on train + validation
                 <-  EpochDone      answered with Go
                 <-  Refitted       or Failed
Inspect          ->                 (instead of Setup) builds what a space file declares, without its data
                 <-  Inspected      or Refused
Score            ->                 (instead of Setup) loads an exported model, in a process that never built it
                 <-  Scored         or Refused
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.addresses import Parameter
from hpsearch.describe import SpaceSummary
from hpsearch.domains import Scalar
from hpsearch.study.trial import Epoch, FailureKind

__all__ = [
    "Chosen",
    "Drop",
    "EpochDone",
    "Failed",
    "Go",
    "Halt",
    "Inspect",
    "Inspected",
    "Measured",
    "Ready",
    "Refit",
    "Refitted",
    "Refused",
    "Resolved",
    "Score",
    "Scored",
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
    """

    space_file: Path
    imports: Path
    data_dir: Path | None = None
    subset: int | None = None
    skip_bad_images: bool = False


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
        baseline_costs: Multiply-adds of one image through each baseline, by name; those that build.
        versions: Of what trains.
    """

    summary: SpaceSummary
    data_fingerprint: str
    class_names: tuple[str, ...]
    train_images: int
    validation_images: int
    skipped: tuple[str, ...]
    baseline_costs: dict[str, int]
    versions: dict[str, str]


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
    """Train one trial.

    Args:
        seed: Of weights, shuffles and dropout.
        log: The file for whatever training prints.
        baseline: The name of a baseline to train, or None to resolve the space.
        epochs: The most epochs, or None for the recipe's own.
    """

    seed: int
    log: Path
    baseline: str | None = None
    epochs: int | None = None


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
    """The network is built.

    Args:
        parameters: How many it has, frozen ones included.
        multiply_adds: Of one image through it.
    """

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch ended."""

    epoch: Epoch


@dataclass(frozen=True)
class Trained:
    """Training ended, at its last epoch or because it was halted.

    Args:
        score: The objective at the best epoch.
        best_epoch: That epoch, from 1.
        train_score: The same metric on training images, in inference mode.
    """

    score: float
    best_epoch: int
    train_score: float


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
    """Stop after this epoch; what was found counts."""


@dataclass(frozen=True)
class Refit:
    """Train a recipe again on train + validation, replaying a validated run, and save the network.

    Args:
        seed: Of weights, shuffles and dropout.
        log: The file for whatever training prints.
        answers: The answers that give the recipe.
        baseline: The name of the baseline that it is, or None.
        learning_rates: The learning rate of each epoch of the validated run, up to its best.
        model: The ``.keras`` file to write; what it gives for a few images is written beside it, as ``.probe.npz``.
    """

    seed: int
    log: Path
    answers: dict[str, Scalar]
    baseline: str | None
    learning_rates: tuple[float, ...]
    model: Path


@dataclass(frozen=True)
class Refitted:
    """The network is trained and saved.

    Args:
        images: How many images it was trained on.
        parameters: How many parameters it has.
    """

    images: int
    parameters: int


@dataclass(frozen=True)
class Inspect:
    """Build what a space file declares, with random weights.

    Args:
        space_file: The space file.
        imports: The folder that the space file's imports are looked up in.
        data_dir: Where to look for data and weights first, or None.
        samples: How many recipes to draw.
        seed: Where the draws start.
        timed: Whether to time training steps on the real data.
    """

    space_file: Path
    imports: Path
    data_dir: Path | None
    samples: int
    seed: int = 0
    timed: bool = False


@dataclass(frozen=True)
class Inspected:
    """What a space file declares.

    Args:
        summary: The space.
        dimensions: How many choices there are at the most, those of a ``build(hp)`` with its defaults included.
        data_found: Whether the data is here.
        data_where: Where it is, or which file to put where.
        baselines: Name, parameters, multiply_adds, weights and error of each baseline.
        samples: Recipe, parameters, multiply_adds, seconds and error of each draw.
    """

    summary: SpaceSummary
    dimensions: int
    data_found: bool
    data_where: str
    baselines: tuple[dict[str, Any], ...]
    samples: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Score:
    """Load exported models and score them on the test part.

    Args:
        space_file: The space file that declares the data.
        imports: The folder that the space file's imports are looked up in.
        data_dir: Where to look for data first, or None.
        skip_bad_images: Whether to go on without images that cannot be decoded.
        models: The ``.keras`` files, each with its ``.probe.npz`` beside it.
    """

    space_file: Path
    imports: Path
    data_dir: Path | None
    skip_bad_images: bool
    models: tuple[Path, ...]


@dataclass(frozen=True)
class Scored:
    """What exported models score on the test part.

    Args:
        images: How many images it has.
        scores: Accuracy, loss and correct answers of each model.
        difference: The largest difference between what a model gave when it was saved and what it gives now that it is
            loaded, over the probes of all models.
    """

    images: int
    scores: tuple[dict[str, float], ...]
    difference: float
