"""Several trainings on one device: each goes on as it would alone, also where several are one call."""

import contextlib
import threading
from dataclasses import replace

import keras
import pytest
from sklearn.datasets import load_digits

from hpsearch import Adam, AdamW, Augment, ConvNet, Dense, Model, Recipe, Stage, Training
from hpsearch.data.parts import image_part
from hpsearch.resolve import from_answers
from hpsearch.training.build import build
from hpsearch.training.fit import NotFiniteError, fit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.pace import Pace
from hpsearch.training.saving import Saving
from hpsearch.training.watch import Leaving, Watch

INPUTS = image_inputs((8, 8, 1), 10, 255.0)
RECIPE = Recipe(
    model=Model(
        body=ConvNet(stages=[Stage(filters=4)], batchnorm="after_activation", dropout=0.1),
        dense=[Dense(units=8, dropout=0.3)],
    ),
    training=Training(
        epochs=3,
        batch_size=32,
        optimizer=AdamW(learning_rate=0.01, weight_decay=0.01),
        augment=Augment(flip="horizontal", translation=0.1),
        label_smoothing=0.1,
    ),
)


def with_rate(rate, dropout=0.3):
    """The recipe with other numbers, which is of the same shape."""
    return replace(
        RECIPE,
        model=replace(RECIPE.model, dense=[Dense(units=8, dropout=dropout)]),
        training=replace(RECIPE.training, optimizer=AdamW(learning_rate=rate, weight_decay=0.01)),
    )


class Noting(Watch):
    """Notes the epochs; ends training after one of them, or stops it before a step."""

    def __init__(self, halt_after=None, leave_at=None):
        self.halt_after, self.leave_at = halt_after, leave_at
        self.epochs = []

    def step(self, epoch, step, steps):
        return self.leave_at is not None and (epoch, step) >= self.leave_at

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "halt" if epoch.epoch == self.halt_after else "go"


class Trial:
    """A training, to be done alone or beside others; the network is built when it is made."""

    def __init__(self, recipe, seed, digits, watch=None, saving=None):
        keras.utils.set_random_seed(seed)
        self.built = build(recipe, INPUTS, from_answers({}))
        self.seed, self.digits, self.saving = seed, digits, saving
        self.watch = watch or Noting()
        self.outcome = self.error = None

    def train(self):
        try:
            self.outcome = fit(
                self.built,
                *self.digits,
                INPUTS,
                metric="val_accuracy",
                maximize=True,
                seed=self.seed,
                watch=self.watch,
                saving=self.saving,
                engine="device",
            )
        except (NotFiniteError, Leaving) as error:
            self.error = error
        return self

    @property
    def epochs(self):
        return [epoch.metrics for epoch in self.watch.epochs]


def beside_each_other(trials):
    """Train them at the same time; none begins before all are there."""
    from hpsearch.training.turns import Turns

    there, among = threading.Barrier(len(trials), timeout=300), Turns.among

    @contextlib.contextmanager
    def all_among(turns, program):
        with among(turns, program):
            there.wait()
            yield

    with pytest.MonkeyPatch.context() as changes:
        changes.setattr(Turns, "among", all_among)
        return _beside_each_other(trials)


