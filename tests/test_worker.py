"""A worker over its pipe: what it is told, what it answers, and when it ends."""

import itertools
import json
import os
import random
import signal
import time

import numpy as np
import pytest

from hpsearch.errands import Inspect
from hpsearch.errors import InputError, RunError
from hpsearch.executors.local import LocalWorker, WorkerDied
from hpsearch.launch import answered, prepared_worker
from hpsearch.messages import (
    Beat,
    Chosen,
    Continued,
    Drop,
    EpochDone,
    Failed,
    Go,
    Halt,
    Leave,
    Left,
    Measured,
    NoRoom,
    Resolved,
    Setup,
    Suggest,
    Train,
    Trained,
)
from hpsearch.study.checkpoints import CHECKPOINT, PREVIOUS
from hpsearch.study.trial import TrialFolder
from hpsearch.training.checkpoint import read_checkpoints, saved_epochs

SPACE = """
space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=one_of(2, 4))]), pooling=one_of("flatten", "average")),
        training=Training(epochs=5, batch_size=64, optimizer=SGD(learning_rate=one_of(0.1, 1e38))),
    ),
    baselines={
        "by_hand": Recipe(
            model=Model(body=ConvNet(stages=[Stage(filters=2)])),
            training=Training(epochs=5, batch_size=64, optimizer=SGD(learning_rate=0.1)),
        )
    },
)
"""
ANSWERS = {
    "model.body.stages[0].filters": 2,
    "model.pooling": "flatten",
    "training.optimizer.learning_rate": 0.1,
}


@pytest.fixture(scope="module")
def ready(nothing_from_outside, tmp_path_factory, write_space):
    """A worker with a space and its data, and what it said of them."""
    space = write_space(tmp_path_factory.mktemp("worker") / "mine.py", SPACE)
    worker, ready = prepared_worker(Setup(space, space.parent, subset=200))
    yield worker, ready
    worker.close()
    assert not worker.alive


@pytest.fixture
def train(ready, tmp_path):
    """Train a trial, each message answered as the table says; returns what was heard but for signs of life."""
    worker, _ = ready
    numbers = itertools.count()

    def train(replies=None, answers=ANSWERS, folder=None, **options):
        folder = folder or tmp_path / str(next(numbers))
        folder.mkdir(exist_ok=True)
        return conversation(worker, folder, replies, answers, **options)

    return train


def conversation(worker, folder, replies=None, answers=ANSWERS, seed=1, **options):
    """Have a trial trained, and do what a coordinator does, until the worker says how it ended.

    What it is answered may be a function of what it said, and several messages at once.
    """
    said = {Resolved: Go(), Measured: Go(), Continued: Go(), EpochDone: Go(), **(replies or {})}
    record = TrialFolder(folder)
    heard = []
    worker.send(Train(seed, folder, **options))
    while True:
        message = worker.receive()
        if isinstance(message, Beat) and Beat not in said:
            continue
        heard.append(message)
        if isinstance(message, Suggest):
            worker.send(Chosen(answers[message.parameter.name]))
            continue
        if type(message) not in said:
            return heard
        if isinstance(message, EpochDone):
            record.cut_history(message.epoch.epoch - 1)
            record.append(message.epoch)
        reply = said[type(message)]
        reply = reply(message) if callable(reply) else reply
        for each in reply if isinstance(reply, list) else [reply]:
            worker.send(each)


def kinds(heard):
    return [type(message).__name__ for message in heard]


def test_what_is_ready(ready):
    _, found = ready
    assert found.train_images == 200
    assert found.validation_images == 100
    assert found.class_names == tuple("0123456789")
    assert found.summary.size == 8
    assert found.baseline_costs == {"by_hand": 2 * (9 * 2 * 64 + 4 * 4 * 2 * 10)}
    assert found.device == "cpu"
    assert set(found.versions) >= {"python", "keras", "backend"}


