"""A trial in a process of its own that knows no compiled program: where its seconds go, and what it compiles."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _gpu import ROOT, Setting
from _gpu_family import age
from _gpu_space import fast_space

__all__ = ["autotune", "cold", "trial"]

EPOCHS = 5
"""Of a cold trial; what more of them would take is reckoned."""
LEVELS = (0, 1, 2, 4)
FLAG = "--xla_gpu_autotune_level"
COMPILED = "/jax/core/compile/backend_compile_duration"
"""What JAX tells listeners of after each compilation."""


def cold(setting: Setting) -> None:
    """Train some recipes, each in a process of its own, one after the other.

    Args:
        setting: Where, and until when.
    """
    fast, race = str(fast_space(setting)), str(ROOT / "benchmarks" / "spaces" / "race.py")
    wanted = [("record", fast, "mixed_bfloat16"), ("by_hand", race, "float32"), ("record", fast, "float32")]
    for recipe, space, precision in wanted[: 2 if setting.tiny else None]:
        job = {"space": space, "recipe": recipe, "precision": precision, "epochs": 2 if setting.tiny else EPOCHS}
        if setting.started("trial", {**job, "row": f"{recipe}, {precision}"}).wait():
            setting.note(f"{recipe} in {precision} failed.")


def autotune(setting: Setting) -> None:
    """Train one recipe with several levels of autotuning, all at the same time: there is no time for more.

    Args:
        setting: Where, and until when.
    """
    job = {"space": str(fast_space(setting)), "recipe": "record", "precision": "mixed_bfloat16", "epochs": 2}
    levels = (0, 4) if setting.tiny else LEVELS
    trials = {
        level: setting.started("trial", {**job, "row": f"level {level}", "brief": True}, f"{FLAG}={level}")
        for level in levels
    }
    for level, process in trials.items():
        if process.wait():
            setting.note(f"The trial with level {level} failed.")


def trial(setting: Setting) -> None:
    """Train a recipe as a worker does, and say after every stage what it took.

    Args:
        setting: What is trained is its job.
    """
    stages = Stages(setting)
    job = setting.job or {}

    import jax
    import keras

    from hpsearch.data.loading import load_search_data
    from hpsearch.resolve import from_answers
    from hpsearch.spacefile import load_space
    from hpsearch.training.build import build
    from hpsearch.training.course import Course
    from hpsearch.training.devices import forget_programs
    from hpsearch.training.fit import fit
    from hpsearch.training.inputs import loaded_inputs
    from hpsearch.training.measure import measure
    from hpsearch.training.saving import Saving
    from hpsearch.training.watch import Watch

    forget_programs()
    jax.monitoring.register_event_duration_secs_listener(stages.compiled)
    jax.devices()
    stages.enter("data")
    space = load_space(Path(job["space"]))
    declared = (space.baselines or {})[job["recipe"]]
    recipe = replace(declared, training=replace(declared.training, precision=job["precision"]))
    data = load_search_data(space.declaration, data_dir=setting.data)
    inputs = loaded_inputs(space.declaration, data)
    keras.utils.set_random_seed(0)
    stages.enter("measure")
    measure(recipe, inputs)
    stages.enter("build")
    built = build(recipe, inputs, from_answers({}))
    folder = setting.work / "cold" / job["row"]
    folder.mkdir(parents=True)
    stages.enter("make ready")
    stages.follow(Course)
    fit(
        built,
        data.train,
        data.validation,
        inputs,
        metric="val_accuracy",
        maximize=True,
        seed=0,
        watch=Watch(),
        saving=Saving(folder, "recipe", 0.0, None),
        epochs=job["epochs"],
        engine="device",
    )
    stages.end(job["epochs"], recipe.epochs)


@dataclass
class Spent:
    """What a stage took so far."""

    seconds: float = 0.0
    compilations: int = 0
    compiling: float = 0.0


class Stages:
    """Adds up what each stage of a trial takes.

    Args:
        setting: Who is told of it.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting, self._job = setting, setting.job or {}
        self._now, self._since = "start of Python, imports, device", time.monotonic() - age()
        self._spent = {self._now: Spent()}

    def compiled(self, event: str, seconds: float, **_: Any) -> None:
        """JAX did something that it measured.

        Args:
            event: What.
            seconds: How long that took.
        """
        if event == COMPILED:
            spent = self._spent[self._now]
            spent.compilations, spent.compiling = spent.compilations + 1, spent.compiling + seconds

    def enter(self, stage: str) -> None:
        """The next stage begins.

        Args:
            stage: Which; one that there was before goes on.
        """
        now = time.monotonic()
        self._spent[self._now].seconds += now - self._since
        self._row(self._now, self.whole if self._job.get("brief") else self._spent[self._now])
        self._now, self._since = stage, now
        self._spent.setdefault(stage, Spent())

    @property
    def whole(self) -> Spent:
        """What all stages took together."""
        every = list(self._spent.values())
        counted = (sum(each.seconds for each in every), sum(each.compilations for each in every))
        return Spent(*counted, sum(each.compiling for each in every))

    def follow(self, course: Any) -> None:
        """Have a course of training say which stage it is in.

        Args:
            course: The class.
        """
        which = ["first epoch"]

        def begins(epoch: int) -> str:
            which[0] = "first epoch" if epoch == 0 else "later epochs"
            return f"{which[0]}: training"

        _around(course, "epoch_begins", before=lambda _, epoch: self.enter(begins(epoch)))
        _around(
            course,
            "validation_begins",
            before=lambda _: self.enter(f"{which[0]}: statistics of batch normalisation"),
            after=lambda _: self.enter(f"{which[0]}: validation"),
        )
        _around(course, "epoch_measured", before=lambda *_, **__: self.enter(f"{which[0]}: best weights, checkpoint"))
        _around(course, "epoch_ends", after=lambda _: self.enter("score on training images"))

    def end(self, epochs: int, wanted: int) -> None:
        """Training ended.

        Args:
            epochs: After so many epochs.
            wanted: So many the recipe asks for.
        """
        self.enter("end")
        later = sum(spent.seconds for stage, spent in self._spent.items() if stage.startswith("later"))
        if not self._job.get("brief"):
            more = (wanted - epochs) * later / (epochs - 1)
            self._row("in all", self.whole)
            self._row(f"{wanted} epochs, reckoned", replace(self.whole, seconds=self.whole.seconds + more))

    def _row(self, stage: str, spent: Spent) -> None:
        figures = {"seconds": spent.seconds, "compilations": spent.compilations, "seconds_of_these": spent.compiling}
        if self._job.get("brief"):
            self._setting.row(self._job["row"], **figures, until_the_end_of=stage)
        else:
            self._setting.row(f"{self._job['row']}: {stage}", **figures)


def _around(
    owner: Any,
    name: str,
    before: Callable[..., None] = lambda *_, **__: None,
    after: Callable[..., None] = lambda *_, **__: None,
) -> None:
    """Have a method tell when it begins and ends."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def told(*arguments: Any, **options: Any) -> Any:
        before(*arguments, **options)
        found = original(*arguments, **options)
        after(*arguments, **options)
        return found

    setattr(owner, name, told)
