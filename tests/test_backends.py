"""The whole way, from a space file to an exported model, on each Keras backend, in processes as users start them."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SPACE = """
from hpsearch import Adam, Augment, ConvNet, Dense, Model, Recipe, Space, Stage, Training, between, one_of, repeat

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=ConvNet(
                stages=repeat(Stage(filters=between(4, 8, step=4)), between(1, 2)),
                batchnorm=one_of("before_activation", "after_activation"),
                dropout=0.1,
            ),
            dense=[Dense(units=16)],
        ),
        training=Training(
            epochs=2, batch_size=64, optimizer=Adam(learning_rate=0.01), augment=Augment(translation=0.1)
        ),
    ),
)
"""


def hpsearch(backend: str, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", "from hpsearch.cli.main import main; main(prog_name='hpsearch')", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "backend",
    ["tensorflow", pytest.param("jax", marks=pytest.mark.jax), pytest.param("torch", marks=pytest.mark.torch)],
)
def test_a_search_ends_in_an_exported_model(backend, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    (tmp_path / "tiny.py").write_text(SPACE)
    hpsearch(backend, tmp_path, "run", "tiny.py", "--trials", "2")
    rows = json.loads(hpsearch(backend, tmp_path, "leaderboard", "--json"))
    assert [row["state"] for row in rows] == ["COMPLETE", "COMPLETE"]
    study = json.loads((tmp_path / "results/tiny/study.json").read_text())
    assert study["versions"]["backend"] == backend
    exported = json.loads(hpsearch(backend, tmp_path, "export-best", "--no-finals", "--json"))
    assert exported["chosen"]["accuracy"] > 0.2  # chance is 0.1
    assert exported["reload_difference"] < 1e-3
    assert (tmp_path / "results/tiny/export/model.keras").exists()


@pytest.mark.parametrize(
    "backend", [pytest.param("jax", marks=pytest.mark.jax), pytest.param("torch", marks=pytest.mark.torch)]
)
def test_a_search_that_is_killed_goes_on_as_if_it_had_not_been(backend, tmp_path, wait_for):
    """On TensorFlow the tests of runs and of workers show it."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    space = SPACE.replace("epochs=2", "epochs=6")
    for name in ("whole", "killed"):
        (tmp_path / f"{name}.py").write_text(space)
    arguments = ["--trials", "1", "--subset", "300", "--deterministic", "--devices", "cpu"]
    hpsearch(backend, tmp_path, "run", "whole.py", *arguments)

    history = tmp_path / "results/killed/trials/00000/history.csv"
    start = "from hpsearch.cli.main import main; main(prog_name='hpsearch')"
    run = subprocess.Popen(
        [sys.executable, "-c", start, "run", "killed.py", *arguments],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: history.exists() and len(history.read_text().splitlines()) > 2, "two epochs")
    run.kill()
    run.wait()
    before = len(history.read_text().splitlines()) - 1
    assert before < 6
    said = hpsearch(backend, tmp_path, "run", "killed.py", *arguments)
    assert "1 interrupted, taken up again" in said
    assert curve(tmp_path, "killed") == curve(tmp_path, "whole")


def curve(folder: Path, study: str) -> list[str]:
    """The history of the first trial without the seconds that each epoch took."""
    rows = (folder / f"results/{study}/trials/00000/history.csv").read_text().splitlines()
    return [",".join(value for place, value in enumerate(row.split(",")) if place != 1) for row in rows]