def test_a_trial_to_its_end(train):
    heard = train(epochs=2)
    assert kinds(heard) == ["Suggest"] * 3 + ["Resolved", "Measured", "EpochDone", "EpochDone", "Trained"]
    assert [message.parameter.name for message in heard[:3]] == list(ANSWERS)
    resolved, measured = heard[3:5]
    assert resolved.recipe.startswith("Recipe(")
    assert resolved.epochs == 2
    assert resolved.unique
    assert measured.parameters == (9 + 1) * 2 + (32 + 1) * 10
    assert measured.flops == 2 * (9 * 2 * 64 + 4 * 4 * 2 * 10)
    assert measured.memory > 4 * measured.parameters
    assert heard[-1].score == max(epoch.epoch.metrics["val_accuracy"] for epoch in heard[5:-1])


def test_a_baseline_is_not_asked_for(train):
    heard = train(epochs=1, baseline="by_hand")
    assert kinds(heard) == ["Resolved", "Measured", "EpochDone", "Trained"]


def test_the_same_seed_gives_the_same_training(train):
    first, second = (train(epochs=2, baseline="by_hand") for _ in range(2))
    assert first[-1] == second[-1]
    assert [m.epoch.metrics for m in first[2:-1]] == [m.epoch.metrics for m in second[2:-1]]


def test_a_trial_that_is_not_wanted(train):
    assert kinds(train({Resolved: Drop()}))[-2:] == ["Resolved", "Drop"]
    assert kinds(train({Measured: Drop()}))[-2:] == ["Measured", "Drop"]


def test_a_trial_that_is_halted_keeps_its_score(train):
    heard = train({EpochDone: Halt()})
    assert kinds(heard)[-2:] == ["EpochDone", "Trained"]
    assert heard[-1].best_epoch == 1
    assert heard[-1].score == heard[-2].epoch.metrics["val_accuracy"]


def test_a_trial_that_diverges_and_a_worker_that_lives_on(train, tmp_path):
    heard = train(answers={**ANSWERS, "training.optimizer.learning_rate": 1e38}, folder=tmp_path)
    assert isinstance(heard[-1], Failed)
    assert heard[-1].kind == "not_finite"
    assert "Traceback" in (tmp_path / "log.txt").read_text()
    assert isinstance(train(epochs=1)[-1], Trained)


def test_a_recipe_that_somebody_enqueued(train):
    text = (
        """Recipe(model=Model(body=ConvNet(stages=[Stage(filters=3)])), training=Training(epochs=1, batch_size=64))"""
    )
    heard = train(recipe=text)
    assert kinds(heard) == ["Resolved", "Measured", "EpochDone", "Trained"]
    assert heard[1].parameters == (9 + 1) * 3 + (4 * 4 * 3 + 1) * 10


def test_a_network_that_is_too_large_for_any_machine_is_measured_before_it_is_built(train):
    text = """Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)]), dense=[Dense(units=10**12)]),
                     training=Training(epochs=1))"""
    heard = train({Measured: Drop()}, recipe=text)
    assert kinds(heard) == ["Resolved", "Measured", "Drop"]
    assert heard[1].memory > 10**14
    failed = train(recipe=text)[-1]
    assert (type(failed), failed.kind) == (Failed, "out_of_memory")
    assert isinstance(train(epochs=1, baseline="by_hand")[-1], Trained)


RESUMED = '''
import keras
import keras_tuner


def layers(units):
    return [
        keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.2), keras.layers.Dense(units),
        keras.layers.Dense(10, activation="softmax"),
    ]


def leaps(hp):
    model = keras.Sequential(layers(hp.Int("units", 4, 8)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=3)
    return model


class Own(keras_tuner.HyperModel):
    """Brings its own early stopping, which it takes as ever."""

    def build(self, hp):
        model = keras.Sequential(layers(hp.Int("units", 4, 8)))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, x, y, batch_size, epochs, callbacks, validation_data, verbose):
        callbacks = [*callbacks, keras.callbacks.EarlyStopping("val_loss", min_delta=0.05, patience=2)]
        history = model.fit(
            x, y, batch_size=batch_size, epochs=epochs, callbacks=callbacks, validation_data=validation_data, verbose=0
        )
        assert history.history["val_accuracy"]
        return history


class Twice(Own):
    def fit(self, hp, model, *args, callbacks, epochs, **options):
        model.fit(*args, callbacks=callbacks, epochs=2, **options)
        return model.fit(*args, callbacks=callbacks, epochs=2, **options)


def training(**options):
    return Training(**{"epochs": 7, "batch_size": 8, "optimizer": Adam(learning_rate=0.02), **options})


rich = Recipe(
    model=Model(
        body=ConvNet(stages=[Stage(filters=[4, 4])], batchnorm="after_activation", dropout=0.3), dropout=0.2
    ),
    training=training(
        schedule=Plateau(patience=1, factor=0.5),
        early_stopping=2,
        augment=Augment(flip="horizontal", rotation=0.05, translation=0.1, zoom=0.1, contrast=0.1, brightness=0.1),
    ),
)
leaping = Recipe(model=HyperModel(leaps, values={"units": 8}), training=training())
own = Recipe(model=HyperModel(Own(), values={"units": 8}), training=training(epochs=12))
twice = Recipe(model=HyperModel(Twice(), values={"units": 8}), training=training())
space = Space(data="digits", search=rich)
'''


