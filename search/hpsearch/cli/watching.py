"""``hpsearch leaderboard --watch``: the leaderboard of a run that goes on, kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpsearch.cli.board import Screen
from hpsearch.cli.output import console, grid, on_terminal, one_line, printable, say, score
from hpsearch.cli.standing import Standing, held
from hpsearch.results.board import Board
from hpsearch.results.leaderboard import Row

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["watch"]

PERIOD = 2.0
"""Seconds between two looks; a look costs some milliseconds, because only what changed is read again."""


def watch(standing: Standing, screen: Screen, wait: Callable[[float], None] = time.sleep) -> None:
    """Show the leaderboard until the run ends, then once more as it stays; where no run goes on, that alone.

    Args:
        standing: What is looked at.
        screen: How it is shown.
        wait: Waits some seconds.
    """
    try:
        if held(standing.folder):
            (_on_terminal if on_terminal() else _in_lines)(standing, screen, wait)
    except KeyboardInterrupt:
        if not on_terminal():
            return  # every line was said; a screen leaves what it showed last
    if not on_terminal():
        say("No run goes on.")
    screen.show(standing.look())


def _on_terminal(standing: Standing, screen: Screen, wait: Callable[[float], None]) -> None:
    from rich.live import Live

    terminal = console()

    def frame() -> RenderableType:
        return _frame(screen, standing.look(), terminal.width, terminal.height)

    with Live(frame(), console=terminal, auto_refresh=False, transient=True) as live:
        while held(standing.folder):
            wait(PERIOD)
            live.update(frame(), refresh=True)


def _frame(screen: Screen, found: Board, width: int, height: int) -> RenderableType:
    """As many rows as there is room for, between headline and footnotes."""
    from rich.console import Group
    from rich.text import Text

    wanted = screen.selection.of(found.rows)
    notes = screen.footnotes(found, wanted, wanted)
    lines = sum(-(-len(note) // max(width, 1)) for note in notes)
    shown = wanted[: min(screen.top or len(wanted), max(height - lines - 7, 1))]
    columns, cells = screen.cells(found, shown)
    parts: list[RenderableType] = [
        Text(printable(screen.headline(found)), style="bold"),
        Text(),
        grid(columns, cells, width),
        Text(),
    ]
    return Group(*parts, *(Text(printable(note)) for note in screen.footnotes(found, wanted, shown)))


def _in_lines(standing: Standing, screen: Screen, wait: Callable[[float], None]) -> None:
    """A line for every trial that ends."""
    found = standing.look()
    say(screen.headline(found))
    ended = {row.trial.number for row in found.rows if row.trial.state != "RUNNING"}
    running = True
    while running:
        wait(PERIOD)
        running = held(standing.folder)  # asked before the last look, which then sees all that ended
        found = standing.look()
        for row in sorted(found.rows, key=lambda row: row.trial.number):
            if row.trial.state != "RUNNING" and row.trial.number not in ended and row.study == standing.info.name:
                ended.add(row.trial.number)
                say(_line(row, len(found.rows)))


def _line(row: Row, of: int) -> str:
    place = f", rank {row.rank} of {of}" if row.rank else ""
    return f"trial {one_line(row.trial.name)}: {row.outcome}, {score(row.validation)}{place}"
