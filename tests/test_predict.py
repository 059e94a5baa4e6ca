"""Answers of an exported model for photos and rows that it has never seen."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from hpsearch.training.predict import main

SPACE = """
recipe = Recipe(
    model=Model(body=ConvNet(stages=[Stage(filters=4)]), pooling="average", head="sigmoid"),
    training=Training(epochs=8, batch_size=8, optimizer=Adam(learning_rate=0.05)),
)
space = Space(data=ImageFolder("set", size=(6, 8)), search=recipe)
"""

ROWS = """
recipe = Recipe(
    model=Model(body=None, dense=[Dense(units=8)], head="linear"),
    training=Training(epochs=2, batch_size=8),
)
table = Table("houses.csv", label="price", amount=True, numeric=("area",), categorical=("zip",), missing=("?",))
space = Space(data=table, search=recipe, objective="min val_mae")
"""

NAMES = ("<b>bright</b> [red]", "dark")


def exported(cli, write_space, folder, text):
    space = write_space(folder / "mine.py", text)
    results = folder / "results"
    said = cli("run", space, "--trials", 1, "--data-dir", folder, "--results", results)
    assert said.code == 0, said
    said = cli("export-best", "--no-finals", "--results", results)
    assert said.code == 0, said
    # Moved, and without its study: it stands alone.
    return shutil.move(results / "mine" / "export", folder / "alone")


@pytest.fixture(scope="module")
def of_photos(cli, write_space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.Generator(np.random.PCG64(0))
    for low, name in zip((128, 0), ("bright", "dark"), strict=True):
        (folder / "set" / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(low, low + 127, (12, 10, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "set" / name / f"{number:02d}.png")
    return exported(cli, write_space, folder, SPACE)


@pytest.fixture(scope="module")
def of_rows(cli, write_space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    with open(folder / "houses.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["price", "area", "zip"])
        out.writerows([n * 10, n, f"z{n % 3}"] for n in range(60))
    return exported(cli, write_space, folder, ROWS)


@pytest.fixture
def seen(tmp_path):
    """Photos of several kinds and sizes, and files that are none."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    Image.new("RGB", (300, 200), "white").save(tmp_path / "wide.jpg")
    Image.new("L", (1, 1), 0).save(tmp_path / "deep" / "black.png")
    Image.new("RGBA", (50, 90), (255, 255, 255, 255)).save(tmp_path / "deep" / "er" / "alpha.png")
    Image.new("P", (9, 9)).save(tmp_path / "deep" / "er" / "palette.gif")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "wide.jpg").read_bytes()[:200])
    (tmp_path / "deep" / "notes.md").write_text("no photo")
    return tmp_path


def test_photos_and_folders_of_any_size_are_answered(cli, of_photos, seen):
    said = cli("predict", of_photos, seen / "wide.jpg", seen / "deep", "--json")
    assert said.code == 0, said
    found = {each["of"]: each for each in json.loads(said.out)}
    assert list(found) == [
        str(seen / "wide.jpg"),
        *(str(seen / "deep" / name) for name in ("black.png", "er/alpha.png", "er/palette.gif")),
    ]
    assert found[str(seen / "wide.jpg")]["answer"] == "bright"
    assert found[str(seen / "deep" / "black.png")]["answer"] == "dark"
    for each in found.values():
        assert sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert next(iter(each["probabilities"])) == each["answer"]


def test_what_cannot_be_read_is_said_and_the_others_go_on(cli, of_photos, seen):
    said = cli("predict", of_photos, seen / "broken.jpg", seen / "lost.jpg", seen / "wide.jpg", "--top", 1)
    assert said.code == 1
    assert said.out.startswith(f"{seen / 'wide.jpg'}  bright ")
    assert len(said.out.splitlines()) == 1
    broken, lost = said.err.splitlines()
    assert broken == f"Error: {seen / 'broken.jpg'}: broken.jpg is no image that can be read."
    assert lost == f"Error: {seen / 'lost.jpg'}: there is no file {seen / 'lost.jpg'}."