@pytest.fixture(scope="module")
def deterministic(nothing_from_outside, tmp_path_factory, write_space):
    """How a worker is started for which the same seed gives the same bits."""
    space = write_space(tmp_path_factory.mktemp("resumed") / "mine.py", RESUMED)
    return Setup(space, space.parent, subset=200, deterministic=True)


@pytest.fixture(scope="module")
def exact(deterministic):
    worker, _ = prepared_worker(deterministic)
    yield worker
    worker.close()


def ending(folder, heard):
    """All that training came to, to the last bit: outcome, history, every array of the last checkpoint."""
    (checkpoint, *_) = read_checkpoints(folder, next(m.hash for m in heard if isinstance(m, Resolved)))
    history = [(epoch, dict(metrics)) for epoch, _, metrics in checkpoint.header["history"]]
    callbacks = [each["attributes"] for each in checkpoint.header["callbacks"]]
    arrays = {name: (array.dtype.name, array.tobytes()) for name, array in checkpoint.arrays.items()}
    recorded = [epoch.epoch for epoch in TrialFolder(folder).history()]
    return heard[-1], history, callbacks, arrays, recorded


@pytest.fixture(scope="module")
def uninterrupted(exact, tmp_path_factory):
    """How a recipe ends that nothing disturbs; trained once."""
    known = {}

    def ends(recipe):
        if recipe not in known:
            folder = tmp_path_factory.mktemp(recipe)
            heard = conversation(exact, folder, recipe=recipe)
            assert isinstance(heard[-1], Trained)
            known[recipe] = ending(folder, heard)
        return known[recipe]

    return ends


def ends_alike(exact, uninterrupted, folder, recipe, replies):
    """Training that stops as asked and goes on ends with the bits of training that did not; returns all its legs."""
    legs = []
    while not legs or isinstance(legs[-1][-1], Left):
        legs.append(conversation(exact, folder, replies(len(legs)), recipe=recipe))
        if isinstance(legs[-1][-1], Left):
            assert legs[-1][-1].epochs == saved_epochs(folder)
    assert ending(folder, legs[-1]) == uninterrupted(recipe)
    return legs


@pytest.mark.parametrize("recipe", ["rich", "leaping", "own"])
def test_a_trial_that_is_left_between_epochs(exact, uninterrupted, tmp_path, recipe):
    last = len(uninterrupted(recipe)[1])
    wanted = {1, 3, last}
    replies = {EpochDone: lambda message: Leave() if message.epoch.epoch in wanted else Go()}
    legs = ends_alike(exact, uninterrupted, tmp_path, recipe, lambda _: replies)
    assert [heard[-1].epochs for heard in legs[:-1]] == sorted(wanted)
    assert kinds(legs[-1])[-3:] == ["Measured", "Continued", "Trained"]  # also where early stopping had decided
    assert legs[-1][-2].epochs == last


@pytest.mark.parametrize("recipe", ["rich", "leaping", "own"])
def test_a_trial_that_is_left_within_an_epoch(exact, uninterrupted, tmp_path, recipe):
    steps = []

    def soon(_):
        exact.send(Go())
        time.sleep(0.03)  # some steps; any number will do
        return Leave()

    def replies(leg):
        if leg and (tmp_path / CHECKPOINT).exists():
            with np.load(tmp_path / CHECKPOINT) as checkpoint:
                steps.append(json.loads(checkpoint["header"].tobytes())["state"]["step"])
        # The first sign of life comes before the first step, which also compiles; a word after it is heard before the
        # second step.
        once = iter([Leave() if leg < 2 else soon] if leg < 5 else [])
        return {Beat: lambda _: next(once, [])} if leg < 2 else {EpochDone: next(once, Go())}

    ends_alike(exact, uninterrupted, tmp_path, recipe, replies)
    assert any(steps) is (recipe == "rich")  # the others go on from the end of an epoch


