"""What is shown of a run: the plain lines and the live screen."""

import io
import math
import re
from typing import Any

import pytest
from rich.console import Console

from hpsearch.brief import describe
from hpsearch.cli.lines import PlainLines
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


# ---- in a few words

TRAINED = """Recipe(
    model=Model(body=Mine()),
    training=Training(epochs=4, batch_size=64, {}),
)"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("schedule=None, label_smoothing=0.0, class_weight=None, early_stopping=3", ""),
        ("schedule=Plateau(patience=2)", ", Plateau"),
        ("schedule=Cosine(warmup=0.1), label_smoothing=0.1", ", Cosine, smoothing 0.1"),
        ("schedule=Triangular(), bias_rate=64, average=0.99", ", Triangular, bias rate 64, averaged 0.99"),
        ("augment=Augment(flip='horizontal'), class_weight='balanced'", ", augmented, balanced"),
        ("augment=Augment(rotation=0.1, copies=3), class_weight=(1.0, 2.0)", ", 3 augmented copies, class weights"),
        ("clip_norm=1.0, loss='huber', precision='mixed_float16'", ", clip 1, huber, mixed_float16"),
        ("fine_tune=FineTune(epochs=3), schedule=OneCycle()", ", then all at 1e-05, OneCycle"),
    ],
)
def test_what_differs_from_the_usual_training_comes_last(options: str, words: str) -> None:
    assert describe(TRAINED.format(options)) == f"Mine(), batch 64{words}"


def test_weight_decay_is_told_where_it_is_said() -> None:
    options = "optimizer=AdamW(learning_rate=0.001, weight_decay=0.01)"
    assert describe(TRAINED.format(options)) == "Mine(), AdamW 0.001, batch 64, decay 0.01"


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


TWO_INPUTS = """
    front=Branch(body=ConvNet(stages=(Stage(filters=16), Stage(filters=32)))), table=Branch(dense=(Dense(units=8),))
"""
FOUR_BRANCHES = """
    a=Branch(body=Mine(), input='front'), b=Branch(input='back'), table=Branch(),
    c=Branch(body=ConvNet(stages=(Stage(filters=4),)), input=Tiled('front', 'back'))
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("body=None, dense=(Dense(units=8),)", "table, dense 8"),
        ("body=None, input='front'", "front"),
        (f"body=Concat({TWO_INPUTS}, yard=None)", "front ConvNet 16 32 + table dense 8"),
        (f"body=Concat({TWO_INPUTS}), dense=(Dense(units=32),)", "front ConvNet 16 32 + table dense 8, dense 32"),
        (f"body=Concat({FOUR_BRANCHES})", "a Mine() + b back + table + c ConvNet 4"),
        ("body=Pretrained('trained/front.keras', until='pool')", "Pretrained front.keras until pool"),
        ("body=Pretrained('front.keras', frozen=False)", "Pretrained front.keras unfrozen"),
    ],
)
def test_a_model_in_a_few_words(options: str, words: str) -> None:
    assert describe(f"Recipe(model=Model({options}), training=Training(epochs=1))") == words


@pytest.mark.parametrize(
    ("tuning", "words"),
    [
        ("None", "Mine()"),
        ("FineTune(epochs=3)", "Mine(), then all at 1e-05"),
        ("FineTune(epochs=3, unfreeze_last=20, learning_rate=0.0001)", "Mine(), then last 20 at 0.0001"),
    ],
)
def test_a_second_phase_in_a_few_words(tuning: str, words: str) -> None:
    assert describe(f"Recipe(model=Model(body=Mine()), training=Training(epochs=1, fine_tune={tuning}))") == words


# ---- plain lines


