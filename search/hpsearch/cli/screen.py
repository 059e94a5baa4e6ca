"""Watching a run on a terminal: a live screen."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hpsearch.brief import describe
from hpsearch.cli.output import console, duration, one_line, say, score
from hpsearch.cli.progress import Clock, Progress, fraction, left_open
from hpsearch.cli.rows import BAR_STYLE, STYLES, ended_table, line, running_lines
from hpsearch.events import Budget
from hpsearch.study import Epoch, Trial

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

__all__ = ["LiveScreen"]

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
            self._progress.stop()
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

    def left(self, trial: Trial, why: str) -> None:
        """Take a trial from those that run, and print above the screen why and from where it goes on."""
        with self._lock:
            self._progress.left(trial)
            self.note(left_open(trial, why))

    def dropped(self, trial: Trial) -> None:
        """Take a trial from those that run."""
        with self._lock:
            self._progress.dropped(trial)

    def paused(self, reason: str) -> None:
        """Show in capitals that nothing goes on, until it does."""
        with self._lock:
            self._progress.paused = one_line(reason)

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
        head = [
            self._headline(),
            *self._pause(width),
            *self._budgets(width),
            *self._goals(width),
            self._best(),
            *self._ended(width),
        ]
        room = height - len(head) - 2
        running, taken = self._running(width, room)
        # The cursor rests on an empty last line: what the terminal echoes there, such as ^C, must not break a full one.
        return Constrain(Group(*head, *running, *self._recent(width, room - taken), line()), width)

    def _headline(self) -> Text:
        word = "max" if self._progress.maximize else "min"
        return line((self._study, "bold"), (f"  {word} {self._progress.metric}", "dim"))

    def _pause(self, width: int) -> list[RenderableType]:
        """A banner over the whole width while nothing goes on."""
        if not self._progress.paused:
            return []
        from textwrap import wrap

        said = wrap(f"PAUSED: {self._progress.paused}", max(width - 2, 1))
        return [line((f" {part} ".ljust(width), "bold black on yellow")) for part in said]

    def _budgets(self, width: int) -> list[RenderableType]:
        progress, budget = self._progress, self._progress.budget
        trials = fraction(budget.trials_done, budget.trials)
        spent = duration(progress.seconds_done)
        time_said = f"{spent} of {duration(budget.seconds)}" if budget.seconds else spent
        if progress.running and progress.remaining:
            time_said += f", {progress.remaining}"
        bar_width = max(min(width - _MARGIN - max(len(time_said), len(trials)) - 2, 40), 8)
        return [
            _bar("trials", budget.trials_done, budget.trials, trials, bar_width),
            _bar("time", progress.seconds_done, budget.seconds, time_said, bar_width),
        ]

    def _goals(self, width: int) -> list[Text]:
        """What else ends the study."""
        budget = self._progress.budget
        goals = [f"{budget.until}{', or ' if budget.patience else ''}"] if budget.until else []
        if budget.patience:
            goals.append(f"{budget.patience} trials without improvement ({budget.without_improvement} so far)")
        return _facts("until", [(goal, "") for goal in goals], width) if goals else []

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

    def _ended(self, width: int) -> list[Text]:
        said = [
            (f"{part}{',' if more else ' '} ", STYLES.get(label, ""))
            for label, words in self._progress.summary
            for part, more in _parts(words)
        ]
        return _facts("so far", said or [("none yet", "dim")], width)

    def _running(self, width: int, room: int) -> tuple[list[RenderableType], int]:
        """The trials that run, and how many lines they take."""
        progress = self._progress
        trials = list(progress.running.values())
        if not trials:
            return [], 0
        lines, taken = running_lines(trials, progress.clock(), width, max(room - 1, 3), progress.budget.slots)
        return [line(), *lines], taken + 1

    def _recent(self, width: int, room: int) -> list[RenderableType]:
        """The trials that ended lately, the last first."""
        trials = list(self._progress.recent)[: max(room - 2, 0)]
        return [line(), ended_table(trials, width)] if trials else []


def _fact(name: str, *parts: tuple[str, str]) -> Text:
    return line((f"{name:<{_MARGIN}}", "dim"), *parts)


def _parts(words: str) -> list[tuple[str, bool]]:
    """``3 failed: 2 out_of_memory, 1 not_finite`` in two, each with whether another follows."""
    parts = words.split(", ")
    return [(part, place < len(parts) - 1) for place, part in enumerate(parts)]


def _facts(name: str, parts: list[tuple[str, str]], width: int) -> list[Text]:
    """A fact whose parts are put on several lines where the terminal is narrow."""
    lines: list[list[tuple[str, str]]] = [[]]
    for part in parts:
        if lines[-1] and _MARGIN + sum(len(text) for text, _ in lines[-1]) + len(part[0].rstrip()) > width:
            lines.append([])
        lines[-1].append(part)
    return [_fact("" if place else name, *said) for place, said in enumerate(lines)]


def _bar(name: str, done: float, limit: float | None, said: str, width: int) -> RenderableType:
    """A budget as a bar with words behind it; words alone where there is no limit."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    if not limit:
        return _fact(name, (said, ""))
    grid = Table.grid(padding=0)
    bar = ProgressBar(total=1.0, completed=min(done / limit, 1.0), width=width, complete_style=BAR_STYLE)
    grid.add_row(_fact(name), bar, line((f"  {said}", "")))
    return grid
