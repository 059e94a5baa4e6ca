"""``hpsearch export-best``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import data_dir_option, use_data_dir
from hpsearch.cli.output import count, duration, on_terminal, results_option, say, study_option

if TYPE_CHECKING:
    from hpsearch.results.export import Export, Tested
    from hpsearch.study.trial import Epoch

__all__ = ["export_best"]


@click.command(name="export-best")
@study_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where to write; export/ in the study if not given.",
)
@click.option("--reopen-test", is_flag=True, help="Open the test part again; the record counts it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
@results_option
def export_best(
    study: str | None, output: Path | None, reopen_test: bool, as_json: bool, data_dir: Path | None, results: Path
) -> None:
    """Retrain the best recipe, test it once, and export it.

    The best trial is trained again on train + validation, for as many epochs and at the learning rates that served it
    in the search. Then the sealed test part is opened, once, for it and for the best hand-made network. Writes
    model.keras, recipe.py, metrics.json, classes.json and a model card, and loads the model in a fresh process to check
    its score.

    \b
    Example:
      hpsearch export-best --study digits
    """
    from hpsearch.results.export import export_best as export
    from hpsearch.study.folder import open_study

    folder = open_study(results, study)
    show = _Progress(quiet=as_json)
    with show:
        done = export(
            folder, data_dir=use_data_dir(data_dir), output=output, reopen_test=reopen_test, on_epoch=show.epoch
        )
    if as_json:
        say((done.folder / "metrics.json").read_text(encoding="utf-8").rstrip())
    else:
        _print(done)


class _Progress:
    """A bar an epoch on a terminal, a line a network elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from hpsearch.cli.output import console

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console(),
        )
        self._quiet = quiet
        self._live = on_terminal() and not quiet
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> None:
        if self._live:
            self._bars.start()

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._bars.stop()

    def epoch(self, name: str, epoch: Epoch, epochs: int) -> None:
        """An epoch of a retraining ended."""
        first = name not in self._tasks
        if self._live:
            if first:
                self._tasks[name] = self._bars.add_task(f"Retraining {name}", total=epochs)
            self._bars.update(self._tasks[name], completed=epoch.epoch)  # type: ignore[arg-type]  # rich's TaskID is an int
        elif first and not self._quiet:
            self._tasks[name] = 0
            say(f"Retraining {name} on train + validation: {epochs} epochs of about {duration(epoch.seconds)}")


def _print(done: Export) -> None:
    if done.before:
        say("Exported and tested before; nothing was trained or opened again.")
    say(f"Retrained on {done.train_images:,} images; tested on {done.test_images:,} that the search never saw:")
    say(_line("exported", done.chosen))
    if done.baseline:
        say(_line("best by hand", done.baseline))
    say(f"Loaded again in a fresh process: the same answers (largest difference {done.difference:.1g}).")
    say(f"Written: {done.folder / 'model.keras'}  with recipe.py, inputs.json, metrics.json and README.md")


def _line(what: str, tested: Tested) -> str:
    from hpsearch.results.tested import said

    scores = ", ".join(f"{each.metric} {each}" for each in tested.told)
    whose = "" if len(tested.told) == 1 and tested.told[0].metric == (tested.metric or "accuracy") else tested.metric
    return (
        f"  {what:<13} {tested.name:<12} {scores}, validation {whose}{' ' if whose else ''}was "
        f"{said(tested.validation)}, {count(tested.parameters)} parameters"
    )
