"""``hpsearch leaderboard``. It needs neither Keras nor Optuna."""

from __future__ import annotations

from pathlib import Path

import click

from hpsearch.cli.board import TOP_ON_TERMINAL, Screen
from hpsearch.cli.output import PositiveWhole, complain, results_option, say, study_option
from hpsearch.cli.standing import Standing
from hpsearch.errors import InputError
from hpsearch.results.board import of_objective
from hpsearch.results.fields import Fields
from hpsearch.results.leaderboard import as_csv, as_json
from hpsearch.results.recorded import recorded_in
from hpsearch.results.selection import Selection
from hpsearch.study import open_study

__all__ = ["leaderboard"]


@click.command(
    epilog="\b\nExample:\n  hpsearch leaderboard --top 10\n"
    '  hpsearch leaderboard --where "parameters<1e6 and state==COMPLETE" --sort time\n'
    "  hpsearch leaderboard --pareto val_accuracy,parameters\n"
    "  hpsearch leaderboard --sort val_loss\n"
    "  hpsearch leaderboard --study digits --csv > digits.csv"
)
@study_option
@click.option(
    "--with-study",
    "others",
    multiple=True,
    metavar="NAME",
    help="Rank the trials of this study, too, if its data, split and objective are the same.",
)
@results_option
@click.option(
    "--where",
    "condition",
    metavar="CONDITION",
    help='Only trials that fit, such as "parameters<1e6 and state==COMPLETE"; and, or, not, parentheses.',
)
@click.option(
    "--pareto",
    metavar="FIELDS",
    help="Only trials that no other surpasses in all of these, such as val_accuracy,parameters.",
)
@click.option(
    "--sort",
    metavar="FIELD",
    help="By another field than the score, its best values first; -FIELD the largest, +FIELD the smallest first.",
)
@click.option(
    "--top",
    type=PositiveWhole(),
    metavar="N",
    help=f"Only the first N. Without it a terminal shows {TOP_ON_TERMINAL}; files and pipes get all.",
)
@click.option("--watch", is_flag=True, help="Keep it up to date until the run ends; Ctrl-C ends the watching alone.")
@click.option("--json", "as_", flag_value="json", help="A list of objects with full precision, nothing else.")
@click.option("--csv", "as_", flag_value="csv", help="The same fields as comma-separated values.")
@click.option("--markdown", "as_", flag_value="markdown", help="The whole table in Markdown.")
def leaderboard(
    study: str | None,
    others: tuple[str, ...],
    results: Path,
    condition: str | None,
    pareto: str | None,
    sort: str | None,
    top: int | None,
    watch: bool,
    as_: str | None,
) -> None:
    """Rank the trials of a study, the best first.

    The interval holds the score on all data of the same kind 95 times in 100, as far as the validation part can tell.
    The gap is how much better a trial does on what it was trained on than on the validation part: a large one means
    that it overfits. Trials without a score come last, with the reason.

    Beside the columns, --where, --sort and --pareto take every metric that was recorded, such as val_loss, or val_auc
    with metrics=["auc"] in the space: its value at the best epoch, which is then shown, too.

    A study may be looked at while a run writes to it; nothing is locked and nothing written.
    """
    if watch and as_:
        raise InputError(f"--watch shows a screen and --{as_} prints once; leave one of them out.")
    standing = Standing(open_study(results, study), [open_study(results, name) for name in dict.fromkeys(others)])
    metric, maximize = of_objective(standing.info.objective)
    fields = Fields(metric, maximize, lambda: recorded_in([standing.folder, *standing.others]))
    selection = Selection.read(fields, condition, pareto, sort)
    standing.metrics = selection.metrics
    screen = Screen(standing.info.objective, standing.folder.name, selection, condition, top)
    if watch:
        from hpsearch.cli.watching import watch as keep_watching

        keep_watching(standing, screen)
        return
    found = standing.look()
    if as_ in ("json", "csv"):
        for sentence in found.left_out if others else ():
            complain(sentence)
        say((as_json if as_ == "json" else as_csv)(selection.of(found.rows)[:top]))
        return
    screen.show(found, markdown=as_ == "markdown")
