"""What a worker is asked beside training the trials of a search; see ``hpsearch.messages``.

coordinator                         worker
Refit            ->                 trains a recipe again on train + validation
                 <-  EpochDone      answered with Go
                 <-  Refitted       or Failed
Save             ->                 builds the network of a trial again and saves it with the weights of its best epoch
                 <-  Saved          or Failed
Inspect          ->                 (instead of Setup) builds what a space file declares, without its data
                 <-  Inspected      or Refused
Score            ->                 (instead of Setup) loads an exported model, in a process that never built it
                 <-  Scored         or Refused
Average          ->                 (instead of Setup) makes one model of several that answers with their mean
                 <-  Averaged       or Refused
Look             ->                 (instead of Setup) asks a trained trial what it answers on validation
                 <-  Looked         or Refused
Rate             ->                 (instead of Setup) trains for a few seconds, to see how fast that is
                 <-  Warm           once it is compiled; answered with Go when all that are to be rated together are
                 <-  Rated          or Refused
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.describe import SpaceSummary
from hpsearch.domains import Scalar
from hpsearch.messages import Setup

__all__ = [
    "Average",
    "Averaged",
    "Inspect",
    "Inspected",
    "Look",
    "Looked",
    "Rate",
    "Rated",
    "Refit",
    "Refitted",
    "Save",
    "Saved",
    "Score",
    "Scored",
    "Warm",
]


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
        phases: The phase of each of those epochs, from 1; empty where there was but one.
        epochs: How many epochs the validated run was given.
        of: The names of the study and of the trial.
    """

    seed: int
    log: Path
    answers: dict[str, Scalar]
    baseline: str | None
    learning_rates: tuple[float, ...]
    model: Path
    phases: tuple[int, ...] = ()
    epochs: int | None = None
    of: tuple[str, str] = ("", "")


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
class Save:
    """Build the network of a trial again, give it the weights of its best epoch, and save it.

    Args:
        study: The name of the study.
        trial: What people call the trial.
        folder: The folder of the trial, of which the checkpoints are read and nothing is written.
        seed: Of weights, shuffles and dropout.
        answers: The answers that give the recipe.
        baseline: The name of the baseline that it is, or None.
        recipe: The recipe as source.
        enqueued: Whether a user added it, so that only its source says what it is.
        hash: Of its canonical form.
        epochs: How many epochs it was given.
        model: The ``.keras`` file to write, in a folder that holds nothing else; more files come beside it.
    """

    study: str
    trial: str
    folder: Path
    seed: int
    answers: dict[str, Scalar]
    baseline: str | None
    recipe: str
    enqueued: bool
    hash: str
    epochs: int | None
    model: Path


@dataclass(frozen=True)
class Saved:
    """The network is saved.

    Args:
        parameters: How many parameters it has.
        epoch: Its best epoch, from 1.
        recorded: The objective that training measured after that epoch.
        score: The objective on the validation part now.
        difference: The largest difference between what the network gives and what the file gives when it is loaded.
    """

    parameters: int
    epoch: int
    recorded: float
    score: float
    difference: float


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
        data_seen: Rows, what they are, classes, photos and opened of a sample of it; None where none was opened.
        data_problem: Why it cannot be used as declared; empty where the sample could be.
        baselines: Name, parameters, multiply_adds, weights and error of each baseline.
        samples: Recipe, parameters, multiply_adds, seconds and error of each draw.
        notes: What else there is to say, sentence by sentence.
    """

    summary: SpaceSummary
    dimensions: int
    data_found: bool
    data_where: str
    data_seen: dict[str, Any] | None
    data_problem: str
    baselines: tuple[dict[str, Any], ...]
    samples: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()


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
        answers: What each model gives, as probabilities (n, classes) or amounts (n, 1), float32.
        labels: Positions in the class names (n,), whole numbers, or amounts (n,), float.
    """

    images: int
    scores: tuple[dict[str, float], ...]
    difference: float
    answers: tuple[Any, ...] = ()
    labels: Any = None


@dataclass(frozen=True)
class Average:
    """Make one model of several exported ones: it takes what they take, and answers with their mean.

    Args:
        models: The ``.keras`` files, each with its ``.probe.npz`` and ``.inputs.json`` beside it.
        output: The ``.keras`` file to write; the other two come beside it, with the mean of what the models gave.
    """

    models: tuple[Path, ...]
    output: Path

    @property
    def data_dir(self) -> Path | None:
        """No data is looked for."""
        return None


@dataclass(frozen=True)
class Averaged:
    """The model is written.

    Args:
        parameters: How many parameters it has, those of all models.
    """

    parameters: int


@dataclass(frozen=True)
class Rate:
    """Train a network of a space for a few seconds: its first baseline, or one drawn from it.

    Args:
        setup: The space and the data.
        seconds: How long, once all is compiled.
    """

    setup: Setup
    seconds: float

    @property
    def data_dir(self) -> Path | None:
        """Where data is looked for first."""
        return self.setup.data_dir


@dataclass(frozen=True)
class Warm:
    """Everything is compiled; the seconds that count begin with the answer."""


@dataclass(frozen=True)
class Rated:
    """How fast it trained.

    Args:
        rows: Rows a second, such as images, validation included.
        trial: Seconds that a trial of all its epochs would take, with what was built and compiled first.
    """

    rows: float
    trial: float


@dataclass(frozen=True)
class Look:
    """Have a trial that was trained, and whose checkpoint is there, answer the validation part, and show its mistakes.

    Args:
        setup: The space and the data.
        data_fingerprint: Of the data that the study searched on; other data is refused.
        name: What people call the trial.
        answers: The answers that give its recipe.
        baseline: The name of the baseline that it is, or None.
        recipe: The source of its recipe where somebody enqueued it, or None.
        hash: The hash of its recipe.
        folder: Its folder, which is only read.
        epochs: The most epochs it was given.
        metric: The name of the objective.
        outputs: A file with what it answers already, as ``predictions``; None has the network answer.
        most: How many mistakes to show.
        output: The ``.npz`` file to write: ``predictions``, probabilities (n, classes) or amounts
            (n, 1), float32; ``labels`` (n,);
            ``mistakes`` (m,), the positions of the most confident ones; ``names`` (m,), the file or line of each,
            empty where data has none; ``sizes`` (m,) and ``pictures``, the bytes of
            their thumbnails one after the other, where there are images.
    """

    setup: Setup
    data_fingerprint: str
    name: str
    answers: dict[str, Scalar]
    baseline: str | None
    recipe: str | None
    hash: str
    folder: Path
    epochs: int
    metric: str
    outputs: Path | None
    most: int
    output: Path

    @property
    def data_dir(self) -> Path | None:
        """Where to look for data first."""
        return self.setup.data_dir


@dataclass(frozen=True)
class Looked:
    """The file is written.

    Args:
        rows: How many rows the validation part has.
        names: How many of the mistakes have a name that a person finds them by.
    """

    rows: int
    names: int = 0
