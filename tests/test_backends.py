"""The whole way, from a space file to an exported model, on each Keras backend, in processes as users start them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

SPACE = """
from hpsearch import (
    Augment, ConvNet, Dense, Model, Muon, Recipe, Space, Stage, Training, Triangular, Whitening, between, one_of,
    repeat
)

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=ConvNet(
                stages=repeat(Stage(filters=between(4, 8, step=4)), between(1, 2)),
                stem=Whitening(),
                initializer="dirac",
                batchnorm=one_of("before_activation", "after_activation"),
                batchnorm_scale=False,
                dropout=0.1,
            ),
            dense=[Dense(units=16)],
            logit_scale=0.5,
            flip_averaging=True,
        ),
        training=Training(
            epochs=8,
            batch_size=64,
            optimizer=Muon(learning_rate=0.01),
            schedule=Triangular(),
            bias_rate=2.0,
            augment=Augment(flip="alternating", translation=0.1, cutout=0.2, mixup=0.2, cutmix=0.5),
        ),
    ),
)
"""

JOINED = """
from hpsearch import (
    SGD, Augment, Branch, Concat, Cosine, Dense, FineTune, Model, Pretrained, Recipe, Space, Table, Training, one_of
)

space = Space(
    data=Table(
        "digits.csv",
        label="digit",
        classes=("three", "eight", "nine"),
        numeric=("ink", "page"),
        categorical=("writer",),
        images={"photo": "file"},
        folder="photos",
        size=8,
        channels=1,
    ),
    search=Recipe(
        model=Model(
            body=Concat(
                photo=Branch(body=Pretrained("model.keras"), dense=[Dense(units=8, dropout=0.2)]),
                table=Branch(dense=[Dense(units=4, batchnorm="before_activation")]),
            ),
            dense=[Dense(units=one_of(8, 16))],
        ),
        training=Training(
            epochs=3,
            batch_size=32,
            optimizer=SGD(learning_rate=0.1, momentum=0.9),
            schedule=Cosine(warmup=0.1),
            augment=Augment(translation=0.1),
            fine_tune=FineTune(epochs=3, unfreeze_last=3, learning_rate=0.01),
            class_weight="balanced",
            label_smoothing=0.1,
            clip_norm=1.0,
        ),
    ),
    objective="max val_auc",
    metrics=("f1",),
)
"""
"""Pixels through a network that was trained before, and a table with gaps beside it: first the head, then more."""

FRESHLY = """
import json, sys
from pathlib import Path

import keras

from hpsearch.data.loading import load_search_data
from hpsearch.spacefile import load_space
from hpsearch.training.inputs import fed

space = load_space(Path("joined.py"), module_path=Path.cwd())
data = load_search_data(space.declaration, data_dir=Path("data"))
network = keras.saving.load_model(sys.argv[1], compile=False).get_layer("network")
given = fed(network, data.validation)
print(json.dumps([data.validation.columns["page"][:, 0].tolist(), network.predict(given, verbose=0).tolist()]))
"""

START = "from hpsearch.cli.main import main; main(prog_name='hpsearch')"
OTHERS = [pytest.param("jax", marks=pytest.mark.jax), pytest.param("torch", marks=pytest.mark.torch)]


def printed(backend: str, folder: Path, *command: object) -> str:
    """What Python prints, in a process of its own, on this backend."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    arguments = [sys.executable, *map(str, command)]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hpsearch(backend: str, folder: Path, *arguments: str) -> str:
    return printed(backend, folder, "-c", START, *arguments)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, dict]]:
    """A folder where digits were searched on a backend and the best was exported, and what was said of it."""
    done: dict[str, tuple[Path, dict]] = {}

    def make(backend: str) -> tuple[Path, dict]:
        if find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        if backend not in done:
            folder = tmp_path_factory.mktemp(backend)
            (folder / "tiny.py").write_text(SPACE)
            hpsearch(backend, folder, "run", "tiny.py", "--trials", "2")
            done[backend] = folder, json.loads(hpsearch(backend, folder, "export-best", "--no-finals", "--json"))
        return done[backend]

    return make


