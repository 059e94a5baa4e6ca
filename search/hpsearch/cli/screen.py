"""Watching a run: a live screen on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import ast
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hpsearch.cli.output import console, count, duration, one_line, say, score, sparkline
from hpsearch.events import Budget
from hpsearch.results.leaderboard import outcome
from hpsearch.study import Epoch, Trial
from hpsearch.study.trial import STATES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

__all__ = ["LiveScreen", "PlainLines", "describe", "time_left"]

Clock = Callable[[], float]


# ---- what a run looks like from outside


@dataclass
class _Running:
    """A trial in training, as far as it was heard of."""

    trial: Trial
    since: float
    epoch: int = 0
    values: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How much of its epochs is done."""
        return min(self.epoch / self.trial.epochs_budget, 1.0) if self.trial.epochs_budget else 0.0


class _Progress:
    """What both watchers keep of a run.

    Args:
        metric: The metric of the objective.
        maximize: Whether more of it is better.
        best: The best trial so far, where the study goes on from earlier.
        clock: Seconds that only go forward.
    """

    def __init__(self, metric: str, maximize: bool, best: Trial | None, clock: Clock) -> None:
        self.metric = metric
        self.maximize = maximize
        self.best = best
        self.clock = clock
        self.begun = clock()
        self.budget = Budget(0, None, 0.0, None)
        self.budget_at = self.begun
        self.running: dict[int, _Running] = {}
        self.recent: deque[Trial] = deque(maxlen=20)

    def started(self, trial: Trial, budget: Budget) -> None:
        self._heard(budget)
        self.running[trial.number] = _Running(trial, self.clock())

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> _Running:
        self._heard(budget)
        running = self.running.setdefault(trial.number, _Running(trial, self.clock()))
        running.trial = trial
        running.epoch = epoch.epoch
        running.values.append(epoch.metrics.get(self.metric, math.nan))
        return running

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        self._heard(budget)
        self.running.pop(trial.number, None)
        self.best = best or self.best
        if trial.failure != "duplicate":
            self.recent.appendleft(trial)

    def _heard(self, budget: Budget) -> None:
        self.budget = budget
        self.budget_at = self.clock()

    @property
    def seconds_done(self) -> float:
        """The seconds that the study has used, counted on between events while something trains."""
        since = self.clock() - self.budget_at if self.running else 0.0
        return self.budget.seconds_done + since

    @property
    def under_way(self) -> float:
        """The running trials, as parts of a whole one."""
        return sum(running.share for running in self.running.values())

    @property
    def time_left(self) -> float | None:
        """The seconds until the first budget is used up, as far as one can tell."""
        return time_left(self.budget, self.seconds_done, self.under_way)

    def best_of(self, values: list[float]) -> float | None:
        """The best of some values of the metric."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return None
        return max(finite) if self.maximize else min(finite)


def time_left(budget: Budget, seconds_done: float, under_way: float = 0.0) -> float | None:
    """Seconds until the first of the budgets is used up; None while nothing can be said.

    Args:
        budget: The budgets of the study.
        seconds_done: What the study has used of its time.
        under_way: The running trials, as parts of a whole one; they tell the pace before the first one ends.
    """
    left: list[float] = []
    if budget.seconds is not None:
        left.append(max(budget.seconds - seconds_done, 0.0))
    done = budget.trials_done + under_way
    if budget.trials is not None and done > 0:
        left.append(max(budget.trials - done, 0.0) * seconds_done / done)
    return min(left, default=None)


def _tally(budget: Budget) -> Iterator[tuple[str, int]]:
    """Ended trials by state; failures by their kind where the kind is known."""
    words = [word for word in budget.counts if word not in STATES]
    words.sort(key=lambda word: (word == "duplicate", word))
    states = ["COMPLETE", "PRUNED"] if words else ["COMPLETE", "PRUNED", "FAIL"]
    for word in [*states, *words]:
        if budget.counts.get(word):
            yield word, budget.counts[word]


# ---- a recipe in a few words


@lru_cache(maxsize=256)  # the screen asks again for every frame
def describe(recipe: str) -> str:
    """A recipe in a few words, such as ``ConvNet 32-32 64, dense 128, Adam 0.001, batch 64``; empty if it cannot.

    Args:
        recipe: The recipe as Python source.
    """
    try:
        tree: ast.expr = ast.parse(recipe, mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    model, training = _option(tree, "model"), _option(tree, "training")
    optimizer, batch = _option(training, "optimizer"), _option(training, "batch_size")
    parts = [
        _builder(model) if _called(model) == "HyperModel" else _body(_option(model, "body")),
        _dense(_option(model, "dense")),
        f"{_called(optimizer)} {_brief(_option(optimizer, 'learning_rate'))}".strip() if optimizer else "",
        f"batch {_brief(batch)}" if batch else "",
    ]
    return one_line(", ".join(part for part in parts if part))


def _option(call: ast.expr | None, name: str) -> ast.expr | None:
    if not isinstance(call, ast.Call):
        return None
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _called(call: ast.expr | None) -> str:
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def _brief(value: ast.expr | None) -> str:
    """A value as source; a fraction with three digits."""
    if isinstance(value, ast.Constant) and isinstance(value.value, float):
        return f"{value.value:.3g}"
    return ast.unparse(value) if value is not None else ""


def _body(body: ast.expr | None) -> str:
    if body is None or _called(body) != "ConvNet":
        return ast.unparse(body) if body is not None else ""
    stages = _option(body, "stages")
    said = [_stage(stage) for stage in stages.elts] if isinstance(stages, ast.Tuple | ast.List) else []
    return " ".join(["ConvNet", *said])


def _stage(stage: ast.expr) -> str:
    filters, convs = _option(stage, "filters"), _option(stage, "convs")
    if isinstance(filters, ast.Tuple | ast.List):
        return "-".join(_brief(width) for width in filters.elts)
    return f"{_brief(filters)}x{_brief(convs)}" if convs is not None else _brief(filters)


def _dense(dense: ast.expr | None) -> str:
    if not isinstance(dense, ast.Tuple | ast.List) or not dense.elts:
        return ""
    return "dense " + "-".join(_brief(_option(layer, "units")) or _called(layer) for layer in dense.elts)


def _builder(model: ast.expr | None) -> str:
    values = _option(model, "values")
    name = _brief(model.args[0]) if isinstance(model, ast.Call) and model.args else "build"
    if not isinstance(values, ast.Dict):
        return f"{name}(hp)"
    keys = (str(key.value) if isinstance(key, ast.Constant) else "" for key in values.keys)
    return f"{name}({', '.join(f'{key}={_brief(value)}' for key, value in zip(keys, values.values, strict=True))})"


# ---- plain lines


class PlainLines:
    """One line for each trial that starts or ends, and an epoch now and then; for pipes and logs.

    Args:
        metric: The metric of the objective, such as ``val_accuracy``.
        maximize: Whether more of it is better.
        study: The name of the study.
        best: The best trial so far, where the study goes on from earlier.
        every: Seconds between two lines about the epochs of one trial.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        metric: str,
        maximize: bool,
        study: str,
        *,
        best: Trial | None = None,
        every: float = 30.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._progress = _Progress(metric, maximize, best, clock)
        self._study = study
        self._every = every
        self._said: dict[int, float] = {}

    def __enter__(self) -> Self:
        """Nothing to prepare; it is a context manager so that it stands where a `LiveScreen` would."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to restore."""

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        say(f"{self._study}: {one_line(sentence)}")

    def started(self, trial: Trial, budget: Budget) -> None:
        """Print that a trial begins, and what it is."""
        self._progress.started(trial, budget)
        self._said[trial.number] = self._progress.clock()
        size = f"{count(trial.parameters)} parameters" if trial.parameters is not None else ""
        about = ", ".join(part for part in (describe(trial.recipe), size) if part)
        say(f"{_title(trial)} started{': ' if about else ''}{about}")

    def epoch(self, trial: Trial, epoch: Epoch, budget: Budget) -> None:
        """Print how far the trial is, if nothing was said of it for a while."""
        running = self._progress.epoch(trial, epoch, budget)
        now = self._progress.clock()
        if now - self._said.get(trial.number, -math.inf) < self._every:
            return
        self._said[trial.number] = now
        best = self._progress.best_of(running.values)
        say(
            f"{_title(trial)} epoch {_of(epoch.epoch, trial.epochs_budget)}: "
            f"{self._progress.metric} {score(running.values[-1])}, best {score(best)}"
        )

    def ended(self, trial: Trial, best: Trial | None, budget: Budget) -> None:
        """Print how the trial ended and how far the study is."""
        self._progress.ended(trial, best, budget)
        self._said.pop(trial.number, None)
        done = [f"{_title(trial)} {outcome(trial)}"]
        if trial.score is not None:
            done.append(f"{self._progress.metric} {score(trial.score)}")
        if trial.epochs:
            done.append(f"{_of(trial.epochs, trial.epochs_budget)} epochs")
        done.append(duration(trial.seconds))
        reason = f" ({one_line(trial.message)})" if trial.message else ""
        say(f"{', '.join(done)}{reason}; {self._state()}")

    def _state(self) -> str:
        progress = self._progress
        parts = [f"{_of(progress.budget.trials_done, progress.budget.trials)} trials"]
        if progress.best is not None:
            parts.append(f"best {score(progress.best.score)} by {one_line(progress.best.name)}")
        left = progress.time_left
        if left:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)


