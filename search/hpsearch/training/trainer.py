"""What a worker does with a task: it builds the network that is wanted, trains it, and says what came of it."""

from __future__ import annotations

import contextlib
import importlib
import platform
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from hpsearch.errands import Look, Refit, Refitted, Save, Saved
from hpsearch.errors import SpaceError, WeightsError
from hpsearch.messages import Drop, Failed, Left, Measured, Ready, Resolved, Setup, Suggest, Train, Trained
from hpsearch.training.pipe import Dropped, LeaveAsked, Pipe, PipeWatch, RefitWatch
from hpsearch.training.watch import Leaving

if TYPE_CHECKING:
    from hpsearch.recipe import Recipe
    from hpsearch.resolve import Suggest as Asked
    from hpsearch.training.build import Built

__all__ = ["Answer", "Trainer"]

Answer = Trained | Refitted | Saved | Failed | Drop | Left


class Trainer:
    """A loaded space with its data.

    Args:
        setup: What to load, and how to train.

    Raises:
        HpsearchError: The space or the data cannot be used.
    """

    def __init__(self, setup: Setup) -> None:
        from hpsearch.blocks.files import look_in
        from hpsearch.data.loading import load_search_data
        from hpsearch.data.shared import shared
        from hpsearch.spacefile import load_space
        from hpsearch.training.devices import be_deterministic, check_backend, check_device, remember_programs
        from hpsearch.training.engines import check_engine
        from hpsearch.training.inputs import loaded_inputs

        check_backend(setup.backend)
        if setup.deterministic:
            be_deterministic()
        check_device()
        check_engine(setup.engine)
        remember_programs()
        look_in(data=setup.data_dir)
        self.setup = setup
        self.lost: dict[str, str] = {}  # weights that could not be downloaded, and why; asked for once only
        self.space = load_space(setup.space_file, module_path=setup.imports)
        load = partial(
            load_search_data,
            self.space.declaration,
            data_dir=setup.data_dir,
            subset=setup.subset,
            skip_bad_images=setup.skip_bad_images,
        )
        self.data = shared((load.args, load.keywords), load)
        self.inputs = loaded_inputs(self.space.declaration, self.data)

    def ready(self) -> Ready:
        """What the coordinator needs to know to begin."""
        import keras

        from hpsearch.describe import describe
        from hpsearch.training.devices import device_name
        from hpsearch.training.inspection import baseline_costs, check_buildable
        from hpsearch.training.reading import check_unseen

        try:
            check_unseen(self.space, self.data.fingerprint)
            check_buildable(self.space, self.inputs)
            costs = baseline_costs(self.space, self.inputs)
        except SpaceError as error:
            raise SpaceError(f"{self.setup.space_file}: {error}") from error
        return Ready(
            summary=describe(self.space),
            data_fingerprint=self.data.fingerprint,
            class_names=self.data.class_names,
            train_images=len(self.data.train.labels),
            validation_images=len(self.data.validation.labels),
            skipped=self.data.skipped,
            baseline_costs=costs,
            versions={
                "python": platform.python_version(),
                "keras": keras.__version__,
                "backend": (backend := str(keras.config.backend())),
                backend: str(importlib.import_module(backend).__version__),
            },
            device=device_name(),
            validation_classes=self.data.validation_classes,
        )

    def perform(self, task: Train | Refit | Save, pipe: Pipe) -> Answer:
        """Train and say how it ended; whatever is raised becomes a failure with a kind."""
        from hpsearch.training.checkpoint import saved_epochs
        from hpsearch.training.failures import failure_kind, failure_sentence

        try:
            if isinstance(task, Save):
                return self._save(task)
            return self._refit(task, pipe) if isinstance(task, Refit) else self._train(task, pipe)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Dropped:
            return Drop()
        except Leaving as leaving:
            return Left(leaving.epochs) if isinstance(task, Train) else _ENDED
        except LeaveAsked:
            return Left(saved_epochs(task.folder)) if isinstance(task, Train) else _ENDED
        except Exception as error:  # noqa: BLE001  # a user's code and Keras may raise anything
            with contextlib.suppress(OSError):  # the log may be on a full disk
                traceback.print_exc()
            return Failed(failure_kind(error), failure_sentence(error))

    @contextlib.contextmanager
    def _begun(self, seed: int) -> Iterator[None]:
        """Build a network, beginning with a session and random numbers that depend on nothing that came before."""
        import keras

        from hpsearch.training.state import shared_seeds

        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        yield
        shared_seeds()  # which are drawn now, so that they depend on nothing that comes later

    def _train(self, task: Train, pipe: Pipe) -> Trained:
        from hpsearch.space import Objective
        from hpsearch.training.fit import fit
        from hpsearch.training.saving import Saving

        with self._begun(task.seed):
            built, hash_ = self._built(task, pipe)
        objective = Objective.parse(self.space.objective)
        outcome = fit(
            built,
            self.data.train,
            self.data.validation,
            self.inputs,
            metric=objective.metric,
            maximize=objective.maximize,
            seed=task.seed,
            watch=PipeWatch(pipe, task.folder),
            saving=Saving(task.folder, hash_, task.checkpoint_every, task.parent),
            epochs=task.epochs,
            metrics=self.space.metrics,
            engine=self.setup.engine,
        )
        if task.answers is not None:
            from hpsearch.training.validation import keep_answers

            keep_answers(built, self.data.validation, self.inputs, task.folder, task.answers, _watched(pipe))
        return Trained(outcome.score, outcome.best_epoch, outcome.train_score, outcome.engine)

    def _refit(self, task: Refit, pipe: Pipe) -> Refitted:
        from hpsearch.blocks.origin import EXPORTED, Origin, sign
        from hpsearch.data.parts import joined
        from hpsearch.resolve import from_answers
        from hpsearch.training.exporting import Source, save_export
        from hpsearch.training.fit import refit
        from hpsearch.training.script.write import Replay, save_script

        answers = task.answers
        with self._begun(task.seed):
            recipe = self._declared(task.baseline, from_answers(answers))
            built = self.built(recipe, from_answers(answers))
        everything = joined([self.data.train, self.data.validation])
        refit(
            built,
            everything,
            self.inputs,
            learning_rates=task.learning_rates,
            phases=task.phases,
            epochs=task.epochs,
            seed=task.seed,
            watch=RefitWatch(pipe),
            engine=self.setup.engine,
        )
        source = Source(
            self.space.declaration,
            self.inputs,
            self.data.encoding,
            self.data.class_names,
            self.setup.data_dir,
            self.setup.subset,
            (self.space.objective.split()[-1], *self.space.metrics),
        )
        replay = Replay(task.learning_rates, task.phases, task.epochs)
        save_script(built, source, replay, task.seed, task.model)
        save_export(built, source, task.model, self.data.validation)
        sign(task.model, Origin(self.data.fingerprint, EXPORTED, *task.of))
        return Refitted(len(everything.labels), built.parameters)

    def rebuilt(self, request: Look) -> Any:
        """The network of a trial that was trained before, with other weights."""
        from hpsearch.resolve import from_answers
        from hpsearch.spacefile import load_recipe

        suggest = from_answers(request.answers)
        if request.recipe is None:
            return self.built(self._declared(request.baseline, suggest), suggest)
        return self.built(load_recipe(request.recipe, self.setup.space_file, self.setup.imports), suggest)

    def _save(self, task: Save) -> Saved:
        from hpsearch.recipe import HyperModel, recipe_hash
        from hpsearch.resolve import from_answers
        from hpsearch.spacefile import load_recipe
        from hpsearch.training.saved import save_trial

        suggest = from_answers(task.answers)
        with self._begun(task.seed):
            if task.enqueued or (task.baseline and task.baseline not in (self.space.baselines or {})):
                recipe = load_recipe(task.recipe, self.setup.space_file, self.setup.imports)
            else:
                recipe = self._declared(task.baseline, suggest)
            built = self.built(recipe, suggest)
        said = built.recipe if isinstance(recipe.model, HyperModel) else recipe
        return save_trial(task, built, recipe_hash(said, self.inputs.features), self.space, self.data, self.inputs)

    def _recipe(self, task: Train, suggest: Any) -> Any:
        """The recipe that somebody enqueued, that of a baseline, or one of the space."""
        if task.recipe is None:
            return self._declared(task.baseline, suggest)
        from hpsearch.spacefile import load_recipe

        return load_recipe(task.recipe, self.setup.space_file, self.setup.imports)

    def _declared(self, baseline: str | None, suggest: Any) -> Any:
        from hpsearch.resolve import resolve

        return (self.space.baselines or {})[baseline] if baseline else resolve(self.space.search, suggest)

    def built(self, recipe: Recipe, suggest: Asked) -> Built:
        """The network of a recipe, pretrained weights taken from this machine where they are.

        Args:
            recipe: A recipe without domains.
            suggest: Answers what a ``build(hp)`` asks.
        """
        from hpsearch.training.build import build
        from hpsearch.training.pretrained import impatient_downloads, to_download, with_local_weights

        folders = [folder for folder in (self.setup.data_dir, self.setup.imports) if folder is not None]
        local = with_local_weights(recipe, self.inputs, folders)
        wanted = to_download(local, self.inputs)
        for file in wanted:
            if file in self.lost:
                raise WeightsError(self.lost[file])
        try:
            with impatient_downloads():
                return build(local, self.inputs, suggest)
        except WeightsError as error:
            self.lost.update(dict.fromkeys(wanted, str(error)))
            raise

    def _built(self, task: Train, pipe: Pipe) -> tuple[Any, str]:
        """The network of the trial, and the hash of its recipe, once the coordinator wants both recipe and network."""
        from hpsearch.check import check
        from hpsearch.declare import Anything
        from hpsearch.recipe import HyperModel
        from hpsearch.training.measure import measure, measure_network

        def suggest(parameter: Any) -> Any:
            return pipe.answer(Suggest(parameter)).value

        def announce(measures: Any) -> None:
            pipe.confirm(Measured(measures.parameters, measures.flops, measures.memory))

        recipe = self._recipe(task, suggest)
        if isinstance(recipe.model, HyperModel):
            built = self.built(recipe, suggest)
            hash_ = self._resolved(built.recipe, task, pipe)
            announce(measure_network(built.network, built.recipe, self.inputs))
            return built, hash_
        hash_ = self._resolved(recipe, task, pipe)
        check(recipe, Anything())
        announce(measure(recipe, self.inputs))
        return self.built(recipe, suggest), hash_

    def _resolved(self, recipe: Any, task: Train, pipe: Pipe) -> str:
        """Tell the coordinator the recipe; returns its hash."""
        from hpsearch.declare import source
        from hpsearch.recipe import HyperModel, recipe_hash

        unique = not (isinstance(recipe.model, HyperModel) and hasattr(recipe.model.build, "fit"))
        hash_ = recipe_hash(recipe, self.inputs.features)
        pipe.confirm(Resolved(source(recipe), hash_, task.epochs or recipe.epochs, unique))
        return hash_


def _watched(pipe: Pipe) -> Callable[[], None]:
    """What is called between steps that belong to no epoch."""

    def tick() -> None:
        if pipe.step(1, 0, None):
            raise LeaveAsked

    return tick


_ENDED = Failed("interrupted", "the worker process was asked to end (SIGTERM).")