def test_an_empty_folder_and_a_folder_that_is_no_export(cli, of_photos, tmp_path):
    (tmp_path / "empty").mkdir()
    said = cli("predict", of_photos, tmp_path / "empty")
    assert said.code == 1
    assert "the folder holds no photos" in said.err
    said = cli("predict", tmp_path / "empty", tmp_path / "photo.jpg")
    assert said.sentence.endswith("has no inputs.json; name the folder that hpsearch export-best wrote.")


def test_class_names_are_printed_as_they_are(cli, of_photos, seen, tmp_path):
    export = shutil.copytree(of_photos, tmp_path / "export")
    said = json.loads((export / "inputs.json").read_text())
    said["answer"]["classes"] = list(NAMES)
    (export / "inputs.json").write_text(json.dumps(said))
    said = cli("predict", export, seen / "wide.jpg")
    assert NAMES[0] in said.out


def test_the_script_beside_the_model_gives_the_same(cli, of_photos, seen):
    said = json.loads(cli("predict", of_photos, seen / "deep", "--json").out)
    told = ("PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL")  # the latter by whoever trained in this process before
    environment = {key: value for key, value in os.environ.items() if key not in told}
    start = "import runpy, sys; sys.modules['hpsearch'] = None; sys.argv = sys.argv[1:]; "
    arguments = [of_photos / "predict.py", "--json", seen / "deep", seen / "broken.jpg"]
    done = subprocess.run(
        [sys.executable, "-c", f"{start}runpy.run_path(sys.argv[0], run_name='__main__')", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=seen,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    *same, broken = json.loads(done.stdout)
    assert same == said
    assert broken["error"] == "broken.jpg is no image that can be read."
    assert done.stderr == ""  # not even TensorFlow's log


def test_rows_of_a_table_are_answered(cli, of_rows, tmp_path):
    (tmp_path / "rows.csv").write_text("area;zip\n10;z1\n;new\n?;\nmuch;z1\n20;z2\n")
    said = cli("predict", of_rows, tmp_path / "rows.csv", "--json")
    assert said.code == 1
    found = json.loads(said.out)
    assert [each["of"] for each in found] == ["2", "3", "4", "5", "6"]
    assert [type(each.get("answer")) for each in found] == [float, float, float, type(None), float]
    assert found[3]["error"] == "the column 'area' holds 'much', which is no number."
    said = cli("predict", of_rows, tmp_path / "rows.csv")
    assert said.err == f"Error: {tmp_path / 'rows.csv'}, line 5: {found[3]['error']}\n"
    (tmp_path / "other.csv").write_text("size\n1\n")
    said = cli("predict", of_rows, tmp_path / "other.csv")
    assert said.code == 1
    assert said.err.endswith("it has no column 'area', 'zip'; its columns are size.\n")


def test_a_model_of_rows_says_so_to_a_photo(cli, of_rows, seen):
    said = cli("predict", of_rows, seen / "wide.jpg")
    assert said.code == 1
    assert "answers for rows of a CSV file with the columns area, zip" in said.err


def test_a_row_whose_photo_is_missing_is_named_by_file_line_and_column(tmp_path, capsys):
    """No answer is asked for, so that any file will do as the model."""
    image = {"name": "image", "column": "photo", "kind": "image", "shape": [8, 8, 3], "white": 255}
    answer = {"kind": "classes", "classes": ["a", "b"]}
    said = {"inputs": [image], "answer": answer, "folder": "pics", "missing": []}
    (tmp_path / "inputs.json").write_text(json.dumps(said))
    (tmp_path / "model.keras").write_bytes(b"")
    rows = tmp_path / "rows.csv"
    rows.write_text("photo\nlost.png\n")
    for files in ([rows], [rows, rows]):
        assert main([*map(str, files), "--export", str(tmp_path)]) == 1
        lost = tmp_path / "pics" / "lost.png"
        assert capsys.readouterr().err.splitlines() == [
            f"Error: {rows}, line 2: column 'photo': there is no file {lost}."
        ] * len(files)