def test_plain_lines_say_start_end_and_epochs_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with PlainLines("val_accuracy", True, "digits", every=30.0, clock=clock) as lines:
        lines.note("[red]resumed[/red]\nhere")
        play(lines, clock, "by_hand")
    assert capsys.readouterr().out.splitlines() == [
        "digits: [red]resumed[/red] here",
        f"trial 0 (by_hand) started: {ABOUT}, 3,253,068 parameters",
        "trial 0 (by_hand) epoch 2/4: val_accuracy -, best 0.5000, about 40s left",
        (
            "trial 0 (by_hand) COMPLETE, val_accuracy 0.9000, 3/4 epochs, 1m 00s; 1/4 trials, best 0.9000 by by_hand, "
            "about 3m 00s left"
        ),
        f"trial 1 started: {ABOUT}",
        (
            "trial 1 FAIL: out_of_memory, 0.0s ([red]no[/red] memory); 2/4 trials, best 0.9000 by by_hand, "
            "about 2m 00s left"
        ),
        f"trial 2 started: {ABOUT}",
        "digits: 1 complete; 1 failed: 1 out_of_memory; max val_accuracy 0.9000 by by_hand; 1m 20s of 1h 00m used",
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


def test_plain_lines_tell_what_is_left_open_and_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    budget = Budget(0, None, 0.0, None, {}, slots=2)
    with PlainLines("val_accuracy", True, "digits", clock=clock) as lines:
        new = Trial(number=0, device="gpu 0", attempts=1, epochs_budget=30)
        lines.started(new, budget)
        lines.left(new, "the worker process was ended\nby signal 9")
        new.attempts = 2
        lines.started(new, budget)
        going_on = Trial(number=1, epochs=3, epochs_budget=30, attempts=2, parent=7)
        lines.started(going_on, budget)
        lines.left(going_on, "the run stops")
        lines.started(Trial(number=2, epochs=3, epochs_budget=9, attempts=1, parent=7), budget)
        lines.started(Trial(number=3, epochs=9, epochs_budget=9, attempts=2), budget)
    assert capsys.readouterr().out.splitlines() == [
        "trial 0 started: gpu 0",
        "trial 0 interrupted: the worker process was ended by signal 9; it begins again",
        "trial 0 started again: gpu 0",
        "trial 1 goes on at epoch 4 of 30",
        "trial 1 interrupted after 3/30 epochs: the run stops; it goes on from there",
        "trial 2 goes on at epoch 4 of 9 from trial 7",
        "trial 3 goes on after its last epoch",
        "digits: 1 interrupted; 0.0s used",
    ]


def test_plain_lines_say_once_that_they_are_paused_and_once_that_they_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines("val_accuracy", True, "digits", clock=Clock())
    for reason in ("", "the disk\nis full", "the disk is full", "", ""):
        lines.paused(reason)
    assert capsys.readouterr().out.splitlines() == ["digits: paused: the disk is full", "digits: goes on"]


def test_plain_lines_of_many_slots_are_no_more_than_those_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = PlainLines("val_accuracy", True, "digits", every=30.0, clock=clock)
    budget = Budget(0, None, 0.0, None, slots=16)
    trials = [Trial(number=number) for number in range(16)]
    for trial in trials:
        lines.started(trial, budget)
    for epoch in range(1, 97):
        clock.now += 10.0
        for trial in trials:
            lines.epoch(trial, Epoch(epoch, 10.0, {"val_accuracy": 0.5}), budget)
    assert capsys.readouterr().out.count("epoch") == 960 / 30


def test_plain_lines_name_the_patience_and_what_ends_the_study_at_the_latest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = PlainLines("val_accuracy", True, "digits", clock=Clock())
    trial = Trial(number=0, state="PRUNED", epochs=2, seconds=10.0, score=0.5)
    lines.ended(trial, trial, Budget(1, 4, 10.0, None, patience=40, without_improvement=12))
    assert capsys.readouterr().out.endswith("12 of 40 without improvement, at most 30s left\n")


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
    assert "1m 20s of 1h 00m, about 1m 20s left" in lines[2]
    assert "0.9000  by_hand" in text
    assert "1 complete  1 failed: 1 out_of_memory" in text
    assert re.search(r"^2 .* 2/4  0\.4000 .* 20s  ConvNet 32", text, re.MULTILINE)
    assert ("█▁" in text) == (width >= 80)
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


def started(slots: int, running: int, **more: Any) -> LiveScreen:
    """A screen of some slots with trials in their first epochs."""
    clock = Clock()
    screen = LiveScreen("val_accuracy", True, "digits", clock=clock)
    budget = Budget(0, 40, 0.0, None, slots=slots, **more)
    for number in range(running):
        trial = Trial(
            number=number, recipe=RECIPE, epochs_budget=4, device=f"gpu {number // 2}" if slots > 1 else "cpu"
        )
        screen.started(trial, budget)
        screen.epoch(trial, Epoch(1, 10.0, {"val_accuracy": number / 100}), budget)
    return screen


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("slots", [1, 4, 16])
def test_every_slot_has_a_line(slots: int, width: int) -> None:
    lines = shown(started(slots, slots), width, 40)
    assert max(map(len, lines)) < width
    place = next(place for place, line in enumerate(lines) if line.startswith("running"))
    rows = [line.split() for line in lines[place + 1 : place + 1 + slots]]
    assert [row[0] for row in rows] == [str(number) for number in range(slots)]
    assert [row[row.index("1/4") + 1] for row in rows] == [f"{number / 100:.4f}" for number in range(slots)]
    assert all("30s" in row for row in rows), "three epochs of ten seconds are left"
    assert ("device" in lines[place]) == (slots > 1)
    assert lines[place].startswith(f"running {slots}/{slots}" if slots > 1 else "running ")
    assert ("ConvNet" in lines[place + 1]) == (width > 60 or slots == 1)


def test_trials_that_were_enqueued_beyond_the_budget_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    clock, budget = Clock(), Budget(9, 8, 5.0, None)
    screen, plain = (make("val_accuracy", True, "digits", clock=clock) for make in (LiveScreen, PlainLines))
    for watcher in (screen, plain):
        trial = Trial(number=8, state="COMPLETE", score=0.5, seconds=5.0)
        watcher.started(trial, Budget(8, 8, 0.0, None))
        watcher.ended(trial, trial, budget)
    for width in (34, 60):
        (head,) = [text for text in shown(screen, width) if text.startswith("trials")]
        assert head.endswith("  8/8 + 1 more")
    assert "8/8 + 1 more trials, best 0.5000 by 8" in capsys.readouterr().out


@pytest.mark.parametrize("height", [10, 24])
def test_many_running_trials_leave_the_head_on_the_screen(height: int) -> None:
    lines = shown(started(30, 30), 80, height)
    assert len(lines) <= height
    assert lines[0].startswith("digits")
    rows = [line for line in lines if re.match(r"\d+ +gpu", line)]
    assert rows
    assert f"… {30 - len(rows)} more" in "\n".join(lines)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_screen_says_what_else_ends_the_study(width: int) -> None:
    more = {"until": "val_accuracy>=0.95", "patience": 40, "without_improvement": 12}
    text = " ".join(" ".join(shown(started(2, 2, **more), width)).split())
    assert "until val_accuracy>=0.95, or 40 trials without improvement (12 so far) best" in text
    assert "at most" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_failures_are_counted_by_kind_in_full(width: int) -> None:
    kinds = {"out_of_memory": 12, "not_finite": 3, "crashed": 2, "timed_out": 2, "invalid_model": 1}
    lines = shown(started(1, 1, counts={"COMPLETE": 30, "PRUNED": 4, **kinds}), width)
    assert max(map(len, lines)) < width
    said = " ".join(" ".join(lines).split())
    whole = "20 failed: 12 out_of_memory, 3 not_finite, 2 crashed, 2 timed_out, 1 invalid_model 4 pruned"
    assert f"so far 30 complete {whole} running" in said


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_pause_is_shown_until_it_is_over(width: int) -> None:
    screen = started(2, 2)
    assert "left" in shown(screen, width)[2]
    reason = "the disk of results is full: 1.24 GB are wanted and 12.0 MB are free; make room and it goes on"
    screen.paused(reason)
    lines = shown(screen, width)
    assert max(map(len, lines)) < width
    assert lines[1].startswith(" PAUSED: the disk")
    assert reason in " ".join(" ".join(lines).split())
    assert not any("about" in line for line in lines), "nobody knows how long a pause takes"
    screen.paused("")
    assert "PAUSED" not in "\n".join(shown(screen, width))


def test_a_trial_that_was_left_is_said_above_and_counted_until_it_goes_on() -> None:
    clock, console = Clock(), screen_of(80)
    budget = Budget(0, 4, 0.0, None)
    trial = Trial(number=5, recipe=RECIPE, epochs=3, epochs_budget=4)
    with LiveScreen("val_accuracy", True, "digits", clock=clock, console=console) as screen:
        screen.started(trial, budget)
        screen.left(trial, "the worker process hung")
        assert "1 interrupted" in "\n".join(shown(screen, 80))
        assert not any(line.startswith("running") for line in shown(screen, 80))
        screen.started(trial, budget)
        assert "interrupted" not in "\n".join(shown(screen, 80))
        screen.left(trial, "the run stops")
    text = said(console)
    assert "trial 5 interrupted after 3/4 epochs: the worker process hung" in text
    assert "1 interrupted" in text[text.rindex("so far") :], "the last screen says what is left to do"


def test_a_trial_that_is_dropped_runs_no_more_and_counts_for_nothing() -> None:
    clock, console = Clock(), screen_of(80)
    budget = Budget(0, 4, 0.0, None)
    trial = Trial(number=5, recipe=RECIPE, epochs_budget=4, message="the weights of VGG16 cannot be had")
    with LiveScreen("val_accuracy", True, "digits", clock=clock, console=console) as screen:
        screen.started(trial, budget)
        assert any(line.startswith("running") for line in shown(screen, 80))
        screen.dropped(trial)
        lines = shown(screen, 80)
    assert not any(line.startswith("running") for line in lines)
    assert not any("interrupted" in line or "VGG16" in line for line in lines)


def test_plain_lines_tell_of_a_dropped_trial_where_they_told_that_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines("val_accuracy", True, "digits", clock=Clock()) as lines:
        begun = Trial(number=1, message="the weights of VGG16 cannot be had")
        lines.started(begun, Budget(0, None, 0.0, None))
        lines.dropped(begun)
        lines.dropped(Trial(number=2, message="the recipe of trial 0"))
    assert capsys.readouterr().out.splitlines()[:2] == [
        "trial 1 started",
        "trial 1 left out: the weights of VGG16 cannot be had",
    ]


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
