"""``hpsearch enqueue``."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import data_dir_option, use_data_dir
from hpsearch.cli.output import one_line, results_option, say, score
from hpsearch.cli.status import command_to_go_on
from hpsearch.errors import InputError, SpaceError, StudyError
from hpsearch.study.folder import StudyFolder, checked_name
from hpsearch.study.requests import enqueue as add_to_queue
from hpsearch.study.requests import queued

if TYPE_CHECKING:
    from hpsearch.describe import BaselineSummary
    from hpsearch.recipe import Recipe
    from hpsearch.space import Space

__all__ = ["enqueue"]

_TRAINED_ANYWAY = ("interrupted", "duplicate", "bad_data")
"""Failures after which a recipe still counts as untrained."""


@click.command(
    epilog="\b\nExample:\n  hpsearch enqueue spaces/digits.py --recipe mine.py\n"
    "  hpsearch enqueue spaces/digits.py --recipe results/other/trials/00012/recipe.py --name from_other"
)
@click.argument("space", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A Python file that holds one recipe: Recipe(...), or recipe = Recipe(...).",
)
@click.option("--study", metavar="NAME", help="Name of the study; the space file's if not given.")
@click.option("--name", metavar="TEXT", help="What to call the recipe; the name of its file if not given.")
@data_dir_option
@results_option
def enqueue(space: Path, file: Path, study: str | None, name: str | None, data_dir: Path | None, results: Path) -> None:
    """Add a recipe of your own to a study; the run that goes on trains it next, or else the next run.

    The recipe must be a point of the space. The file may use the words of hpsearch and all that the space file defines,
    without importing them, so a trial's recipe.py can be taken, changed and enqueued.
    """
    use_data_dir(data_dir)
    folder = StudyFolder(results / checked_name(study or space.stem))
    loaded, recipe = _loaded(space, file)
    summary = _summary(loaded, recipe, _name_of(file) if name is None else name, file)
    _refuse_another_space(folder, loaded)
    _refuse_a_double(folder, summary)
    try:
        add_to_queue(folder, summary.name, summary.recipe, summary.choices, summary.hash)
    except OSError as error:
        raise StudyError(f"The recipe cannot be written to {folder.path}: {error.strerror}.") from error
    if folder.held:
        say(f"Queued {summary.name}: the run on study {folder.name} trains it next.")
    else:
        say(f"Queued {summary.name}; trained first by: {_command(folder, space, data_dir, results)}")


def _command(folder: StudyFolder, space: Path, data_dir: Path | None, results: Path) -> str:
    """The run that trains it: as the last one of the study, or its first."""
    if folder.exists:
        return command_to_go_on(folder, results, space=space)
    said = f" --study {quote(folder.name)}" if folder.name != space.stem else ""
    data = f" --data-dir {quote(str(data_dir))}" if data_dir is not None else ""
    where = "" if str(results) == "results" else f" --results {quote(str(results))}"
    return f"hpsearch run {quote(str(space))}{said} --trials 20{data}{where}"


def _name_of(file: Path) -> str:
    """The name of a file; a number, which is what trials are called, is told apart."""
    return f"recipe_{file.stem}" if file.stem.strip().isdigit() else file.stem


def _loaded(space: Path, file: Path) -> tuple[Space, Recipe]:
    """The space and the recipe; loaded in one go, because they share what the space file defines."""
    from hpsearch.spacefile import is_declarative, load_recipe, load_space

    text = _text_of(file)
    if is_declarative(space):
        return load_space(space), load_recipe(text, space, origin=str(file))
    from hpsearch.printing import printing_to

    say("Starting Keras, which the space file imports ...")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # nothing is trained here; a GPU belongs to the run
    with printing_to(Path(os.devnull)):
        return load_space(space), load_recipe(text, space, origin=str(file))


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"--recipe got {file}, which does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--recipe got {file}, which cannot be read: {error}.") from error


def _summary(space: Space, recipe: Recipe, name: str, file: Path) -> BaselineSummary:
    """The recipe in plain values, checked as a hand-made network of the space is.

    Raises:
        InputError: The name or the recipe is not allowed.
    """
    from hpsearch.describe import describe
    from hpsearch.recipe import HyperModel
    from hpsearch.resolve import has_domains

    if not name.strip() or name.strip().isdigit() or name in (space.baselines or {}):
        raise InputError(f"--name got {name!r}; allowed: a text that is neither a number nor the name of a baseline.")
    if has_domains(recipe):
        raise SpaceError(f"{file}: holds a domain; a recipe is one network, so write plain values.")
    if isinstance(recipe.model, HyperModel) and recipe.model.values is None:
        raise SpaceError(f"{file}: model: leaves its choices open; write HyperModel(build, values={{...}}).")
    try:
        found = describe(dataclasses.replace(space, baselines={name: recipe}))
    except SpaceError as error:
        where = error.address.removeprefix(f"baselines[{name!r}]").lstrip(".")
        problem = error.problem.replace("A baseline must be", "It must be")
        raise SpaceError(f"{file}: {where}{': ' if where else ''}{problem}") from error
    if found.left_out:
        raise InputError(f"{file}: {' and '.join(found.left_out[0].files)}, which it takes, cannot be found.")
    if found.baselines[0].beside:
        raise SpaceError(f"{file}: It must be a point of the space; one that is not can be declared as a baseline.")
    return found.baselines[0]


def _refuse_another_space(folder: StudyFolder, space: Space) -> None:
    if folder.exists and folder.info().space_fingerprint != space.fingerprint:
        raise StudyError(
            f"The space has changed since study {folder.name} began; give the space of that study, such as "
            f"{folder.space_file}, or another --study."
        )


def _refuse_a_double(folder: StudyFolder, summary: BaselineSummary) -> None:
    """A recipe is trained once.

    Raises:
        StudyError: It waits in the queue, or was trained, under whatever name.
    """
    for waiting in queued(folder):
        if waiting.hash == summary.hash:
            raise StudyError(f"The same recipe waits in the queue of study {folder.name} as {one_line(waiting.name)}.")
        if waiting.name == summary.name:
            raise StudyError(f"Another recipe waits in the queue as {summary.name}; give this one a --name of its own.")
    for trial in folder.trials():
        if trial.hash != summary.hash or trial.failure in _TRAINED_ANYWAY:
            continue
        name = f"trial {one_line(trial.name)} of study {folder.name}"
        if trial.state == "RUNNING":
            raise StudyError(f"The same recipe is open as {name}; it is not trained twice.")
        how = (
            f"score {score(trial.score)}" if trial.score is not None else f"{trial.failure}: {one_line(trial.message)}"
        )
        raise StudyError(f"The same recipe was tried as {name} ({how}); it is not trained twice.")
