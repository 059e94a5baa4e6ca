"""``hpsearch report``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.output import results_option, say, size, study_option
from hpsearch.cli.standing import Standing, held
from hpsearch.cli.status import command_to_go_on
from hpsearch.study.atomic import in_place
from hpsearch.study.folder import open_study

if TYPE_CHECKING:
    from hpsearch.results.report.facts import Facts
    from hpsearch.results.report.writing import Reporter

__all__ = ["report", "watch"]

PERIOD = 10.0
"""Seconds between two looks at a run."""


@click.command(epilog="\b\nExample:\n  hpsearch report\n  hpsearch report --study digits --output digits.html --open")
@study_option
@results_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write, or a pipe or device; report.html in the folder of the study if not given.",
)
@click.option("--watch", "watching", is_flag=True, help="Write it again while a run goes on; an open page follows.")
@click.option("--open", "opening", is_flag=True, help="Show it in the browser.")
@click.option(
    "--predictions/--no-predictions",
    default=True,
    help="Whether to ask the best network, once, what it gets wrong, and to show images of the validation part.",
)
def report(
    study: str | None, results: Path, output: Path | None, watching: bool, opening: bool, predictions: bool
) -> None:
    """Write what a study found as one HTML file, which needs no network.

    What was found and how sure that is, the best score over time, learning curves, which choices mattered, score
    against parameters, what the best network gets wrong, what failed, and what to type next. While a run goes on, the
    files of the study are read and nothing else; when none does, a process of its own asks the best network, once.
    """
    from hpsearch.results.report.writing import Reporter

    standing = Standing(open_study(results, study))
    reporter = Reporter(output or standing.folder.path / "report.html", predictions=predictions)

    def opened() -> None:
        if opening:
            click.launch(str(reporter.output.resolve()))

    if watching:
        watch(standing, reporter, results, opened)
    else:
        reporter.write(_facts(standing, results))
        opened()
    if not in_place(reporter.output):  # which may be where this is said
        say(f"Written: {reporter.output} ({size(reporter.output.stat().st_size)})")


def watch(
    standing: Standing,
    reporter: Reporter,
    results: Path,
    opened: Callable[[], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Write the report again and again until the run ends, then once more as it stays.

    Args:
        standing: The study.
        reporter: Writes it.
        results: The folder that holds the studies, as the user calls it.
        opened: Called when it was written for the first time.
        wait: Waits some seconds.
    """
    first = True
    try:
        while held(standing.folder):
            reporter.write(_facts(standing, results), reload=True)
            if first:
                say(f"Kept up to date while the run goes on: {reporter.output}   Ctrl-C ends this, not the run.")
                opened()
            first = False
            wait(PERIOD)
    except KeyboardInterrupt:
        pass
    reporter.write(_facts(standing, results))
    if first:
        say("No run goes on.")
        opened()


def _facts(standing: Standing, results: Path) -> Facts:
    """What is known of the study at this moment."""
    from hpsearch.results.report.facts import read_facts

    folder = standing.folder
    running = held(folder)
    return read_facts(
        folder, standing.look().rows, running=running, go_on=command_to_go_on(folder, results), results=results
    )
