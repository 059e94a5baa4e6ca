"""What the best network of a study gets wrong, asked of its checkpoint, in the report of real studies."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from hpsearch.data import ImageFolder, Table
from hpsearch.data.listing import validation_names
from hpsearch.data.loading import load_search_data
from hpsearch.study import StudyFolder

pytest.importorskip("plotly", reason="Plotly, a dev dependency, is not here")

TABLE = """
def recipe(units):
    return Recipe(
        model=Model(body=None, dense=[Dense(units=units)], head="linear"),
        training=Training(epochs=3, batch_size=16, optimizer=Adam(learning_rate=0.05)),
    )

space = Space(
    data=Table("FOLDER/houses.csv", label="price", amount=True, numeric=("area",)),
    search=recipe(one_of(4, 8)),
    objective="min val_mae",
)
"""

FROZEN = """
from hpsearch import Pretrained

def recipe(units):
    return Recipe(
        model=Model(
            body=Pretrained("FOLDER/body.keras", until="seen", frozen=True),
            pooling="flatten", dense=[Dense(units=units)],
        ),
        training=Training(epochs=2, batch_size=64, optimizer=Adam(learning_rate=0.01)),
    )

space = Space(data="digits", search=recipe(one_of(8, 16)))
"""

BODY = """
import sys
import keras

layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="seen"), keras.layers.Flatten(), keras.layers.Dense(2)]
keras.Sequential(layers).save(sys.argv[1])
"""

BUILD = """
import keras


def build(hp):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(hp.Int("units", 8, 32), activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=3, batch_size=32)))
"""


@pytest.fixture(scope="module")
def studied(cli, write_space, four_recipes, tmp_path_factory):
    """Run a space of two trials; returns the study."""
    texts = {"digits": four_recipes, "table": TABLE, "frozen": FROZEN, "build": BUILD}

    def run(name):
        folder = tmp_path_factory.mktemp(name)
        if name == "table":
            rows = [f"{area},{1000 * area + 7 * (area % 13)}" for area in range(20, 220)]
            (folder / "houses.csv").write_text("area,price\n" + "\n".join(rows) + "\n")
        if name == "frozen":
            subprocess.run([sys.executable, "-c", BODY, folder / "body.keras"], check=True)
        space = write_space(folder / "space.py", texts[name])
        said = cli("run", space, "--trials", 2, "--devices", "cpu", "--results", folder, "--study", name)
        assert said.code == 0, said
        return StudyFolder(folder / name)

    return run


@pytest.fixture
def photos(tmp_path):
    """Photos of two classes, each of another colour, one of which cannot be decoded; returns the colours by key."""
    from PIL import Image

    colors = {}
    for at in range(60):
        key = f"{('cat', 'dog')[at % 2]}/{at:02d}.png"
        (tmp_path / key).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4), (4 * at, 0, 0)).save(tmp_path / key)
        colors[key] = 4 * at
    return colors


def shown(part):
    return np.asarray(part.images[:])[:, 0, 0, 0].tolist()


def test_photos_are_named_by_their_files_those_left_out_apart(photos, tmp_path):
    data = ImageFolder(str(tmp_path), classes=("cat", "dog"), size=(4, 4))
    (first, *_) = validation_names(data)
    (tmp_path / first).write_bytes(b"nothing")
    found = load_search_data(data, skip_bad_images=True)
    names = validation_names(data, skipped=found.skipped)
    assert first not in names
    assert [photos[name] for name in names] == shown(found.validation)


def test_rows_of_a_table_are_named_by_their_line_and_their_photo(photos, tmp_path):
    lines = ["photo,kind", "", *(f"{key},{key[:3]}" for key in photos)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    data = Table(str(tmp_path / "list.csv"), label="kind", classes=("cat", "dog"), images=["photo"], size=(4, 4))
    (first, *_) = validation_names(data, subset=40)
    (tmp_path / first.split(", ")[1]).write_bytes(b"nothing")
    found = load_search_data(data, subset=40, skip_bad_images=True)
    names = [name.split(" of list.csv, ") for name in validation_names(data, subset=40, skipped=found.skipped)]
    assert [photos[photo] for _, photo in names] == shown(found.validation)
    assert all(lines[int(line.removeprefix("line ")) - 1].startswith(photo) for line, photo in names)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def answered(study):
    (file,) = (study.path / "report").glob("*.npz")
    with np.load(file) as archive:
        return dict(archive)


def best(study, sign=1):
    return max((trial for trial in study.trials() if trial.score is not None), key=lambda trial: sign * trial.score)


def test_the_network_is_asked_once_and_only_read(studied, cli):
    study = studied("digits")
    before = contents(study.path)
    said = cli("report", "--results", study.path.parent)
    assert said.code == 0, said
    found = answered(study)
    right = (found["predictions"].argmax(axis=1) == found["labels"]).mean()
    assert right == pytest.approx(best(study).score, abs=1e-6), "it answers as it did when it was scored"
    assert len(found["mistakes"]) == min((1 - right).round(9) * len(found["labels"]), 24)
    assert {path: text for path, text in contents(study.path).items() if path in before} == before
    assert {path.name for path in study.path.iterdir()} - {
        path.relative_to(study.path).parts[0] for path in before
    } == {
        "report",
        "report.html",
    }
    text = (study.path / "report.html").read_text(encoding="utf-8")
    assert text.count('<img src="data:image/png;base64,') == len(found["mistakes"])
    assert all(f"(validation image {row})" in text for row in found["mistakes"]), "rows of an array have no names"
    assert "confusion" in json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])

    kept = contents(study.path / "report")
    for checkpoint in study.path.glob("trials/*/checkpoint*.npz"):
        checkpoint.unlink()
    assert cli("report", "--results", study.path.parent).code == 0
    assert (study.path / "report.html").read_text(encoding="utf-8") == text, "what is kept is enough"
    assert contents(study.path / "report") == kept
    for file in (study.path / "report").iterdir():
        file.unlink()
    assert cli("report", "--results", study.path.parent).code == 0
    assert "The checkpoint of trial" in (study.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frozen", "build"])
def test_heads_and_networks_of_a_build_function_answer_as_they_were_scored(studied, cli, name):
    study = studied(name)
    assert cli("report", "--results", study.path.parent).code == 0
    found = answered(study)
    assert (found["predictions"].argmax(axis=1) == found["labels"]).mean() == pytest.approx(best(study).score, abs=1e-6)
    assert found["predictions"].sum(axis=1) == pytest.approx(1, abs=1e-3), "they are probabilities"


@pytest.mark.slow
def test_of_amounts_the_largest_errors_are_shown(studied, cli):
    study = studied("table")
    assert cli("report", "--results", study.path.parent).code == 0
    found = answered(study)
    off = np.abs(found["predictions"][:, 0] - found["labels"])
    assert off.mean() == pytest.approx(best(study, -1).score, rel=1e-4)
    assert (np.diff(off[found["mistakes"]]) <= 0).all()
    text = (study.path / "report.html").read_text(encoding="utf-8")
    assert "Largest errors" in text
    lines = (study.path.parent / "houses.csv").read_text().splitlines()
    for name, row in zip(found["names"].tolist(), found["mistakes"], strict=True):
        line = int(re.fullmatch(r"line (\d+) of houses.csv", name)[1])
        assert float(lines[line - 1].split(",")[1]) == pytest.approx(found["labels"][row]), "an editor shows it there"
        assert f"({name})" in text
    assert "told" in json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])
