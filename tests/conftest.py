"""What the tests share that train: the command run in this process or as one of its own, tiny spaces, tiny data."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "search"
PATIENCE = 120
"""Seconds after which a test gives up waiting for a process; nothing is ever expected to take that long."""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def sentence(self):
        """The one line on standard error with which bad input is refused."""
        assert self.code == 2, self
        assert "Traceback" not in self.err, self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: "), self.err
        return lines[0].removeprefix("Error: ")


@pytest.fixture(scope="session")
def nothing_from_outside(tmp_path_factory):
    """Workers see no weights, data or network of this machine; a download fails at once."""
    changes = pytest.MonkeyPatch()
    for name in ("HPSEARCH_DATA_DIR", "HPSEARCH_RESULTS", "NO_PROXY", "no_proxy"):
        changes.delenv(name, raising=False)
    changes.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras_home")))
    changes.setenv("HPSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        changes.setenv(name, "http://127.0.0.1:9")
    changes.setenv("CUDA_VISIBLE_DEVICES", "-1")
    yield
    changes.undo()


@pytest.fixture(scope="session")
def cli(nothing_from_outside):
    """Run the command in this process, whose fork server then serves all tests: ``cli("run", space, ...)``."""
    from hpsearch.cli.main import main

    def run(*arguments):
        before = dict(os.environ)
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
                main.main(args=[str(argument) for argument in arguments], prog_name="hpsearch")
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


class Command:
    """The command as a process group of its own, so that signals can be tried on it."""

    def __init__(self, *arguments):
        # Whoever started the tests may ignore signals, which processes inherit.
        heed = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        heed += "signal.signal(signal.SIGINT, signal.default_int_handler); "
        start = heed + "from hpsearch.cli.main import main; main(prog_name='hpsearch')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line_with(self, text):
        """Read its lines up to the first that holds the text."""
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"ended without saying {text!r}: {self.process.stderr.read()}")

    def end(self):
        """Wait for its end."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return Said(self.process.returncode, out, err)

    def kill(self):
        """Kill the command alone; what it started must find out by itself."""
        self.process.kill()
        self.process.wait(timeout=PATIENCE)

    def interrupt(self):
        """Ctrl-C, which a terminal sends to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def gone(self):
        """Whether nothing of the group runs any more."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


@pytest.fixture
def command(nothing_from_outside):
    """Start the command as processes of their own: ``command("run", space, ...)``; all are killed in the end."""
    started = []

    def start(*arguments):
        started.append(Command(*arguments))
        return started[-1]

    yield start
    for each in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a condition holds: for what a killed process cannot tell."""

    def wait(condition, what):
        limit = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < limit, f"waited in vain for {what}"
            time.sleep(0.02)
        return found

    return wait


@pytest.fixture
def small_group(wait_for):
    """A memory control group of 2 GB, where this user may make one: the file that takes processes into it."""
    version1, version2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root, limit = (version1, "memory.limit_in_bytes") if version1.is_dir() else (version2, "memory.max")
    group = root / f"hpsearch-test-{time.time_ns()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    procs = group / "cgroup.procs"
    try:
        try:
            (group / limit).write_text(str(2 * 10**9))
        except OSError as error:
            pytest.skip(f"control groups do not limit memory here: {error}")
        yield procs
        wait_for(lambda: not procs.read_text(), "the end of all processes")
    finally:
        group.rmdir()


class SmallDisk:
    """A disk of its own that can be filled.

    Args:
        path: Where it is mounted.
    """

    def __init__(self, path):
        self.path = path

    def fill(self):
        """Write until nothing more can be written."""
        with open(self.path / "filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def free(self):
        (self.path / "filler").unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of a size such as ``1m``; only who may mount one can."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = False

    def mount(size):
        nonlocal mounted
        command = shutil.which("mount")
        made = command and subprocess.run(
            [command, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, check=False
        )
        if not made or made.returncode:
            pytest.skip("a disk of its own cannot be mounted here")
        mounted = True
        return SmallDisk(path)

    yield mount
    if mounted:
        # SQLite's connections are closed when nobody needs them.
        subprocess.run(["umount", "--lazy", path], check=True)


# ---- spaces

WORDS = (
    "from hpsearch import (SGD, Adam, Arrays, Augment, Branch, Concat, ConvNet, Dense, HyperModel, ImageFolder, "
    "MobileNetV2, Model, Plateau, Recipe, Space, Stage, Table, Training, at_most, between, one_of, repeat, tied)\n"
)
"""How a space file of the tests begins."""

FOUR = """
def recipe(filters, pooling):
    return Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=filters)]), pooling=pooling),
        training=Training(epochs=2, batch_size=32, optimizer=Adam(learning_rate=0.01)),
    )

space = Space(
    data="digits",
    search=recipe(one_of(2, 4), one_of("flatten", "average")),
    baselines={"by_hand": recipe(4, "flatten")},
)
"""
"""Four recipes, one of them the baseline; a trial takes a second."""

GATED = '''
import os
import time
from pathlib import Path

import keras
import keras_tuner

GATE, REACHED = Path("FOLDER", "gate"), Path("FOLDER", "reached")


class Waiting(keras.callbacks.Callback):
    """Says in the middle of the second epoch that it got there, and waits while the gate is closed."""

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.params["steps"] + 1 and GATE.exists():
            REACHED.write_text(str(os.getpid()))
            while GATE.exists():
                time.sleep(0.01)


class Gated(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(hp.Int("units", 2, 64), activation="relu"),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, *args, callbacks=(), **options):
        return model.fit(*args, callbacks=[Waiting(), *callbacks], **options)


space = Space(data="digits", search=Recipe(model=HyperModel(Gated()), training=Training(epochs=3, batch_size=32)))
'''
"""A keras_tuner.HyperModel that stops in the middle of an epoch while a file called ``gate`` lies beside its file."""


@pytest.fixture(scope="session")
def write_space():
    """Write a space file; the words of hpsearch are imported at its top, FOLDER becomes the folder it lies in."""

    def write(path, text):
        path.write_text(WORDS + text.replace("FOLDER", str(path.parent)))
        return path

    return write


@pytest.fixture(scope="session")
def trials_of():
    """The records of all trials of a study, as the files hold them."""

    def read(study):
        return [json.loads(path.read_text()) for path in sorted(study.glob("trials/*/trial.json"))]

    return read


@pytest.fixture(scope="session")
def history_of():
    """The history of a trial: a dict of numbers for each epoch."""
    import csv

    def read(study, number):
        with open(study / "trials" / f"{number:05d}" / "history.csv", newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    return read


@pytest.fixture
def photos():
    """Make a folder of photos, dark and bright ones: ``photos(folder, 10)`` makes ten of each class."""
    import numpy as np
    from PIL import Image

    def make(folder, count, classes=("bright", "dark")):
        random = np.random.Generator(np.random.PCG64(0))
        for low, name in zip((128, 0), classes, strict=True):
            (folder / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(low, low + 127, (12, 10, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
        return folder

    return make


@pytest.fixture(scope="session")
def four_recipes():
    """The text of a space of four recipes, one of them a baseline."""
    return FOUR


@pytest.fixture(scope="session")
def gated_space():
    """The text of a space whose training waits in the middle of an epoch; see GATED."""
    return GATED
