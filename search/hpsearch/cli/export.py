"""``hpsearch export-best``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.finals import Asked, final_screen, finals_options, say_what_counts, say_what_starts, show_finals
from hpsearch.cli.options import data_dir_option, use_data_dir
from hpsearch.cli.output import (
    count,
    duration,
    on_terminal,
    one_line,
    results_option,
    say,
    score,
    study_option,
    tell,
    telling,
)
from hpsearch.errors import InputError
from hpsearch.results.examples import examples
from hpsearch.wording import difference

if TYPE_CHECKING:
    from hpsearch.results.export import Export, Tested
    from hpsearch.results.shipped import Seeds
    from hpsearch.study.trial import Epoch

__all__ = ["export_best"]


@click.command(name="export-best")
@study_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where to write: a new or empty folder, or an export; export/ in the study if not given.",
)
@click.option("--no-finals", is_flag=True, help="Choose by the score of the search, and retrain with one seed.")
@finals_options
@click.option("--ensemble", is_flag=True, help="Export one model that answers with the mean of all seeds.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="LIST",
    help="Write it in these as well: keras, tf_saved_model, onnx, litert, openvino.",
)
@click.option("--reopen-test", is_flag=True, help="Open the test part again; the record counts it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
@results_option
def export_best(
    study: str | None,
    output: Path | None,
    no_finals: bool,
    asked: Asked,
    ensemble: bool,
    formats: tuple[str, ...],
    reopen_test: bool,
    as_json: bool,
    data_dir: Path | None,
    results: Path,
) -> None:
    """Choose the best recipe in finals, retrain it, test it once, and export it.

    Finals come first, as in hpsearch finals, unless they were held before. The choice is written down. Then the chosen
    recipe and the best hand-made network are trained again on train + validation with every seed, for as many epochs
    and at the learning rates that served them, and the sealed test part is opened, once, for both. The network of the
    first seed is exported; that was fixed before. Writes model.keras, recipe.py, metrics.json, classes.json and a model
    card, and loads the model in a fresh process to check its score. Whatever ends it, the same command goes on. Of an
    earlier export only files that nobody changed since are replaced, and no others; .hpsearch-export.json lists them.

    \b
    Example:
      hpsearch export-best --study digits
      hpsearch export-best --no-finals
      hpsearch export-best --seeds 5 --ensemble
      hpsearch export-best --format onnx,litert
    """
    from hpsearch.results.export import HowChosen
    from hpsearch.results.export import export_best as export
    from hpsearch.results.finals import read_finals
    from hpsearch.results.formats import check_formats
    from hpsearch.study.folder import open_study

    if no_finals and any(each is not None for each in (asked.top, asked.baselines, asked.seconds)):
        raise InputError("--top, --baselines and --for are for finals; leave them or --no-finals out.")
    if ensemble and (asked.seeds or (1 if no_finals else 2)) < 2:
        raise InputError("--ensemble is the mean of several seeds; say how many with --seeds 3.")
    folder = open_study(results, study)
    folder = folder.study_of_finals or folder
    data_dir = use_data_dir(data_dir)
    show = _Progress(quiet=as_json)
    how = HowChosen(
        finals=not no_finals,
        terms=asked.terms(data_dir),
        ensemble=ensemble,
        show=final_screen(folder, quiet=as_json),
        starting=lambda left: say_what_starts(folder, left, quiet=as_json),
        formats=check_formats(formats),
        tell=telling(as_json),
    )

    def chosen() -> None:
        found = read_finals(folder)
        if found is not None and not no_finals and not as_json:
            show_finals(found, folder.info())
            say_what_counts(found, asked.seeds)
        show.start()

    with show:
        done = export(
            folder,
            data_dir=data_dir,
            output=output,
            reopen_test=reopen_test,
            how=how,
            on_chosen=chosen,
            on_epoch=show.epoch,
        )
    if as_json:
        say((done.folder / "metrics.json").read_text(encoding="utf-8").rstrip())
    else:
        _print(done, examples(folder.info()))
    if any(each.problem for each in done.formats):
        raise SystemExit(1)


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
        """Nothing is shown before the retraining begins: finals have a screen of their own."""

    def start(self) -> None:
        """The retraining begins."""
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
                self._tasks[name] = self._bars.add_task(f"Retraining {one_line(name)}", total=epochs)
            self._bars.update(self._tasks[name], completed=epoch.epoch)  # type: ignore[arg-type]  # rich's TaskID is an int
        elif first and not self._quiet:
            self._tasks[name] = 0
            say(f"Retraining {name} on train + validation: {epochs} epochs of about {duration(epoch.seconds)}")


def _print(done: Export, rows: str) -> None:
    if done.before:
        say("Exported and tested before; nothing was trained or opened again.")
    say(f"Retrained on {done.train_images:,} {rows}; tested on {done.test_images:,} that the search never saw:")
    say(_line("exported", done.chosen))
    if done.baseline:
        say(_line("best by hand", done.baseline))
    for sentence in _of_seeds(done):
        tell(sentence)
    say(f"Loaded again in a fresh process: the same answers (largest difference {done.difference:.1g}).")
    for each in done.formats:
        tell(f"{each.sentence[0].upper()}{each.sentence[1:]}" if each.problem else each.sentence)
    script = "train.py, " if (done.folder / "train.py").exists() else ""
    say(f"Written: {done.folder / 'model.keras'}  with {script}recipe.py, inputs.json, metrics.json and README.md")


def _of_seeds(done: Export) -> list[str]:
    """What the seeds say together; nothing where there is one."""
    if done.seeds is None or len(done.seeds.seeds) < 2:
        return []
    metric = done.metric_of_seeds
    said = [f"Test {metric} of each seed of {done.chosen.name}: {_scores(done.seeds, metric)}."]
    if done.baseline is not None and done.baseline_seeds is not None:
        said.append(f"Test {metric} of each seed of {done.baseline.name}: {_scores(done.baseline_seeds, metric)}.")
        said.append(f"Difference in mean {metric} to {done.baseline.name} on the test part: {_difference(done.seeds)}.")
    if done.seeds.without_interval:
        said.append(f"No interval of the {metric}: {done.seeds.without_interval}.")
    what = "the mean of all of them" if done.ensemble else "that of the first seed, as was fixed before"
    return [*said, f"The exported network is {what}."]


def _scores(seeds: Seeds, metric: str) -> str:
    interval = "" if seeds.low is None else f" ({score(seeds.low)} to {score(seeds.high)})"
    return f"{', '.join(map(score, seeds.scores))}; mean {metric} {score(seeds.mean)}{interval}"


def _difference(seeds: Seeds) -> str:
    """With its interval and what that says; without one nothing can be said."""
    words = {"better": "better", "worse": "worse", "tie": "a tie", None: "no interval, so no verdict"}
    return f"{difference(seeds.difference, seeds.difference_low, seeds.difference_high)}: {words[seeds.verdict]}"


def _line(what: str, tested: Tested) -> str:
    from hpsearch.results.tested import said

    scores = ", ".join(f"{each.metric} {each}" for each in tested.told)
    whose = "" if len(tested.told) == 1 and tested.told[0].metric == (tested.metric or "accuracy") else tested.metric
    return (
        f"  {what:<13} {tested.name:<12} {scores}, validation {whose}{' ' if whose else ''}was "
        f"{said(tested.validation)}, {count(tested.parameters)} parameters"
    )