def _beside_each_other(trials):
    threads = [threading.Thread(target=trial.train) for trial in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return trials


def same(found, wanted, tolerance=1e-3):
    assert len(found) == len(wanted)
    for mine, its in zip(found, wanted, strict=True):
        assert mine == pytest.approx(its, rel=tolerance, abs=tolerance)


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    images, labels = (found.images * 15).astype("uint8")[..., None], found.target.astype("int64")
    return image_part(images[:150], labels[:150]), image_part(images[150:260], labels[150:260])


@pytest.mark.jax
class TestTogether:
    @pytest.fixture(params=[True, False], ids=["looped", "step by step"])
    def widths(self, request, monkeypatch):
        """How many were done together, call by call, where that always is said to pay."""
        from hpsearch.training import by_device, turns

        monkeypatch.setattr(by_device, "loops_on_device", lambda: request.param)
        monkeypatch.setattr(Pace, "pays", lambda pace, width, left: True)
        monkeypatch.setattr(turns, "GATHER", 60.0)  # those that are on their way are waited for, however slow it is
        monkeypatch.setattr(turns, "TURNS", turns.Turns())
        monkeypatch.setattr(by_device, "TURNS", turns.TURNS)
        found, do = [], turns._do_together
        monkeypatch.setattr(turns, "_do_together", lambda group: found.append(len(group)) or do(group))
        return found

    def alone(self, monkeypatch, trial):
        with monkeypatch.context() as changes:
            changes.setattr(Pace, "pays", lambda pace, width, left: False)
            return trial.train()

    def test_each_goes_on_as_it_would_alone(self, digits, widths, monkeypatch):
        recipes = [with_rate(0.01), with_rate(0.003, 0.5), with_rate(0.01), with_rate(0.02)]
        wanted = [self.alone(monkeypatch, Trial(recipe, 5 + at, digits)) for at, recipe in enumerate(recipes)]
        assert widths == []
        found = beside_each_other([Trial(recipe, 5 + at, digits) for at, recipe in enumerate(recipes)])
        assert 4 in widths
        for mine, its in zip(found, wanted, strict=True):
            same(mine.epochs, its.epochs)
            assert mine.outcome.score == its.outcome.score
        assert wanted[0].epochs != wanted[2].epochs, "they have different seeds"

    def test_a_loss_that_is_lost_is_one_training_s_own(self, digits, widths, monkeypatch):
        wanted = self.alone(monkeypatch, Trial(with_rate(0.01), 5, digits))
        found, lost = beside_each_other([Trial(with_rate(0.01), 5, digits), Trial(with_rate(1e30), 6, digits)])
        assert 2 in widths
        assert isinstance(lost.error, NotFiniteError)
        same(found.epochs, wanted.epochs)

    def test_one_that_is_given_up_leaves_its_place(self, digits, widths, monkeypatch):
        wanted = self.alone(monkeypatch, Trial(with_rate(0.01), 5, digits))
        watches = [Noting(), Noting(halt_after=1), Noting(), Noting(halt_after=1)]
        trials = beside_each_other([Trial(with_rate(0.01), 5 + at, digits, watch) for at, watch in enumerate(watches)])
        assert [len(trial.epochs) for trial in trials] == [3, 1, 3, 1]
        assert 4 in widths
        assert widths[-1] == 2
        same(trials[0].epochs, wanted.epochs)

    def test_one_that_is_stopped_goes_on_alone(self, digits, widths, monkeypatch, tmp_path):
        monkeypatch.setattr("hpsearch.training.by_device.FIRST", 1)
        monkeypatch.setattr("hpsearch.training.by_device.BEAT", 0.0)  # whoever watches is asked at each step
        wanted = self.alone(monkeypatch, Trial(with_rate(0.01), 5, digits))
        saving = Saving(tmp_path, "recipe")
        stopped, other = beside_each_other(
            [
                Trial(with_rate(0.01), 5, digits, Noting(leave_at=(2, 2)), saving),
                Trial(with_rate(0.01), 6, digits),
            ]
        )
        assert isinstance(stopped.error, Leaving)
        assert len(other.epochs) == 3
        assert 2 in widths
        rest = self.alone(monkeypatch, Trial(with_rate(0.01), 5, digits, saving=saving))
        same(stopped.epochs + rest.epochs, wanted.epochs)

    def test_what_cannot_be_done_together_is_done_one_after_the_other(self, digits, widths, monkeypatch):
        from hpsearch.training.programs import Program

        def fail(*given):
            raise MemoryError("no room for two")

        monkeypatch.setattr(Program, "together", fail)
        monkeypatch.setattr(Pace, "pays", lambda pace, width, left: width not in pace.together)
        wanted = [self.alone(monkeypatch, Trial(with_rate(0.01), seed, digits)) for seed in (5, 6)]
        found = beside_each_other([Trial(with_rate(0.01), seed, digits) for seed in (5, 6)])
        assert 2 in widths
        for mine, its in zip(found, wanted, strict=True):
            same(mine.epochs, its.epochs)

    def test_others_take_turns(self, digits, widths, monkeypatch):
        other = replace(RECIPE, training=replace(RECIPE.training, optimizer=Adam(learning_rate=0.01)))
        wanted = [self.alone(monkeypatch, Trial(recipe, 5, digits)) for recipe in (RECIPE, other)]
        found = beside_each_other([Trial(RECIPE, 5, digits), Trial(other, 5, digits)])
        assert widths == []
        for mine, its in zip(found, wanted, strict=True):
            same(mine.epochs, its.epochs)

    def test_one_that_waits_is_asked_now_and_then_and_can_be_stopped(self, monkeypatch):
        from hpsearch.training import turns as module

        monkeypatch.setattr(module, "PATIENCE", 0.01)
        turns, raised, asked = module.Turns(), [], []
        piece = module.Piece(None, "train", None, (), None, None, range(8), 32, 8)

        def tell():
            asked.append(1)
            if len(asked) == 3:
                raise Leaving(None)

        def wait():
            try:
                turns.take(piece, tell)
            except Leaving as error:
                raised.append(error)

        thread = threading.Thread(target=wait)
        with turns.alone():  # until it has given up
            thread.start()
            thread.join(60)
            assert len(raised) == 1
        assert (piece.count, len(asked)) == (0, 3)
        with turns.alone():
            pass  # nothing of it is left in the way


class TestPace:
    """What is done together is what was measured to be faster."""

    @pytest.fixture
    def pace(self):
        pace = Pace()
        pace.took(8, 10.0)  # compiled
        pace.took(100, 1.0)
        return pace

    def test_nothing_is_tried_before_it_is_known_how_long_it_takes_alone(self):
        pace = Pace()
        assert not pace.pays(2, 10**6)
        pace.took(8, 10.0)
        assert not pace.pays(2, 10**6)

    def test_it_is_tried_only_where_enough_is_left_to_make_up_for_compiling(self, pace):
        assert not pace.pays(2, 2000)
        assert pace.pays(2, 4000)

    def test_the_first_piece_is_compiled_and_counts_for_nothing(self, pace):
        pace.took_together(2, 8, 12.0)
        assert pace.pays(2, 0)
        pace.took_together(2, 100, 1.1)
        assert pace.pays(2, 0)

    @pytest.mark.parametrize(("seconds", "pays"), [(1.7, True), (1.9, False), (9.0, False)])
    def test_together_it_has_to_be_faster_than_one_after_the_other(self, pace, seconds, pays):
        for _ in range(2):
            pace.took_together(2, 100, seconds)
        assert pace.pays(2, 10**6) == pays

    def test_what_failed_is_not_tried_again(self, pace):
        pace.failed_together(4)
        assert not pace.pays(4, 10**9)
        assert pace.pays(2, 10**9)

    @pytest.mark.jax
    def test_the_most_that_go_together_are_powers_of_two(self):
        from hpsearch.training.turns import _widths

        assert [_widths(most) for most in (1, 2, 3, 4, 11)] == [[], [2], [2], [4, 2], [8, 4, 2]]
