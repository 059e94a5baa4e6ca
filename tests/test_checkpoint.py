"""One file to go on from: everything comes back as it was, damage falls back, a full disk changes nothing."""

import errno
import os
import subprocess
import sys
import zipfile

import keras
import ml_dtypes
import numpy as np
import pytest

from hpsearch.study.checkpoints import CHECKPOINT, PREVIOUS, checkpoint_files, checkpoint_temporaries
from hpsearch.training.checkpoint import (
    Checkpoint,
    NoRoomError,
    clear_temporaries,
    read_checkpoints,
    saved_epochs,
    write_checkpoint,
)
from hpsearch.training.feeding import Feed
from hpsearch.training.state import (
    StateError,
    assign,
    callback_states,
    random_states,
    restore_callbacks,
    restore_random,
    values_of,
)

ARRAYS = {
    "model/0": np.linspace(0, 1, 7, dtype="float32").reshape(7, 1),
    "model/1": np.array([1.5, -2.25, 3e38], ml_dtypes.bfloat16),
    "model/2": np.array([[0.5, 6e4]], "float16"),
    "model/3": np.array([7, 2**32 - 1], "uint32"),
    "model/4": np.array(2**62, "int64"),
    "model/5": np.array([True, False]),
    "model/6": np.zeros((0, 3), "float32"),
}


def checkpoint(epochs=1, recipe="abc", arrays=ARRAYS):
    return Checkpoint(recipe, {"epochs": epochs, "step": 0, "loss": float("nan")}, arrays)


def epochs_found(folder, recipe="abc"):
    return [found.header["epochs"] for found in read_checkpoints(folder, recipe)]


class TestTheFile:
    def test_gives_back_every_bit_of_every_kind_of_number(self, tmp_path):
        write_checkpoint(tmp_path, checkpoint())
        (found,) = read_checkpoints(tmp_path, "abc")
        assert np.isnan(found.header["loss"])
        assert list(found.arrays) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found.arrays[name].dtype == array.dtype
            assert found.arrays[name].shape == array.shape
            assert found.arrays[name].tobytes() == array.tobytes()

    def test_is_kept_until_the_next_is_whole_and_one_longer(self, tmp_path):
        for epochs in (1, 2, 3):
            write_checkpoint(tmp_path, checkpoint(epochs))
        assert epochs_found(tmp_path) == [3, 2]
        assert saved_epochs(tmp_path) == 3
        assert [path.name for path in checkpoint_files(tmp_path)] == [CHECKPOINT, PREVIOUS]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CHECKPOINT, PREVIOUS])

    def test_of_another_recipe_does_not_count(self, tmp_path):
        write_checkpoint(tmp_path, checkpoint(1))
        write_checkpoint(tmp_path, checkpoint(2, recipe="other"))
        assert epochs_found(tmp_path) == [1]

    def test_that_is_not_there(self, tmp_path):
        assert read_checkpoints(tmp_path / "nowhere", "abc") == []
        assert saved_epochs(tmp_path) is None


def test_a_file_cut_off_anywhere_falls_back_to_the_previous_one(tmp_path):
    write_checkpoint(tmp_path, checkpoint(1))
    write_checkpoint(tmp_path, checkpoint(2))
    whole = (tmp_path / CHECKPOINT).read_bytes()
    for size in [0, 1, *range(50, len(whole), 97), len(whole) - 1]:
        (tmp_path / CHECKPOINT).write_bytes(whole[:size])
        assert epochs_found(tmp_path) == [1], size
        assert saved_epochs(tmp_path) == 1


def test_a_byte_that_changed_anywhere_is_noticed_or_harmless(tmp_path):
    write_checkpoint(tmp_path, checkpoint(1))
    write_checkpoint(tmp_path, checkpoint(2))
    whole = (tmp_path / CHECKPOINT).read_bytes()
    noticed = 0
    for place in range(0, len(whole), 23):
        (tmp_path / CHECKPOINT).write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        found = read_checkpoints(tmp_path, "abc")
        noticed += len(found) == 1
        for name, array in ARRAYS.items():
            assert found[0].arrays[name].tobytes() == array.tobytes()
        assert found[-1].header["epochs"] == 1
    assert noticed > len(whole) / 23 / 3


