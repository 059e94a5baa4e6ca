"""``hpsearch run``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import data_dir_option, skip_bad_images_option, use_data_dir
from hpsearch.cli.output import Duration, PositiveWhole, on_terminal, results_option, say, tell

if TYPE_CHECKING:
    from hpsearch.events import Watcher
    from hpsearch.space import Objective
    from hpsearch.study.trial import Trial

__all__ = ["run"]


@click.command()
@click.argument("space", type=click.Path(path_type=Path))
@click.option(
    "--trials",
    type=PositiveWhole(),
    metavar="N",
    help="How many trials the search proposes, over all runs of the study; baselines come on top.",
)
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    metavar="TIME",
    help="How long to train, over all runs of the study: 8h, 30m, 90s.",
)
@click.option(
    "--epochs",
    type=PositiveWhole(),
    metavar="N",
    help="Train every trial for at most N epochs, whatever its recipe says.",
)
@click.option(
    "--subset",
    type=PositiveWhole(),
    metavar="N",
    help="Train on N images, stratified by class, and validate on at most N/2.",
)
@click.option("--no-baselines", is_flag=True, help="Leave the hand-made networks out.")
@click.option("--study", metavar="NAME", help="Name of the study; the space file's if not given.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Where the random numbers start; 0 if not given.")
@skip_bad_images_option
@data_dir_option
@results_option
def run(
    space: Path,
    trials: int | None,
    seconds: float | None,
    epochs: int | None,
    subset: int | None,
    no_baselines: bool,
    study: str | None,
    seed: int | None,
    skip_bad_images: bool,
    data_dir: Path | None,
    results: Path,
) -> None:
    """Search the space that a space file declares.

    The hand-made baselines are trained first, then what the search proposes, until a budget is used up or Ctrl-C.
    Budgets are totals of the study: the same command again resumes it, and a higher --trials or --for extends it.
    With --for, a trial that would take over a tenth of the time is stopped after an epoch or two.

    \b
    Example:
      hpsearch run spaces/digits.py --trials 20
      hpsearch run spaces/cifar.py --for 8h --data-dir ~/data
    """
    from hpsearch.launch import Request, run_search
    from hpsearch.limits import Limits

    request = Request(
        space_file=space,
        results=results,
        study=study,
        data_dir=use_data_dir(data_dir),
        subset=subset,
        skip_bad_images=skip_bad_images,
        seed=seed,
        limits=Limits(trials=trials, seconds=seconds, epochs=epochs, baselines=not no_baselines),
    )
    name = request.folder.name
    say(f"Study {name}: starting Keras and loading the data ...")
    if trials is None and seconds is None:
        tell("Neither --trials nor --for was given: it goes on until Ctrl-C, or until every recipe was tried.")
    folder = run_search(request, partial(_screen, name))
    _say_how_to_go_on(folder.name, results)


def _screen(study: str, objective: Objective, best: Trial | None) -> AbstractContextManager[Watcher]:
    """Whatever shows the run: a live screen on a terminal, lines elsewhere."""
    from hpsearch.cli.lines import PlainLines
    from hpsearch.cli.screen import LiveScreen

    kind = LiveScreen if on_terminal() else PlainLines
    return kind(objective.metric, objective.maximize, study, best=best)


def _say_how_to_go_on(study: str, results: Path) -> None:
    where = "" if str(results) == "results" else f" --results {results}"
    tell(f"Next: hpsearch leaderboard --study {study}{where}   or: hpsearch export-best --study {study}{where}")
