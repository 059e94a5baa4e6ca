"""What is shown of a run: the plain lines, the live screen, and how long it will take."""

import io
import math
import re

import pytest
from rich.console import Console

from hpsearch.cli.brief import describe
from hpsearch.cli.lines import PlainLines
from hpsearch.cli.progress import time_left
from hpsearch.cli.screen import LiveScreen
from hpsearch.events import Budget, Watcher
from hpsearch.study import Epoch, Trial

RECIPE = """Recipe(
    model=Model(
        body=ConvNet(stages=(Stage(filters=(32, 64)), Stage(filters=16, convs=2), Stage(filters=8))),
        dense=(Dense(units=128), Dense(units=64)),
    ),
    training=Training(epochs=4, batch_size=64, optimizer=Adam(learning_rate=0.0034213)),
)"""
ABOUT = "ConvNet 32-64 16x2 8, dense 128-64, Adam 0.00342, batch 64"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def screen_of(width: int, height: int = 24) -> Console:
    """A terminal in memory."""
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
    )


def said(console: Console) -> str:
    """What was printed, without the codes for bold and dim."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


def shown(screen: LiveScreen, width: int, height: int = 24) -> list[str]:
    """The lines of a screen as of now."""
    console = screen_of(width, height)
    console.print(screen.frame(width, height))
    return said(console).splitlines()


def play(watcher: Watcher, clock: Clock, name: str | None = None) -> None:
    """One trial that ends, one that fails, and one that is two epochs under way."""
    first = Trial(number=0, baseline=name, recipe=RECIPE, epochs_budget=4, parameters=3_253_068)
    watcher.started(first, Budget(0, 4, 0.0, 3600.0))
    for number, value in enumerate((0.5, math.nan, 0.9), start=1):
        clock.now += 20
        watcher.epoch(first, Epoch(number, 20.0, {"val_accuracy": value}), Budget(0, 4, 20.0 * number, 3600.0))
    first.state, first.score, first.seconds, first.epochs = "COMPLETE", 0.9, 60.0, 3
    watcher.ended(first, first, Budget(1, 4, 60.0, 3600.0, {"COMPLETE": 1}))
    second = Trial(number=1, recipe=RECIPE, epochs_budget=4)
    watcher.started(second, Budget(1, 4, 60.0, 3600.0, {"COMPLETE": 1}))
    second.state, second.failure, second.message = "FAIL", "out_of_memory", "[red]no[/red]\nmemory"
    counts = {"COMPLETE": 1, "out_of_memory": 1}
    watcher.ended(second, first, Budget(2, 4, 60.0, 3600.0, counts))
    third = Trial(number=2, recipe=RECIPE, epochs_budget=4)
    watcher.started(third, Budget(2, 4, 60.0, 3600.0, counts))
    for number, value in enumerate((0.4, 0.3), start=1):
        clock.now += 10
        watcher.epoch(
            third, Epoch(number, 10.0, {"val_accuracy": value}), Budget(2, 4, 60.0 + 10 * number, 3600.0, counts)
        )


# ---- how long


@pytest.mark.parametrize(
    ("budget", "seconds", "under_way", "left"),
    [
        (Budget(0, None, 0.0, None), 50.0, 0.5, None),
        (Budget(0, 10, 0.0, None), 50.0, 0.0, None),
        (Budget(0, 10, 0.0, None), 50.0, 0.5, 950.0),
        (Budget(5, 10, 0.0, None), 50.0, 0.0, 50.0),
        (Budget(5, 10, 0.0, 60.0), 50.0, 0.0, 10.0),
        (Budget(5, 10, 0.0, 1e6), 50.0, 0.0, 50.0),
        (Budget(12, 10, 0.0, 40.0), 50.0, 0.0, 0.0),
    ],
)
def test_time_left(budget: Budget, seconds: float, under_way: float, left: float | None) -> None:
    assert time_left(budget, seconds, under_way) == left


# ---- in a few words


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (RECIPE, ABOUT),
        (
            "Recipe(model=Model(body=MobileNetV2(alpha=0.35)), training=Training(epochs=1))",
            "MobileNetV2(alpha=0.35)",
        ),
        (
            "Recipe(model=HyperModel(build, values={'units': 8, 'rate': 0.123456}), training=Training(epochs=1))",
            "build(units=8, rate=0.123)",
        ),
        ("Recipe(model=HyperModel(build), training=Training(epochs=1))", "build(hp)"),
        ("Recipe(model=Model(body=Mine()), training=Training(epochs=1, optimizer=SGD()))", "Mine(), SGD"),
        ("", ""),
        ("not python (", ""),
        ("[1, 2]", ""),
    ],
)
def test_a_recipe_in_a_few_words(recipe: str, words: str) -> None:
    assert describe(recipe) == words


# ---- plain lines


def test_plain_lines_say_start_end_and_epochs_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with PlainLines("val_accuracy", True, "digits", every=30.0, clock=clock) as lines:
        lines.note("[red]resumed[/red]\nhere")
        play(lines, clock, "by_hand")
    assert capsys.readouterr().out.splitlines() == [
        "digits: [red]resumed[/red] here",
        f"trial 0 (by_hand) started: {ABOUT}, 3,253,068 parameters",
        "trial 0 (by_hand) epoch 2/4: val_accuracy -, best 0.5000",
        (
            "trial 0 (by_hand) COMPLETE, val_accuracy 0.9000, 3/4 epochs, 1m 00s; 1/4 trials, best 0.9000 by by_hand, "
            "about 3m 00s left"
        ),
        f"trial 1 started: {ABOUT}",
        (
            "trial 1 FAIL: out_of_memory, 0.0s ([red]no[/red] memory); 2/4 trials, best 0.9000 by by_hand, "
            "about 1m 00s left"
        ),
        f"trial 2 started: {ABOUT}",
    ]


def test_plain_lines_for_a_loss_without_any_limit(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = PlainLines("val_loss", False, "digits", every=0.0, clock=clock)
    trial = Trial(number=0)
    lines.started(trial, Budget(0, None, 0.0, None))
    lines.epoch(trial, Epoch(1, 1.0, {"val_loss": 0.5}), Budget(0, None, 1.0, None))
    lines.epoch(trial, Epoch(2, 1.0, {"val_loss": 0.7}), Budget(0, None, 2.0, None))
    assert capsys.readouterr().out.splitlines() == [
        "trial 0 started",
        "trial 0 epoch 1: val_loss 0.5000, best 0.5000",
        "trial 0 epoch 2: val_loss 0.7000, best 0.5000",
    ]


# ---- the live screen


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_screen_shows_what_matters_and_fits(width: int) -> None:
    clock = Clock()
    screen = LiveScreen("val_accuracy", True, "digits", clock=clock)
    play(screen, clock, "by_hand")
    lines = shown(screen, width)
    text = "\n".join(lines)
    assert max(map(len, lines)) < width
    assert len(lines) < 24
    assert lines[0] == "digits  max val_accuracy"
    assert "2/4" in lines[1]
    assert "1m 20s of 1h 00m, about 48s left" in lines[2]
    assert "0.9000  by_hand" in text
    assert "1 complete  1 out_of_memory" in text
    assert "epoch 2/4  █▁  0.3000, best 0.4000  20s" in text
    assert text.index("FAIL: out_of_memory") < text.index("COMPLETE")


def test_clocks_go_on_between_two_epochs() -> None:
    clock = Clock()
    screen = LiveScreen("val_accuracy", True, "digits", clock=clock)
    play(screen, clock)
    clock.now += 100
    assert "3m 00s of 1h 00m" in shown(screen, 80)[2]


def test_an_empty_screen_and_one_that_goes_on_from_earlier() -> None:
    screen = LiveScreen("val_loss", False, "digits", clock=Clock())
    assert "none yet" in "\n".join(shown(screen, 80))
    best = Trial(number=7, score=0.25, recipe=RECIPE)
    assert "0.2500  7" in "\n".join(shown(LiveScreen("val_loss", False, "digits", best=best), 80))


@pytest.mark.parametrize(("width", "height"), [(80, 10), (20, 5), (1, 1)])
def test_a_tiny_terminal_is_survived(width: int, height: int) -> None:
    clock = Clock()
    screen = LiveScreen("val_accuracy", True, "digits", clock=clock)
    play(screen, clock)
    assert shown(screen, width, height)


def test_many_running_trials_leave_the_head_on_the_screen() -> None:
    screen = LiveScreen("val_accuracy", True, "digits", clock=Clock())
    for number in range(30):
        screen.started(Trial(number=number, recipe=RECIPE, epochs_budget=4), Budget(0, 40, 0.0, None))
    lines = shown(screen, 80)
    assert len(lines) <= 24
    assert "running   0" in "\n".join(lines)


def test_markup_of_users_is_shown_as_it_is() -> None:
    clock = Clock()
    screen = LiveScreen("val_accuracy", True, "[red]study", clock=clock)
    play(screen, clock, "[/bold] :smile:")
    text = "\n".join(shown(screen, 120))
    assert "[red]study" in text
    assert "[/bold] :smile: *" in text


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_terminal_is_given_back_however_it_ends(error: type[BaseException]) -> None:
    clock, console = Clock(), screen_of(80)

    def interrupted() -> None:
        with LiveScreen("val_accuracy", True, "digits", clock=clock, console=console) as screen:
            screen.note("goes on [red]here[/red]")
            play(screen, clock)
            raise error

    with pytest.raises(error):
        interrupted()
    text = said(console)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor was hidden and is shown again
    assert "goes on [red]here[/red]" in text
    assert "running" not in text[text.rindex("1 complete") :]


def test_a_note_outside_the_screen_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    LiveScreen("val_accuracy", True, "digits").note("before")
    assert capsys.readouterr().out == "before\n"


def test_a_screen_that_changed_its_width_is_drawn_anew() -> None:
    clock, console = Clock(), screen_of(120)
    with LiveScreen("val_accuracy", True, "digits", clock=clock, console=console) as screen:
        play(screen, clock)
        console.width = 80
        screen.note("narrower")
    assert "\x1b[2J" in said(console)
