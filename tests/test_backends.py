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
    exported = json.loads(hpsearch(backend, tmp_path, "export-best", "--json"))
    assert exported["chosen"]["accuracy"] > 0.2  # chance is 0.1
    assert exported["reload_difference"] < 1e-3
    assert (tmp_path / "results/tiny/export/model.keras").exists()