def test_a_trial_that_is_left_with_an_answer_still_to_come(exact, uninterrupted, tmp_path):
    replies = {EpochDone: [Leave(), Go()]}
    legs = ends_alike(exact, uninterrupted, tmp_path, "rich", lambda leg: replies if leg < 3 else {})
    assert [heard[-1] for heard in legs[:-1]] == [Left(1), Left(2), Left(3)]


def test_a_trial_that_is_left_by_sigterm(exact, uninterrupted, tmp_path):
    def terminated(_):
        os.kill(exact.pid, signal.SIGTERM)
        return []

    legs = ends_alike(exact, uninterrupted, tmp_path, "rich", lambda leg: {EpochDone: terminated} if leg < 2 else {})
    assert [heard[-1] for heard in legs[:-1]] == [Left(1), Left(2)]


def test_a_trial_that_is_told_to_leave_before_it_trains(exact, tmp_path):
    for kind in (Resolved, Measured):
        for reply in (Leave(), [Leave(), Go()]):
            heard = conversation(exact, tmp_path, {kind: reply}, recipe="rich")
            assert heard[-1] == Left(None)
    assert conversation(exact, tmp_path, {EpochDone: Leave()}, recipe="rich")[-1] == Left(1)
    for kind in (Resolved, Measured, Continued):
        assert conversation(exact, tmp_path, {kind: Leave()}, recipe="rich")[-1] == Left(1)


def test_a_leave_that_comes_too_late_is_passed_over(exact, tmp_path):
    heard = conversation(exact, tmp_path, recipe="rich", epochs=1)
    assert isinstance(heard[-1], Trained)
    exact.send(Leave())
    assert conversation(exact, tmp_path, recipe="rich", epochs=1)[-1] == heard[-1]


@pytest.mark.parametrize("recipe", ["rich", "own"])
def test_a_trial_that_is_killed_at_any_moment_ends_with_the_same_bits(recipe, deterministic, uninterrupted, tmp_path):
    generator = random.Random(4)
    expected = uninterrupted(recipe)
    last = len(expected[1])

    def killed(worker, after):
        """Go on until some epochs are done, and be killed within the next one, or wherever it is by then."""

        def reply(message):
            worker.send(Go())
            if message.epoch.epoch == after:
                time.sleep(generator.uniform(0, 0.2))  # any moment will do
                os.kill(worker.pid, signal.SIGKILL)
            return []

        return {EpochDone: reply}

    epochs = 0
    while (after := epochs + generator.randint(1, 2)) < last:
        worker, _ = prepared_worker(deterministic)
        with pytest.raises(WorkerDied, match="signal 9"):
            conversation(worker, tmp_path, killed(worker, after), recipe=recipe)
        worker.close()
        epochs = saved_epochs(tmp_path)
        assert epochs >= after
    worker, _ = prepared_worker(deterministic)
    heard = conversation(worker, tmp_path, recipe=recipe)
    worker.close()
    assert epochs > 0
    assert ending(tmp_path, heard) == expected


def test_a_damaged_checkpoint_costs_an_epoch_and_two_cost_them_all(exact, uninterrupted, tmp_path):
    replies = {EpochDone: lambda message: Leave() if message.epoch.epoch == 3 else Go()}
    assert conversation(exact, tmp_path, replies, recipe="rich")[-1] == Left(3)
    os.truncate(tmp_path / CHECKPOINT, 1000)
    heard = conversation(exact, tmp_path, {EpochDone: Leave()}, recipe="rich")
    assert [m.epochs for m in heard if isinstance(m, Continued)] == [2]
    assert heard[-1] == Left(3)
    for name in (CHECKPOINT, PREVIOUS):
        os.truncate(tmp_path / name, 1000)
    heard = conversation(exact, tmp_path, recipe="rich")
    assert "Continued" not in kinds(heard)
    assert ending(tmp_path, heard) == uninterrupted("rich")
    assert "cannot be used" in (tmp_path / "log.txt").read_text()


