"""``hpsearch clean``."""

from __future__ import annotations

import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from shlex import quote

import click

from hpsearch.cli.output import Cell, Column, one_line, results_option, say, size, study_option, table, tell
from hpsearch.cli.standing import Standing
from hpsearch.cli.waiting import awaited
from hpsearch.errors import InputError, StudyError
from hpsearch.study.folder import StudyFolder, open_study
from hpsearch.study.keeping import KEEP, Reclaimable, reclaim, reclaimable

__all__ = ["clean"]

_GOES_ON_FROM_OTHERS = "kt-hyperband"
"""The strategy whose trials go on from the checkpoints of trials that have ended."""


@click.command(
    epilog="\b\nExample:\n  hpsearch clean --study digits\n  hpsearch clean --study digits --keep 1 --yes\n"
    "  hpsearch clean --cache"
)
@study_option
@results_option
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=KEEP,
    show_default=True,
    metavar="N",
    help="Of the N best trials the checkpoints stay.",
)
@click.option(
    "--cache", "cache", is_flag=True, help="Instead of a study, empty the cache of photos and features of all studies."
)
@click.option("--yes", is_flag=True, help="Delete without asking.")
def clean(study: str | None, results: Path, keep: int, cache: bool, yes: bool) -> None:
    """Show what a study no longer needs on the disk, then delete it.

    That is: checkpoints of trials that have ended and are not among the best, what a kill left half written, temporary
    files of processes that were killed, answers of networks that the report no longer shows, and requests that nobody
    will answer. An export that was killed is finished where it was whole, or else taken back. Recipes, scores,
    histories and logs stay, and so does every trial that can go on, and a checkpoint that a baseline waits for. A study
    that a run holds is left alone; a run deletes by itself what it no longer needs.

    Decoded photos, fixed copies of them and features of frozen bodies, which all studies share, lie in a cache of their
    own, which keeps to its limit by itself. With --cache its sizes are shown and it is emptied, but never while a run
    uses it; what is needed again is made again. What an earlier version left in HPSEARCH_CACHE is shown and goes, too.
    """
    if cache:
        if study is not None:
            raise InputError("--cache got --study, too; the cache is that of all studies, so say one of them.")
        _clean_cache(yes)
        return
    folder = open_study(results, study)
    _refuse_while_it_runs(folder)
    where = "" if str(results) == "results" else f" --results {quote(str(results))}"
    waited_for = awaited(folder, f" --study {folder.name}{where}")
    found = _found(folder, keep, waited_for)
    for name, sentence in waited_for.items():
        tell(f"The checkpoint of {one_line(name)} stays, whatever --keep says. {one_line(sentence)}")
    if not found:
        say(f"Study {folder.name} holds nothing that it does not need.")
        _name_the_cache()
        return
    _show(folder, found)
    _name_the_cache()
    if not yes:
        _confirm()
    with folder.writing(continues=False):
        # Looked for again: a run may have come and gone while the question stood.
        shown = {one.path for one in found}
        freed = reclaim(one for one in _found(folder, keep, waited_for) if one.path in shown)
    say(f"Freed {size(freed)}.")


def _name_the_cache() -> None:
    """Say how much the cache holds, if anything."""
    from hpsearch.data.cache import cache_folder, entries_of_earlier, usage

    held = usage()
    left = sum(entry.bytes for entry in entries_of_earlier())
    if left:
        tell(f"What an earlier version left in {cache_folder().parent} takes {size(left)}; see: hpsearch clean --cache")
    if held:
        tell(f"The cache of photos and features in {cache_folder()} takes {size(held)}; see: hpsearch clean --cache")


def _clean_cache(yes: bool) -> None:
    from hpsearch.data.cache import cache_folder, empty_cache, entries, entries_of_earlier

    root, found = cache_folder(), [*entries(), *entries_of_earlier()]
    if not found:
        say(f"The cache in {root} is empty.")
        return
    kinds = sorted({entry.kind for entry in found})
    rows = []
    for kind in kinds:
        some = [entry for entry in found if entry.kind == kind]
        last = datetime.fromtimestamp(max(entry.used for entry in some))
        rows.append((kind, f"{len(some):,}", size(sum(entry.bytes for entry in some)), f"{last:%Y-%m-%d %H:%M}"))
    columns = [Column("What"), Column("Number", right=True), Column("Size", right=True), Column("Last used")]
    table(columns, [[Cell(text) for text in row] for row in rows])
    left = [entry.path for entry in found if entry.path.parent != root]
    for path in left:
        say(f"Of an earlier version: {path}")
    say(f"Together {size(sum(entry.bytes for entry in found))} in {root.parent if left else root}.")
    if not yes:
        _confirm()
    say(f"Freed {size(empty_cache())}.")


def _found(folder: StudyFolder, keep: int, waited_for: Collection[str]) -> list[Reclaimable]:
    from hpsearch.results.leftovers import leftovers

    info = folder.info()
    goes_on = info.strategy == _GOES_ON_FROM_OTHERS
    stay = {trial.number for trial in folder.trials() if goes_on or trial.baseline in waited_for}
    found = reclaimable(folder, keep, info.objective.startswith("max"), stay.__contains__, _answers(folder))
    # An export that cannot be settled says why; by then the rest is gone.
    return [*found, *leftovers(folder)]


def _answers(folder: StudyFolder) -> list[Path]:
    """What was kept for the report and is shown by none any more."""
    from hpsearch.results.report.facts import read_facts
    from hpsearch.results.report.predictions import FOLDER, left_over

    if not (folder.path / FOLDER).is_dir():
        return []
    rows = Standing(folder).look().rows
    return left_over(read_facts(folder, rows, running=False, go_on="", results=folder.path.parent))


def _refuse_while_it_runs(folder: StudyFolder) -> None:
    holder = folder.holder()
    if holder is not None:
        raise StudyError(
            f"Study {folder.name} is being written by {holder}, which deletes by itself what it no longer needs; stop "
            f"it first with: hpsearch stop --study {folder.name}"
        )


def _show(folder: StudyFolder, found: list[Reclaimable]) -> None:
    columns = [Column("What"), Column("Size", right=True), Column("Why it may go", wraps=True)]
    rows = [(_called(one.path, folder.path), size(one.bytes), one.why) for one in found]
    table(columns, [[Cell(text) for text in row] for row in rows])
    say(f"Together {size(sum(one.bytes for one in found))} in {folder.path}.")


def _called(path: Path, study: Path) -> str:
    """A path within the study, or else the whole path."""
    for around in (study, study.resolve()):
        if path.is_relative_to(around):
            return str(path.relative_to(around))
    return str(path)


def _confirm() -> None:
    """Ask on a terminal.

    Raises:
        InputError: There is nobody to ask.
        click.Abort: No.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("Nothing was deleted; say the same with --yes to delete what is shown.")
    click.confirm("Delete these?", abort=True)