def _title(trial: Trial) -> str:
    return f"trial {trial.number} ({one_line(trial.baseline)})" if trial.baseline else f"trial {trial.number}"


def _of(done: int, total: int | None) -> str:
    return f"{done:,}/{total:,}" if total else f"{done:,}"


# ---- the live screen

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
        self._progress = _Progress(metric, maximize, best, clock)
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
        trials = _of(budget.trials_done, budget.trials)
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
        for word, number in _tally(self._progress.budget):
            said += [(f"{number:,} ", ""), (f"{word.lower()}  ", _STYLES.get(word, "red"))]
        return _fact("so far", *(said or [("none yet", "dim")]))

    def _running_lines(self, width: int, room: int) -> list[RenderableType]:
        """Two lines a running trial, as many as there is room for."""
        shown = list(self._progress.running.values())[: max((room - 1) // 2, 1)]
        lines = [line for running in shown for line in self._running(running, width)]
        return [_line(), *lines] if lines else []

    def _running(self, running: _Running, width: int) -> list[RenderableType]:
        trial = running.trial
        about = describe(trial.recipe)
        took = duration(self._progress.clock() - running.since)
        epochs = f"epoch {_of(running.epoch, trial.epochs_budget)}"
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
            _line((_of(trial.epochs, trial.epochs_budget), "dim")),
            _line((duration(trial.seconds), "dim")),
            _line((describe(trial.recipe) or one_line(trial.message), "dim")),
        )
    return shown
