"""Watching a run on a terminal: a live screen."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hpsearch.cli.brief import describe
from hpsearch.cli.output import console, duration, one_line, say, score, sparkline
from hpsearch.cli.progress import Clock, Progress, Running, fraction, tally
from hpsearch.events import Budget
from hpsearch.results.leaderboard import outcome
from hpsearch.study import Epoch, Trial

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

__all__ = ["LiveScreen"]

_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "duplicate": "dim"}
_MARGIN = 10
_WIDEST = 120
_PERIOD = 0.5


class LiveScreen:
    """A screen that shows the run as it is; a context manager that gives the terminal back however it ends.

    Notes are printed above it and stay. It follows the size of the terminal.

    Args:
        metric: The metric of the objective, such as ``val_accuracy``.
        maximize: Whether more of it is better.
        study: The name of the study.
        best: The best trial so far, where the study goes on from earlier.
        clock: Seconds that only go forward.
        console: Where to draw; standard output if not given.
    """

    def __init__(
        self,
        metric: str,
        maximize: bool,
        study: str,
        *,
        best: Trial | None = None,
        clock: Clock = time.monotonic,
        console: Console | None = None,
    ) -> None:
        self._progress = Progress(metric, maximize, best, clock)
        self._study = study
        self._console = console
        self._live: Live | None = None
        self._width = 0
        # A thread draws the screen, so that clocks go on during a long epoch. Everything is printed under this lock,
        # because two printers at once would overwrite each other's lines.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._drawer = threading.Thread(target=self._keep_drawing, name="screen", daemon=True)

    def __enter__(self) -> Self:
        """Take the lower part of the terminal."""
        from rich.live import Live

        self._console = self._console or console()
        self._width = self._console.width
        self._live = Live(console=self._console, get_renderable=self._draw, auto_refresh=False)
        self._live.start()
        self._drawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw the last state, without what was running, and give the terminal back."""
        self._over.set()
        try:
            self._drawer.join()
        finally:  # a second Ctrl-C while waiting must not cost the cursor
            self._give_back()

    def _give_back(self) -> None:
        with self._lock:
            live, self._live = self._live, None
            self._progress.running.clear()
            if live is not None:
                live.stop()

    def note(self, sentence: str) -> None:
        """Print the sentence above the screen."""
        from rich.text import Text

        with self._lock:
            if self._live is None:
                say(one_line(sentence))
            else:
                self._live.console.print(Text(one_line(sentence)))

    def started(self, trial: Trial, budget: Budget) -> None:
        """Show a trial among those that run."""
        with self._lock:
            self._progress.started(trial, budget)

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """Show how far a trial is."""
        with self._lock:
            self._progress.epoch(trial, epoch, budget)

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        """Move a trial to those that ended."""
        with self._lock:
            self._progress.ended(trial, best, budget)

    def _keep_drawing(self) -> None:
        while not self._over.wait(_PERIOD):
            with self._lock:
                if self._live is None:
                    return
                try:
                    self._live.refresh()
                except OSError:
                    return  # the terminal is gone; the run goes on without anybody watching

    def _draw(self) -> RenderableType:
        """The screen as of now; asked for whenever it is printed."""
        assert self._console is not None  # set when the screen was entered
        if self._console.width != self._width:
            # A terminal that changed its width has broken the old lines anew, so they cannot be overwritten any more.
            self._width = self._console.width
            self._console.clear()
        with self._lock:
            return self.frame(self._console.width, self._console.height)

    def frame(self, width: int, height: int) -> RenderableType:
        """The screen for a terminal of some size.

        Args:
            width: Columns.
            height: Lines; the trials that ended lately fill what is left.
        """
        from rich.console import Group
        from rich.constrain import Constrain

        width = max(min(width - 1, _WIDEST), 1)
        head = [self._headline(), *self._budgets(width), self._best(), self._ended()]
        running = self._running_lines(width, max(height - len(head) - 2, 2))
        room = height - len(head) - len(running) - 3
        # The cursor rests on an empty last line: what the terminal echoes there, such as ^C, must not break a full one.
        return Constrain(Group(*head, *running, *self._recent(width, room), _line()), width)

    def _headline(self) -> Text:
        word = "max" if self._progress.maximize else "min"
        return _line((self._study, "bold"), (f"  {word} {self._progress.metric}", "dim"))

    def _budgets(self, width: int) -> list[RenderableType]:
        progress, budget = self._progress, self._progress.budget
        left = progress.time_left
        remaining = f", about {duration(left)} left" if left and progress.running else ""
        trials = fraction(budget.trials_done, budget.trials)
        spent = duration(progress.seconds_done)
        time_said = f"{spent} of {duration(budget.seconds)}" if budget.seconds else spent
        share = budget.trials_done / budget.trials if budget.trials else None
        time_share = progress.seconds_done / budget.seconds if budget.seconds else None
        return [_bar("trials", share, trials, width), _bar("time", time_share, time_said + remaining, width)]

    def _best(self) -> Text:
        best = self._progress.best
        if best is None:
            return _fact("best", ("none yet", "dim"))
        return _fact(
            "best",
            (score(best.score), "bold green"),
            (f"  {one_line(best.name)}", "bold"),
            (f"  {describe(best.recipe)}", ""),
        )

    def _ended(self) -> Text:
        said: list[tuple[str, str]] = []
        for word, number in tally(self._progress.budget):
            said += [(f"{number:,} ", ""), (f"{word.lower()}  ", _STYLES.get(word, "red"))]
        return _fact("so far", *(said or [("none yet", "dim")]))

    def _running_lines(self, width: int, room: int) -> list[RenderableType]:
        """Two lines a running trial, as many as there is room for."""
        shown = list(self._progress.running.values())[: max((room - 1) // 2, 1)]
        lines = [line for running in shown for line in self._running(running, width)]
        return [_line(), *lines] if lines else []

    def _running(self, running: Running, width: int) -> list[RenderableType]:
        trial = running.trial
        about = describe(trial.recipe)
        took = duration(self._progress.clock() - running.since)
        epochs = f"epoch {fraction(running.epoch, trial.epochs_budget)}"
        values = ""
        if running.values:
            values = f"{score(running.values[-1])}, best {score(self._progress.best_of(running.values))}"
        bars = sparkline(running.values, max(width - _MARGIN - len(epochs) - len(values) - len(took) - 6, 1))
        return [
            _fact("running", (_short(trial), "bold cyan"), (f"  {about}", "")),
            _fact("", (f"{epochs}  ", ""), (f"{bars}  ", "cyan"), (values, ""), (f"  {took}", "dim")),
        ]

    def _recent(self, width: int, room: int) -> list[RenderableType]:
        """The trials that ended lately, the last first."""
        trials = list(self._progress.recent)[: max(room - 1, 0)]
        return [_line(), _ended_table(trials, width)] if trials else []


def _short(trial: Trial) -> str:
    return f"{one_line(trial.baseline)} *" if trial.baseline else str(trial.number)


def _line(*parts: tuple[str, str]) -> Text:
    """A line that is cut off where the terminal ends."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _fact(name: str, *parts: tuple[str, str]) -> Text:
    return _line((f"{name:<{_MARGIN}}", "dim"), *parts)


def _bar(name: str, share: float | None, said: str, width: int) -> RenderableType:
    """A budget as a bar with words behind it; words alone where there is no limit."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    if share is None:
        return _fact(name, (said, ""))
    bar_width = max(min(width - _MARGIN - len(said) - 2, 40), 8)
    grid = Table.grid(padding=0)
    grid.add_row(
        _fact(name), ProgressBar(total=1.0, completed=min(share, 1.0), width=bar_width), _line((f"  {said}", ""))
    )
    return grid


def _ended_table(trials: list[Trial], width: int) -> Table:
    """The trials that ended lately, one a line."""
    from rich.table import Table

    shown = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0), width=width)
    for title in ("ended", "state"):
        shown.add_column(title, no_wrap=True)
    for title in ("score", "epochs", "time"):
        shown.add_column(title, no_wrap=True, justify="right")
    shown.add_column("recipe", no_wrap=True, overflow="ellipsis", ratio=1)
    for trial in trials:
        shown.add_row(
            _line((_short(trial), "")),
            _line((outcome(trial), _STYLES.get(trial.state, ""))),
            _line((score(trial.score), "")),
            _line((fraction(trial.epochs, trial.epochs_budget), "dim")),
            _line((duration(trial.seconds), "dim")),
            _line((describe(trial.recipe) or one_line(trial.message), "dim")),
        )
    return shown
