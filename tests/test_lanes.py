"""Several trials in one process: each is what it would be in a process of its own. On JAX."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SPACE = """
from hpsearch import Adam, ConvNet, Dense, Model, Recipe, Space, Stage, Training, between, one_of

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=ConvNet(stages=[Stage(filters=one_of(4, 6))], batchnorm="after_activation", dropout=0.2),
            pooling="average",
            dense=[Dense(units=16, dropout=between(0.1, 0.5))],
        ),
        training=Training(epochs={epochs}, batch_size=64, optimizer=Adam(learning_rate=between(1e-3, 3e-2, log=True))),
    ),
)
"""
START = "from hpsearch.cli.main import main; main(prog_name='hpsearch')"


def started(backend, folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", START, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def hpsearch(folder, *arguments, backend="jax", code=0):
    process = started(backend, folder, *arguments)
    said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def written(folder, name="mine", epochs=4):
    (folder / f"{name}.py").write_text(SPACE.format(epochs=epochs))
    return ["run", f"{name}.py", "--strategy", "random", "--seed", "3", "--devices", "cpu", "--engine", "device"]


def curves(folder, study):
    """What each trial measured, by number."""
    files = sorted((folder / "results" / study / "trials").glob("*/history.csv"))
    found = {}
    for file in files:
        names, *rows = [line.split(",") for line in file.read_text().splitlines()]
        kept = [names.index(name) for name in ("loss", "val_accuracy", "val_loss")]
        found[file.parent.name] = [[float(row[place]) for place in kept] for row in rows]
    return found


@pytest.mark.jax
def test_a_search_in_lanes_finds_what_one_without_finds(tmp_path):
    run = written(tmp_path)
    hpsearch(tmp_path, *run, "--study", "alone", "--trials", "4")
    hpsearch(tmp_path, *run, "--study", "beside", "--trials", "4", "--lanes", "2")
    alone, beside = curves(tmp_path, "alone"), curves(tmp_path, "beside")
    assert len(alone) == 4
    assert alone.keys() == beside.keys()
    for number, rows in alone.items():
        assert len(rows) == 4
        for mine, its in zip(rows, beside[number], strict=True):
            assert mine == pytest.approx(its, rel=2e-3, abs=2e-3)
    rows = json.loads(hpsearch(tmp_path, "leaderboard", "--study", "beside", "--json"))
    assert {row["engine"] for row in rows} == {"device"}
    asked = json.loads((tmp_path / "results/beside/study.json").read_text())
    assert asked["versions"]["backend"] == "jax"
    said = hpsearch(
        tmp_path, "finals", "--study", "beside", "--seeds", "2", "--top", "1", "--lanes", "2", "--devices", "cpu"
    )
    assert "every finalist was trained with every seed" in said


@pytest.mark.jax
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_trials_in_lanes_go_on_where_they_were(tmp_path, wait_for, kind):
    run = written(tmp_path, epochs=40)
    hpsearch(tmp_path, *run, "--study", "whole", "--trials", "2", "--lanes", "2")
    process = started("jax", tmp_path, *run, "--study", "ended", "--trials", "2", "--lanes", "2")
    histories = [tmp_path / f"results/ended/trials/0000{number}/history.csv" for number in (0, 1)]
    wait_for(
        lambda: any(file.exists() and len(file.read_text().splitlines()) > 3 for file in histories), "three epochs"
    )
    process.send_signal(kind)
    process.communicate()
    hpsearch(tmp_path, *run, "--study", "ended", "--trials", "2", "--lanes", "2")
    whole, ended = curves(tmp_path, "whole"), curves(tmp_path, "ended")
    assert whole.keys() == ended.keys()
    for number, rows in whole.items():
        assert len(rows) == len(ended[number]) == 40
        assert rows[-1] == pytest.approx(ended[number][-1], rel=0.05, abs=0.05)
        assert rows[:3] == [pytest.approx(row, rel=2e-3, abs=2e-3) for row in ended[number][:3]]


TALKING = """
import keras
from hpsearch import HyperModel, Recipe, Space, Training


def build(hp):
    units = hp.Int("units", 4, 400)
    print("units:", units)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(units, activation="relu")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=2, batch_size=64)))
"""


@pytest.mark.jax
def test_what_a_trial_prints_is_in_its_own_log(tmp_path):
    (tmp_path / "talking.py").write_text(TALKING)
    run = ["run", "talking.py", "--strategy", "random", "--trials", "4", "--lanes", "2", "--devices", "cpu"]
    hpsearch(tmp_path, *run)
    rows = json.loads(hpsearch(tmp_path, "leaderboard", "--json"))
    assert len(rows) == 4
    for row in rows:
        log = (tmp_path / f"results/talking/trials/{row['number']:05}/log.txt").read_text()
        said = {line for line in log.splitlines() if line.startswith("units:")}
        show = json.loads(hpsearch(tmp_path, "show", str(row["number"]), "--json"))
        assert len(said) == 1
        assert said.pop().split()[1] in json.dumps(show["answers"])


def test_elsewhere_than_on_jax_they_are_refused(tmp_path):
    (tmp_path / "mine.py").write_text(SPACE.format(epochs=1))
    said = hpsearch(tmp_path, "run", "mine.py", "--lanes", "2", "--trials", "1", backend="tensorflow", code=2)
    assert said.splitlines()[-1] == (
        "Error: --lanes above 1 needs Keras on JAX, and Keras is on tensorflow here; set "
        "KERAS_BACKEND=jax (pip install 'hpsearch[jax]'), or take --per-device instead."
    )
    assert not Path(tmp_path / "results/mine").exists()


def test_they_train_with_the_device_engine_alone(tmp_path):
    (tmp_path / "mine.py").write_text(SPACE.format(epochs=1))
    said = hpsearch(
        tmp_path, "run", "mine.py", "--lanes", "2", "--engine", "fit", "--trials", "1", backend="tensorflow", code=2
    )
    assert "--lanes trains with the device engine; leave --engine fit out" in said
