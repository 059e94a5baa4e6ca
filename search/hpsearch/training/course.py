"""The course of one training: what each epoch gave, which was the best, and what a checkpoint of it holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from numpy.typing import NDArray

from hpsearch.errors import HpsearchError
from hpsearch.metrics import METRICS, RECORDED
from hpsearch.study.trial import Epoch
from hpsearch.training.build import UserCodeError
from hpsearch.training.checkpoint import Checkpoint
from hpsearch.training.progress import Progress
from hpsearch.training.saving import Keeper, Saving
from hpsearch.training.settling import Settling
from hpsearch.training.state import (
    StateError,
    assign,
    begin_random,
    callback_states,
    random_states,
    restore_callbacks,
    restore_random,
    state_variables,
    values_of,
)
from hpsearch.training.watch import Leaving, Verdict, Watch

__all__ = ["Course", "Halted", "NotFiniteError", "named"]


class NotFiniteError(HpsearchError):
    """The loss became infinite or not a number."""


class Halted(Exception):
    """Whoever watches asked to end after this epoch; what was found so far counts."""


class Course:
    """Follows a training from its first callback and its last one.

    Args:
        trainer: The model that is trained.
        network: The model whose weights count; the same, or part of it.
        epochs: The last epoch, from 1.
        watch: Who is told.
        phases: The most epochs of each phase; empty where there is but one.
        metric: The name of the objective, or None where no epoch is better than another.
        maximize: Whether more of it is better.
    """

    def __init__(
        self,
        trainer: Any,
        network: Any,
        epochs: int,
        watch: Watch,
        *,
        phases: Sequence[int] = (),
        metric: str | None = None,
        maximize: bool = True,
    ) -> None:
        self.trainer = trainer
        self.network = network
        self.state = trainer
        """The model whose variables training changes; the trainer, or part of it."""
        self.phases = tuple(phases) or (epochs,)
        self.most = epochs
        """The last epoch of all phases, from 1."""
        self.epochs = min(epochs, self.phases[0])
        """The last epoch of the phase in progress, from 1."""
        self.watch = watch
        self.metric = metric
        self.maximize = maximize
        self.progress = Progress()
        self.weights: list[NDArray[Any]] = []
        """Of the best epoch."""
        self.seed = 0
        """Where random numbers start."""
        self.callbacks: list[Any] = []
        """Those between ours, whose state counts."""
        self.steps: int | None = None
        """Of an epoch, where training can stop and go on within one."""
        self.ends_partial = True
        """Whether an epoch that began in an earlier run has to be ended, because Keras counts all its steps."""
        self.on_epoch: Callable[[int], None] = lambda _: None
        self.on_phase: Callable[[int], None] = lambda _: None
        """Makes a phase ready, from 0: says its trainer, network, state and callbacks in place of the last."""
        self.settling: Settling | None = None
        """Called when all steps of an epoch are done, before the network is judged, and after it was."""
        self._keeper: Keeper | None = None
        self._remembered: Checkpoint | None = None  # what callbacks and random numbers go on from
        self._metrics: dict[str, NDArray[Any]] | None = None  # of the epoch whose validation is in progress
        self._report: Epoch | None = None
        self._partial = False  # whether the epoch in progress began in an earlier run
        self._started = time.monotonic()

    @property
    def phase_over(self) -> bool:
        """Whether there is nothing left to train in this phase."""
        return self.progress.stopped or self.progress.epochs >= self.epochs

    @property
    def over(self) -> bool:
        """Whether there is nothing left to train."""
        last = self.progress.phase + 1 >= len(self.phases) or self.progress.epochs >= self.most
        return self.phase_over and last

    # ---- phases

    def next_phase(self) -> None:
        """Begin the next phase, from the best weights so far."""
        progress = self.progress
        if self._remembered is not None:  # that phase ended in an earlier run
            restore_random(self._remembered.header["random"], self._remembered.arrays)
        self._remembered = None
        if self.weights:
            self.network.set_weights(self.weights)
        before = self.network
        self._enter(progress.phase + 1, progress.epochs)
        if self.weights and self.network is not before:
            self.weights = self.network.get_weights()
        progress.stopped = False

    def _enter(self, phase: int, before: int) -> None:
        """Make ready for a phase.

        Args:
            phase: Which, from 0.
            before: Whole epochs of the phases before it.
        """
        if phase != self.progress.phase:
            self.on_phase(phase)
        self.progress.phase, self.progress.before = phase, before
        self.epochs = min(self.most, before + self.phases[phase])

    # ---- going on

    def resume(self, saving: Saving | None, build_metrics: Callable[[], Any] | None) -> None:
        """Go on from the newest checkpoint that fits, if there is one, and write checkpoints from here.

        Args:
            saving: Where; None reads and writes none.
            build_metrics: Makes the model create the variables of its metrics, which it does when it first needs them;
                None where training cannot go on within an epoch.

        Raises:
            Halted: Whoever watches ends training after the epochs that the checkpoint holds.
            Leaving: They stop it.
        """
        if saving is None:
            return
        self._keeper = Keeper(saving, self.watch)
        for checkpoint, own in self._keeper.candidates():
            try:
                self._load(checkpoint, build_metrics)
            except (StateError, KeyError, TypeError, ValueError, AttributeError) as error:
                print(f"A checkpoint does not fit: {error}", flush=True)  # noqa: T201  # into the trial's log
                continue
            self._keeper.on_disk = (self.progress.epochs, self.progress.step) if own else None
            self._obey(self.watch.continued(self.progress.history, own))
            return
        self._enter(0, 0)  # one that did not fit may have come to another phase

    def _load(self, checkpoint: Checkpoint, build_metrics: Callable[[], Any] | None) -> None:
        said, arrays = checkpoint.header, checkpoint.arrays
        progress = Progress.heard(said)
        self._enter(progress.phase, progress.before)
        if progress.step:
            if build_metrics is None or self.steps is None or progress.step > self.steps:
                raise StateError("it was written within an epoch of other steps")
            build_metrics()
            assign({"metrics": self.trainer.metrics_variables}, arrays)
        weights = [arrays[f"best/{place}"] for place in range(said["weights"])]
        assign(state_variables(self.trainer, self.state), arrays)
        self.progress, self._remembered = progress, checkpoint
        self.weights = self.network.get_weights() if said["best_is_last"] else weights
        self._partial = bool(progress.step)

    def restore(self) -> None:
        """Let the callbacks, which forget everything when training begins, remember what they did."""
        if self._remembered is not None:
            said, arrays = self._remembered.header, self._remembered.arrays
            restore_callbacks(self.callbacks, said["callbacks"], arrays)
            restore_random(said["random"], arrays)

    def remember(self) -> None:
        """Have the callbacks, when training next begins, go on from where they are now."""
        self._remembered = self._checkpoint()

    def give_up_saving(self) -> None:
        """No checkpoint can say where this training stands: it is one of several that a user's own ``fit`` does."""
        if self._keeper is not None:
            self._keeper.discard()
        self._keeper = self._remembered = None

    # ---- what the callbacks tell

    def epoch_begins(self, epoch: int) -> None:
        """The training part of an epoch begins.

        Args:
            epoch: Which, from 0.
        """
        self.on_epoch(epoch)
        self._metrics = None
        self._started = time.monotonic()
        if self._partial:
            assert self._remembered is not None  # it began in the run that wrote this
            self._started -= self.progress.seconds
            assign({"metrics": self.trainer.metrics_variables}, self._remembered.arrays)

    def epoch_is_prepared(self) -> None:
        """All other callbacks have done what they do before an epoch, such as setting its learning rate."""
        if not self._partial:
            rate = self.trainer.optimizer.learning_rate
            self.progress.learning_rate = float(keras.ops.convert_to_numpy(rate))

    def step_begins(self, step: int, at_once: int) -> None:
        """A step of training begins.

        Args:
            step: How many came before it in this run of the epoch.
            at_once: How many it stands for.

        Raises:
            Leaving: Whoever watches stops training.
        """
        if step == 0 and self._partial:
            assert self._remembered is not None  # the epoch began in the run that wrote this
            restore_random(self._remembered.header["random"], self._remembered.arrays)
        elif step == 0:
            begin_random(self.seed, self.progress.epochs)
        done = step + (self.progress.step if self._partial else 0)
        if self._partial and self.ends_partial and self.steps is not None and done + at_once >= self.steps:
            self.trainer.stop_training = True  # the epoch is whole after this step, whatever Keras counted
        if self.watch.step(self.progress.epochs + 1, done, self.steps):
            self._leave(done)

    def validation_begins(self) -> None:
        """All steps of an epoch are done; what they measured is forgotten after this."""
        if self.steps is not None and self._keeper is not None:
            self._metrics = values_of({"metrics": self.trainer.metrics_variables})
        if self.settling is not None:
            self.settling.begin()

    def validation_step_begins(self) -> None:
        """A step of validation begins.

        Raises:
            Leaving: Whoever watches stops training.
        """
        if self.watch.step(self.progress.epochs + 1, self.steps or 0, self.steps):
            self._leave(self.steps or 0)

    def scoring_step_begins(self) -> None:
        """A step of scoring the trained network begins.

        Raises:
            Leaving: Whoever watches stops it; the checkpoint of the last epoch is on disk, or there is none.
        """
        if self.watch.step(self.progress.epochs, self.steps or 0, self.steps):
            raise Leaving(self._keeper.epochs_on_disk if self._keeper is not None else None)

    def epoch_measured(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """An epoch ended; nothing has been made of it yet.

        Args:
            epoch: Which, from 0.
            logs: What it measured.

        Raises:
            NotFiniteError: The loss is lost.
            UserCodeError: The objective was not measured.
        """
        if self._partial:
            self.trainer.stop_training = False  # that ended the epoch, not the training
            self._partial = False
        metrics = named(logs)
        metrics = {name: metrics[name] for name in RECORDED if name in metrics}
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise NotFiniteError(f"the loss became {metrics['loss']} in epoch {epoch + 1}.")
        self._keep_best(epoch + 1, metrics)
        if self.settling is not None:
            self.settling.end()
        metrics["learning_rate"] = self.progress.learning_rate
        if len(self.phases) > 1:
            metrics["phase"] = self.progress.phase + 1
        self._report = Epoch(epoch + 1, time.monotonic() - self._started, metrics)

    def epoch_ends(self) -> None:
        """An epoch ended, and all other callbacks have made of it what they do.

        Raises:
            Halted: Whoever watches ends training here.
            Leaving: They stop it, to go on later.
        """
        report, progress, keeper = self._report, self.progress, self._keeper
        assert report is not None  # it was measured before
        self._metrics = None
        progress.epochs, progress.step, progress.seconds = report.epoch, 0, 0.0
        progress.stopped = bool(self.trainer.stop_training)
        progress.history = [*progress.history[: report.epoch - 1], report]
        written = keeper is not None and (self.over or keeper.due)
        if keeper is not None and written:
            keeper.write(self._checkpoint())
        elif keeper is not None and self.steps is None:
            # Training cannot stop within an epoch, so this is what a stop within the next one goes on from.
            keeper.unwritten = self._checkpoint()
        self._obey(self.watch.epoch(report, written))

    def _keep_best(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if self.metric is None:
            return
        if self.metric not in metrics:
            name = self.metric.removeprefix("val_")
            wanted = f"compile with metrics=['{name}'], and hand the validation data on to model.fit."
            raise UserCodeError(f"the training gives no {self.metric}, which is the objective; {wanted}")
        score, best = metrics[self.metric], self.progress.best
        if math.isfinite(score) and (best is None or (score > best if self.maximize else score < best)):
            self.progress.best, self.progress.best_epoch = score, epoch
            self.weights = self.network.get_weights()

    # ---- stopping

    def _obey(self, verdict: Verdict) -> None:
        """Between epochs, do what whoever watches says; a state at which training ends or stops is always on disk."""
        if verdict == "go":
            return
        keeper = self._keeper
        if keeper is not None and keeper.on_disk != (self.progress.epochs, self.progress.step):
            keeper.write(self._checkpoint())
        if verdict == "halt":
            raise Halted
        raise Leaving(keeper.epochs_on_disk if keeper is not None else None)

    def _leave(self, step: int) -> None:
        """Stop within an epoch.

        Args:
            step: Steps of training done in it.
        """
        keeper, progress = self._keeper, self.progress
        if self.settling is not None:
            self.settling.end()  # where the network is being judged
        if keeper is None:
            raise Leaving(None)
        if self.steps is None:
            if keeper.unwritten is not None:
                keeper.write(keeper.unwritten)
        elif (progress.epochs, step) not in (keeper.on_disk, (0, 0)):
            progress.step, progress.seconds = step, time.monotonic() - self._started
            keeper.write(self._checkpoint())
        raise Leaving(keeper.epochs_on_disk)

    def _checkpoint(self) -> Checkpoint:
        """Everything as it is now."""
        progress = self.progress
        arrays = values_of(state_variables(self.trainer, self.state))
        if progress.step:
            measured = self._metrics
            arrays |= measured if measured is not None else values_of({"metrics": self.trainer.metrics_variables})
        averaged = self.settling is not None and self.settling.averaged
        last = bool(self.weights) and progress.best_epoch == progress.epochs and not progress.step and not averaged
        if not last:  # else they are those of the model
            arrays |= {f"best/{place}": array for place, array in enumerate(self.weights)}
        callbacks, kept = callback_states(self.callbacks)
        random, numbers = random_states()
        header = {
            **progress.said(),
            "weights": 0 if last else len(self.weights),
            "best_is_last": last,
            "callbacks": callbacks,
            "random": random,
        }
        recipe = self._keeper.saving.recipe if self._keeper is not None else ""
        return Checkpoint(recipe, header, {**arrays, **kept, **numbers})


_NAMES = {also: name for name, measure in METRICS.items() for also in measure.also}


def named(logs: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as plain floats, each by the one name that histories have for it, such as ``accuracy``.

    Args:
        logs: What Keras measured, by its own names.
    """
    found: dict[str, float] = {}
    for name, value in logs.items():
        prefix = "val_" if name.startswith("val_") else ""
        bare = name.removeprefix("val_")
        found[prefix + _NAMES.get(bare, bare)] = float(value)
    return found
