"""The trials on the live screen: those that run, a line with a bar each, and those that ended lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.brief import describe
from hpsearch.cli.curve import sparkline
from hpsearch.cli.output import duration, one_line, score
from hpsearch.cli.progress import Running, fraction
from hpsearch.results.leaderboard import outcome
from hpsearch.study import Trial

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["BAR_STYLE", "STYLES", "ended_table", "line", "running_lines"]

STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "interrupted": "cyan", "duplicate": "dim"}
BAR_STYLE = "cyan"  # not the red that rich would take, which reads as a failure

GAP = 2
BAR = 8
CURVE = 8
LONGEST_NAME = 16


def line(*parts: tuple[str, str]) -> Text:
    """A line that is cut off where the terminal ends; each part with its style."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _short(trial: Trial) -> str:
    name = one_line(trial.baseline or "")
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 1]}…"
    return f"{name} *" if trial.baseline else str(trial.number)


# ---- those that run


@dataclass(frozen=True)
class _Column:
    """A column of the running trials.

    Args:
        title: Its heading.
        cells: One a trial.
        width: Its width.
        right: Whether it is aligned to the right.
    """

    title: str
    cells: Sequence[RenderableType]
    width: int
    right: bool = False


def running_lines(
    trials: Sequence[Running], now: float, width: int, room: int, slots: int
) -> tuple[list[RenderableType], int]:
    """The running trials, one a line, by number; and how many lines they take.

    Args:
        trials: As far as they were heard of.
        now: The time of the clock that they were heard by.
        width: Columns of the table; what matters less is left out where it is narrow.
        room: Lines that there are, the heading included.
        slots: How many trials are trained at a time.
    """
    ordered = sorted(trials, key=lambda running: running.trial.number)
    shown = ordered if len(ordered) < room else ordered[: max(room - 2, 1)]
    heading = f"running {len(ordered)}/{slots}" if slots > 1 else "running"
    columns = _columns(shown, now, heading, several=slots > 1 or len(ordered) > 1)
    table = _table(_chosen(columns, width), width)
    hidden = len(ordered) - len(shown)
    return [table, *([line((f"… {hidden} more", "dim"))] if hidden else [])], len(shown) + 1 + bool(hidden)


def _columns(trials: Sequence[Running], now: float, heading: str, several: bool) -> dict[str, _Column]:
    names = [_short(running.trial) for running in trials]
    devices = [one_line(running.trial.device) for running in trials]
    recipes = [describe(running.trial.recipe) for running in trials]
    columns = {
        "trial": _texts(heading, names, "bold cyan"),
        "device": _texts("device", devices, "dim"),
        "bar": _Column("", [_bar(running.share) for running in trials], BAR),
        "epoch": _texts("epoch", [fraction(r.epoch, r.trial.epochs_budget) for r in trials], "", right=True),
        "score": _texts("score", [score(running.best) for running in trials], "", right=True, least=6),
        "curve": _texts("", [sparkline(running.values, CURVE) for running in trials], "cyan", least=CURVE),
        "time": _texts("time", [duration(now - r.since) for r in trials], "dim", right=True, least=6),
        "left": _texts("left", [_left(running, now) for running in trials], "dim", right=True, least=6),
        "recipe": _texts("recipe", recipes, "dim"),
    }
    if not several or not any(devices):
        del columns["device"]
    return columns


def _left(running: Running, now: float) -> str:
    left = running.left(now)
    return duration(left) if left is not None else "-"


def _texts(title: str, texts: Sequence[str], style: str, *, right: bool = False, least: int = 0) -> _Column:
    from rich.cells import cell_len

    width = max([least, len(title), *map(cell_len, texts)])
    return _Column(title, [line((text, style)) for text in texts], width, right)


def _bar(share: float | None) -> RenderableType:
    from rich.progress_bar import ProgressBar

    return (
        ProgressBar(total=1.0, completed=share, width=BAR, complete_style=BAR_STYLE)
        if share is not None
        else line(("", ""))
    )


LEAVING = ("bar", "device", "left")
"""What is left out, in this order, where even the rest does not fit."""
WANTED = (("recipe", 12), ("curve", 16), ("time", 20))
"""What is shown beside the rest where there is room, the dearest first: what, and how wide the recipe then still is."""


def _chosen(columns: dict[str, _Column], width: int) -> list[_Column]:
    """The columns that fit, in their order."""
    optional = dict(WANTED)
    kept = {name for name in columns if name not in optional}
    for leaving in LEAVING:
        if _room(columns, kept, width) < 0:
            kept.discard(leaving)
    for name, least in WANTED:
        if name not in columns:
            continue
        wider = kept | {name}
        if _room(columns, wider - {"recipe"}, width) < least + GAP:
            break
        kept = wider
    return [column for name, column in columns.items() if name in kept]


def _room(columns: dict[str, _Column], kept: set[str], width: int) -> int:
    """Columns of the terminal that these leave."""
    widths = [columns[name].width for name in columns if name in kept]
    return width - sum(widths) - GAP * (len(widths) - 1)


# ---- those that ended


def ended_table(trials: Sequence[Trial], width: int) -> Table:
    """The trials that ended lately, one a line, the last first.

    Args:
        trials: The trials.
        width: Columns of the table.
    """
    columns = {
        "ended": _texts("ended", [_short(trial) for trial in trials], ""),
        "state": _Column(
            "state",
            [line((outcome(trial), STYLES.get(trial.state, ""))) for trial in trials],
            max([len("state"), *(len(outcome(trial)) for trial in trials)]),
        ),
        "score": _texts("score", [score(trial.score) for trial in trials], "", right=True),
        "epochs": _texts("epochs", [fraction(t.epochs, t.epochs_budget) for t in trials], "dim", right=True),
        "took": _texts("time", [duration(trial.seconds) for trial in trials], "dim", right=True),
        "recipe": _texts("recipe", [describe(t.recipe) or one_line(t.message) for t in trials], "dim"),
    }
    return _table(_chosen(columns, width), width)


def _table(columns: Sequence[_Column], width: int) -> Table:
    """The columns side by side; the recipe takes what the others leave."""
    from rich.table import Table

    whole = columns[-1].title == "recipe"
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0), width=width if whole else None)
    for column in columns:
        rest = column.title == "recipe"
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=None if rest else column.width,
            ratio=1 if rest else None,
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table