@pytest.mark.parametrize("backend", ["tensorflow", *OTHERS])
def test_a_search_ends_in_an_exported_model(backend, exported):
    folder, said = exported(backend)
    rows = json.loads(hpsearch(backend, folder, "leaderboard", "--json"))
    assert [row["state"] for row in rows] == ["COMPLETE", "COMPLETE"]
    study = json.loads((folder / "results/tiny/study.json").read_text())
    assert study["versions"]["backend"] == backend
    assert said["chosen"]["accuracy"] > 0.2  # chance is 0.1
    assert said["reload_difference"] < 1e-3
    assert (folder / "results/tiny/export/model.keras").exists()


@pytest.mark.parametrize("backend", OTHERS)
def test_a_killed_search_over_photos_and_a_table_goes_on_and_its_export_answers_for_rows_of_a_file(
    backend, exported, tmp_path, wait_for
):
    """On TensorFlow the tests of runs, of workers and of tables show it."""
    trained = exported(backend)[0] / "results/tiny/export/model.keras"
    rows = digits(tmp_path / "data")
    (tmp_path / "data/model.keras").write_bytes(trained.read_bytes())
    for name in ("joined", "killed"):
        (tmp_path / f"{name}.py").write_text(JOINED)
    arguments = ["--data-dir", "data", "--trials", "1", "--deterministic", "--devices", "cpu"]
    hpsearch(backend, tmp_path, "run", "joined.py", *arguments)
    whole = curve(tmp_path, "joined")
    assert len(whole) == 1 + 6
    assert float(whole[-1].split(",")[whole[0].split(",").index("val_auc")]) > 0.7  # chance is 0.5

    history = tmp_path / "results/killed/trials/00000/history.csv"
    run = subprocess.Popen(
        [sys.executable, "-c", START, "run", "killed.py", *arguments],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: history.exists() and len(history.read_text().splitlines()) > 2, "two epochs")
    run.kill()
    run.wait()
    assert len(history.read_text().splitlines()) - 1 < 6
    assert "1 interrupted, to be taken up again" in hpsearch(backend, tmp_path, "run", "killed.py", *arguments)
    assert curve(tmp_path, "killed") == whole

    said = json.loads(hpsearch(backend, tmp_path, "export-best", "--no-finals", "--study", "joined", "--json"))
    assert said["chosen"]["accuracy"] > 0.5  # chance is 0.33
    # What the process that trained it gave for 64 rows, and what the file gives where it is loaded.
    assert said["reload_difference"] < 1e-4
    export = tmp_path / "results/joined/export"
    answers = list(csv.DictReader(printed(backend, tmp_path, export / "predict.py", "data/digits.csv").splitlines()))
    names = json.loads((export / "classes.json").read_text())
    shares = np.array([[float(answer[name]) for name in names] for answer in answers])
    assert len(shares) == rows
    places, expected = json.loads(printed(backend, tmp_path, "-c", FRESHLY, export / "model.keras"))
    assert shares[np.array(places, dtype=int)] == pytest.approx(np.array(expected), abs=2e-4)  # four digits are printed


def digits(folder: Path) -> int:
    """Write digits as photos and as a file that says what they show, with gaps; how many there are."""
    (folder / "photos").mkdir(parents=True)
    found = load_digits()
    names = {3: "three", 8: "eight", 9: "nine"}
    chosen = np.flatnonzero(np.isin(found.target, list(names)))[:300]
    rows = [["page", "digit", "ink", "writer", "file"]]
    for number, place in enumerate(chosen):
        image, digit = found.images[place], int(found.target[place])
        # Pixels to 16, as the digits themselves have them and the network that is reused was trained on.
        Image.fromarray(image.astype("uint8")).save(folder / "photos" / f"{number}.png")
        ink = "" if number % 7 == 0 else f"{image.mean():.3f}"
        writer = "" if number % 11 == 0 else f"w{number % 5}"
        rows.append([str(number), names[digit], ink, writer, f"{number}.png"])
    with open(folder / "digits.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return len(chosen)


def curve(folder: Path, study: str) -> list[str]:
    """The history of the first trial without the seconds that each epoch took."""
    rows = (folder / f"results/{study}/trials/00000/history.csv").read_text().splitlines()
    return [",".join(value for place, value in enumerate(row.split(",")) if place != 1) for row in rows]
