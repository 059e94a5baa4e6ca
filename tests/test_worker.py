"""A worker over its pipe: what it is told, what it answers, and when it ends."""

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
    Measured,
    Resolved,
    Setup,
    Suggest,
    Train,
    Trained,
)

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

    def train(replies=None, answers=ANSWERS, **options):
        worker.send(Train(1, tmp_path, **options))
        return conversation(worker, replies, answers)

    return train


def conversation(worker, replies=None, answers=ANSWERS):
    """Answer a worker until it says how its trial ended; a reply may be a function of the message."""
    said = {Resolved: Go(), Measured: Go(), Continued: Go(), EpochDone: Go(), **(replies or {})}
    heard = []
    while True:
        message = worker.receive()
        if isinstance(message, Beat):
            continue
        heard.append(message)
        if isinstance(message, Suggest):
            worker.send(Chosen(answers[message.parameter.name]))
        elif type(message) in said:
            reply = said[type(message)]
            worker.send(reply(message) if callable(reply) else reply)
        else:
            return heard


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
    heard = train(answers={**ANSWERS, "training.optimizer.learning_rate": 1e38})
    assert isinstance(heard[-1], Failed)
    assert heard[-1].kind == "not_finite"
    assert "Traceback" in (tmp_path / "log.txt").read_text()
    assert isinstance(train(epochs=1)[-1], Trained)


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

    def test_a_user_who_exits_in_the_middle(self, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", "import os\nimport keras\nos._exit(3)\n")
        with pytest.raises(WorkerDied, match="ended with exit code 3"):
            prepared_worker(Setup(space, tmp_path))