def test_an_epoch_that_the_record_lacks_is_told_again(exact, tmp_path):
    first = conversation(exact, tmp_path, {EpochDone: lambda m: Leave() if m.epoch.epoch == 2 else Go()}, recipe="rich")
    TrialFolder(tmp_path).cut_history(1)  # as if all had been killed between the checkpoint and the line
    second = conversation(exact, tmp_path, {EpochDone: Leave()}, recipe="rich")
    assert [m for m in second if isinstance(m, Continued | EpochDone)] == [Continued(1), first[-2]]
    assert second[-1] == Left(2)


def test_checkpoints_are_written_as_often_as_wanted_and_always_at_the_end(exact, tmp_path):
    for every, written in ((0.0, [True] * 3), (1e6, [False, False, True])):
        folder = tmp_path / str(every)
        folder.mkdir()
        heard = conversation(exact, folder, recipe="leaping", epochs=3, checkpoint_every=every)
        assert [m.checkpoint for m in heard if isinstance(m, EpochDone)] == written
    for name, reply in (("halted", Halt()), ("left", Leave())):
        (tmp_path / name).mkdir()
        options = {"recipe": "leaping", "checkpoint_every": 1e6}
        conversation(exact, tmp_path / name, {EpochDone: reply}, **options)
        assert saved_epochs(tmp_path / name) == 1


@pytest.mark.parametrize("recipe", ["rich", "own"])
def test_nothing_is_lost_by_leaving_where_checkpoints_are_rare(exact, uninterrupted, tmp_path, recipe):
    third = iter([Go(), Go(), [Go(), Leave()]])
    options = {"recipe": recipe, "checkpoint_every": 1e6}
    heard = conversation(exact, tmp_path, {EpochDone: lambda _: next(third, Go())}, **options)
    assert heard[-1].epochs >= 3
    heard = conversation(exact, tmp_path, **options)
    assert next(m for m in heard if isinstance(m, Continued)).epochs >= 3
    assert ending(tmp_path, heard) == uninterrupted(recipe)


def test_a_trial_goes_on_from_its_parent(exact, tmp_path):
    whole, parent, child = (tmp_path / name for name in ("whole", "parent", "child"))
    for folder in (whole, parent, child):
        folder.mkdir()
    expected = conversation(exact, whole, recipe="leaping", epochs=5)
    conversation(exact, parent, recipe="leaping", epochs=2)
    heard = conversation(exact, child, {EpochDone: Leave()}, recipe="leaping", epochs=5, parent=parent)
    assert Continued(2) in heard
    assert heard[-1] == Left(3)
    heard = conversation(exact, child, recipe="leaping", epochs=5, parent=parent)
    assert Continued(0) not in heard
    assert heard[-1] == expected[-1]
    assert saved_epochs(parent) == 2
    with np.load(whole / CHECKPOINT) as one, np.load(child / CHECKPOINT) as other:
        assert all((one[name] == other[name]).all() for name in one.files if name != "header")


def test_a_fit_of_several_trainings_begins_anew(exact, tmp_path):
    heard = conversation(
        exact, tmp_path, {EpochDone: lambda m: Leave() if m.epoch.epoch == 1 else Go()}, recipe="twice"
    )
    assert heard[-1] == Left(1)
    replies = iter([Go(), Leave()])  # the end of the first training, and an epoch of the second
    heard = conversation(exact, tmp_path, {EpochDone: lambda _: next(replies)}, recipe="twice")
    assert [m.epoch.epoch for m in heard if isinstance(m, EpochDone)] == [2, 1]
    assert heard[-1] == Left(None)
    assert not (tmp_path / CHECKPOINT).exists()


