"""``hpsearch save``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import data_dir_option, use_data_dir
from hpsearch.cli.output import count, one_line, results_option, say, score, study_option

if TYPE_CHECKING:
    from hpsearch.results.saved import SavedTrial

__all__ = ["save"]


@click.command(
    epilog="\b\nExample:\n  hpsearch save photo_alone photo.keras --study houses\n  hpsearch save 12 best.keras --force"
)
@click.argument("trial", metavar="TRIAL")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@study_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
@results_option
def save(
    trial: str, file: Path, force: bool, study: str | None, as_json: bool, data_dir: Path | None, results: Path
) -> None:
    """Save the network of one trial, as it was trained in the search.

    TRIAL is a number or the name of a baseline, as the leaderboard lists them. FILE.keras gets the weights of its best
    epoch. It was trained on the training part alone, and the test part stays sealed: that is what a branch
    Pretrained("FILE.keras") of another network has to be. (What export-best writes has seen the validation part, too.)
    The checkpoint of the trial must still be there. A run under way goes on undisturbed.
    """
    from hpsearch.results.saved import save_trial
    from hpsearch.study.folder import open_study

    folder = open_study(results, study)
    name = str(int(trial)) if trial.isdecimal() else trial
    done = save_trial(folder, name, file, data_dir=use_data_dir(data_dir), overwrite=force)
    if as_json:
        say(json.dumps(_record(done), indent=1))
    else:
        _print(done)


def _record(done: SavedTrial) -> dict[str, object]:
    return {
        "file": str(done.path),
        "study": done.study,
        "trial": done.trial.number,
        "baseline": done.trial.baseline,
        "epoch": done.found.epoch,
        "objective": done.metric,
        "recorded": done.found.recorded,
        "score": done.found.score,
        "reload_difference": done.found.difference,
        "parameters": done.found.parameters,
        "train_images": done.train_images,
    }


def _print(done: SavedTrial) -> None:
    found = done.found
    say(
        f"Saved trial {one_line(done.trial.name)} of study {done.study}, epoch {found.epoch}: {done.metric} "
        f"{score(found.score)}, {count(found.parameters)} parameters."
    )
    if not done.same:
        say(f"In training it was {score(found.recorded)}; another kind of processor, or precision, may be why.")
    say(f"Written: {done.path}")