def test_what_is_no_checkpoint_at_all(tmp_path):
    (tmp_path / CHECKPOINT).write_text("hello")
    with zipfile.ZipFile(tmp_path / PREVIOUS, "w") as archive:
        archive.writestr("header.npy", "hello")
    assert read_checkpoints(tmp_path, "abc") == []
    assert saved_epochs(tmp_path) is None


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
import hpsearch.training.checkpoint as it

place, folder = int(sys.argv[1]), Path(sys.argv[2])
calls = 0

def counted(function):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == place:
            os.kill(os.getpid(), 9)
        return function(*arguments, **options)
    return call

it.os.fsync, it.os.replace = counted(os.fsync), counted(os.replace)
it.np.lib.format.write_array = counted(np.lib.format.write_array)
state = {"epochs": 3, "step": 0}
it.write_checkpoint(folder, it.Checkpoint("abc", state, {"model/0": np.ones(1000), "model/1": np.ones(10)}))
print("written")
"""


def test_a_writer_killed_at_any_of_its_steps_leaves_a_whole_file(tmp_path):
    ended = []
    for place in range(1, 12):
        folder = tmp_path / str(place)
        folder.mkdir()
        write_checkpoint(folder, checkpoint(1))
        write_checkpoint(folder, checkpoint(2))
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(place), str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
            check=False,
        )
        found = epochs_found(folder)
        assert found in ([2, 1], [2], [3, 2]), place
        clear_temporaries(folder)
        assert checkpoint_temporaries(folder) == []
        assert epochs_found(folder) == found
        ended.append("written" in done.stdout)
        if ended[-1]:
            break
    assert ended.count(True) == 1
    assert len(ended) >= 7  # three arrays, two flushes, two renames


class TestAFullDisk:
    def test_leaves_what_was_there(self, tmp_path):
        write_checkpoint(tmp_path, checkpoint(1))
        # A device that is always full, under the name that the new file is written under.
        temporary = tmp_path / f".{CHECKPOINT}.{os.getpid()}.tmp"
        temporary.symlink_to("/dev/full")
        with pytest.raises(NoRoomError) as caught:
            write_checkpoint(tmp_path, checkpoint(2))
        assert caught.value.path == tmp_path / CHECKPOINT
        assert caught.value.wanted == sum(array.nbytes for array in ARRAYS.values())
        assert caught.value.errno == errno.ENOSPC
        assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT]
        write_checkpoint(tmp_path, checkpoint(2))
        assert epochs_found(tmp_path) == [2, 1]

    def test_is_not_any_other_trouble(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            write_checkpoint(tmp_path / "gone", checkpoint(1))


class TestState:
    def test_variables_take_all_values_or_none(self):
        variables = [keras.Variable(np.ones((2, 3), "float32")), keras.Variable(np.array([1.5, 2.5]), dtype="bfloat16")]
        held = values_of({"model": variables})
        assert held["model/1"].dtype == ml_dtypes.bfloat16
        for variable in variables:
            variable.assign(variable * 0)
        with pytest.raises(StateError, match="has \\(2,\\)"):
            assign({"model": variables}, {**held, "model/1": np.ones(5)})
        with pytest.raises(StateError, match="3 values for the 2 variables"):
            assign({"model": variables}, {**held, "model/2": np.ones(5)})
        assert not keras.ops.convert_to_numpy(variables[0]).any()
        assign({"model": variables}, held)
        again = values_of({"model": variables})
        assert all(again[name].tobytes() == held[name].tobytes() for name in held)

    def test_callbacks_go_on_as_if_nothing_had_happened(self):
        def callbacks():
            return [
                keras.callbacks.EarlyStopping(patience=3, min_delta=0.01, restore_best_weights=True),
                keras.callbacks.ReduceLROnPlateau(patience=2, cooldown=1),
            ]

        def told(callbacks, losses, epoch=0):
            for place, loss in enumerate(losses):
                for callback in callbacks:
                    callback.on_epoch_end(epoch + place, {"val_loss": loss})

        def begun(callbacks):
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            model.set_weights([np.ones((1, 1)), np.ones(1)])
            model.stop_training = False
            for callback in callbacks:
                callback.set_model(model)
                callback.on_train_begin()
            return model

        losses = [1.0, 0.8, 0.795, 0.9, 0.79, 0.795]
        whole, first, second = callbacks(), callbacks(), callbacks()
        for each in (whole, first, second):
            model = begun(each)
        told(whole, losses)
        told(first, losses[:3])
        restore_callbacks(second, *callback_states(first))
        model.optimizer.learning_rate = float(first[1].model.optimizer.learning_rate)
        told(second, losses[3:], 3)
        for one, other in zip(whole, second, strict=True):
            assert callback_states([one])[0] == callback_states([other])[0]
            assert one.min_delta == other.min_delta < 0
        assert whole[0].model.stop_training is second[0].model.stop_training is True
        assert second[0].best_weights[0] == np.ones((1, 1))

    def test_random_numbers_go_on(self):
        import random

        said, arrays = random_states()
        first = random.random(), np.random.rand(3).tolist(), np.random.standard_normal()
        restore_random(said, arrays)
        assert first == (random.random(), np.random.rand(3).tolist(), np.random.standard_normal())


IMAGES = np.arange(50, dtype="float64").reshape(50, 1)
LABELS = np.arange(50)


class Seeing(keras.layers.Layer):
    """Keeps the first value of each batch that comes by."""

    def __init__(self, seen):
        super().__init__()
        self.keep = seen.append  # a list would become one of Keras's own

    def call(self, x, training=False):
        if training:
            self.keep(np.asarray(x)[:, 0].tolist())
        return x


def batches_seen(feed, epoch, step, epochs, at_once=1):
    """What a model is given, batch by batch."""
    seen = []
    model = keras.Sequential([Seeing(seen), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True, steps_per_execution=at_once)

    class Position(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            feed.begin(epoch)

        def on_train_batch_begin(self, batch, logs=None):
            if feed.endless and self.first and step + batch + 1 == feed.steps:
                self.model.stop_training = True

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = self.first = False

        first = bool(step)

    options = feed.options(epoch, step, epochs)
    model.fit(**options, initial_epoch=epoch, epochs=epochs, callbacks=[Position()], verbose=0)
    return seen


@pytest.mark.parametrize("at_once", [1, 3], ids=["stream", "batches"])
def test_the_order_of_an_epoch_is_the_same_whenever_training_begins(at_once):
    def feed(seed=5):
        return Feed(IMAGES, LABELS, 12, seed, at_once)

    assert feed().endless is False
    whole = batches_seen(feed(), 0, 0, 3, at_once)
    assert [len(batch) for batch in whole] == [12, 12, 12, 12, 2] * 3
    epochs = [whole[:5], whole[5:10], whole[10:]]
    for epoch in epochs:
        assert sorted(each for batch in epoch for each in batch) == list(range(50))
    assert epochs[0] != epochs[1] != epochs[2]
    assert batches_seen(feed(), 1, 0, 3, at_once) == whole[5:]
    assert batches_seen(feed(), 0, 0, 1, at_once) == whole[:5]
    assert batches_seen(feed(seed=6), 0, 0, 1, at_once) != whole[:5]
    if feed().divisible:
        assert batches_seen(feed(), 1, 2, 3) == whole[7:]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="the stream is made of TensorFlow's operations")
def test_nobody_tunes_the_stream_and_keeps_it_from_ending():
    stream = Feed(IMAGES, LABELS, 12, 5).options(0, 0, 2)["x"]
    assert stream.options().autotune.enabled is False


def test_images_come_as_keras_would_take_them_from_an_array():
    assert Feed(IMAGES, LABELS, 12, 0).x.dtype == "float32"
    assert Feed(IMAGES.astype("uint8"), LABELS, 12, 0).x.dtype == "uint8"
    assert Feed(IMAGES, LABELS, 12, 0).labels.dtype == "int64"