class TestAFullDisk:
    def filled(self, worker, folder):
        """From now on the worker's checkpoints go where there is no room."""
        (folder / f".{CHECKPOINT}.{worker.pid}.tmp").symlink_to("/dev/full")

    def test_is_waited_for(self, exact, uninterrupted, tmp_path):
        full = []

        def ended(message):
            if message.epoch.epoch == 2:
                self.filled(exact, tmp_path)
            return Go()

        def told(message):
            full.append(message)
            if len(full) == 1:
                self.filled(exact, tmp_path)  # still no room
            return Go()

        heard = conversation(exact, tmp_path, {EpochDone: ended, NoRoom: told}, recipe="rich")
        assert [message.path for message in full] == [tmp_path / CHECKPOINT] * 2
        assert full[0].wanted > 1000
        assert ending(tmp_path, heard) == uninterrupted("rich")

    def test_is_left_in_good_order(self, exact, uninterrupted, tmp_path):
        def ended(message):
            if message.epoch.epoch == 2:
                self.filled(exact, tmp_path)
            return Go()

        heard = conversation(exact, tmp_path, {EpochDone: ended, NoRoom: Leave()}, recipe="rich")
        assert heard[-1] == Left(2)
        assert ending(tmp_path, conversation(exact, tmp_path, recipe="rich")) == uninterrupted("rich")

    def test_costs_the_log_and_nothing_else(self, train, tmp_path):
        (tmp_path / "log.txt").symlink_to("/dev/full")
        failing = {**ANSWERS, "training.optimizer.learning_rate": 1e38}
        assert train(folder=tmp_path, answers=failing)[-1].kind == "not_finite"
        assert isinstance(train(epochs=1)[-1], Trained)


@pytest.mark.usefixtures("nothing_from_outside")
class TestDevices:
    def test_a_gpu_that_keras_does_not_see_is_refused(self, deterministic, monkeypatch):
        worker = LocalWorker([("HPSEARCH_EXPECTS_GPU", "1"), ("CUDA_VISIBLE_DEVICES", "3")])
        worker.send(deterministic)
        refused = worker.receive()
        worker.close()
        assert refused.exit_code == 2
        assert refused.sentence.startswith(
            "GPU 3 of this machine is to train, but tensorflow sees no GPU; hpsearch devices"
        )
        assert "--devices cpu" in refused.sentence


class TestSignsOfLife:
    def test_come_while_it_trains_and_not_too_often(self, exact, tmp_path):
        exact.send(Train(1, tmp_path, recipe="rich"))
        beats, began = [], time.monotonic()
        while not isinstance(message := exact.receive(), Trained):
            if isinstance(message, Beat):
                beats.append(message)
            else:
                exact.send(Go())
        assert beats[0] == Beat(1, 0, 25)
        assert all(1 <= beat.epoch <= 7 and 0 <= beat.step <= 25 for beat in beats)
        assert len(beats) <= time.monotonic() - began + 1


@pytest.mark.usefixtures("nothing_from_outside")
class TestRefusals:
    def test_what_the_user_must_mend(self, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", "import no_such_module\n")
        with pytest.raises(InputError, match="install what it needs"):
            prepared_worker(Setup(space, tmp_path))
        with pytest.raises(InputError, match="install what it needs"):
            answered(Inspect(space, tmp_path, None, 1))

    def test_what_nobody_expected_comes_with_its_traceback(self, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", SPACE)
        with pytest.raises(RunError, match="Traceback") as caught:
            answered(Inspect(space, tmp_path, None, "many"))
        assert caught.value.exit_code == 1


@pytest.mark.usefixtures("nothing_from_outside")
class TestEnds:
    def test_with_the_pipe(self):
        worker = LocalWorker()
        worker.close()
        assert not worker.alive
        worker.close()

    def test_a_worker_that_is_killed_says_how(self):
        worker = LocalWorker()
        worker.process.kill()
        with pytest.raises(WorkerDied, match=r"ended by signal 9 \(the system does that when memory runs out\)"):
            worker.receive()
        with pytest.raises(WorkerDied):
            worker.send("anything")
        worker.close()

    def test_a_worker_that_waits_ends_with_sigterm(self, deterministic):
        worker, _ = prepared_worker(deterministic)
        os.kill(worker.pid, signal.SIGTERM)
        with pytest.raises(WorkerDied, match="exit code 143"):
            worker.receive()
        worker.close()

    def test_a_user_who_exits_in_the_middle(self, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", "import os\nimport keras\nos._exit(3)\n")
        with pytest.raises(WorkerDied, match="ended with exit code 3"):
            prepared_worker(Setup(space, tmp_path))
