"""From a CSV file and photos to an exported model that answers for rows of such a file where there is no hpsearch."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hpsearch.errors import InputError
from hpsearch.results.export import HowChosen, export_best
from hpsearch.results.texts import refuse_texts
from hpsearch.study.folder import open_study

HOUSES = """
def branch(**options):
    return Branch(body=ConvNet(stages=[Stage(filters=4)]), pooling="average", **options)

space = Space(
    data=Table(
        "houses.csv",
        label="price",
        cuts=(300, 600),
        numeric=("living area", "rooms"),
        categorical=("zipcode",),
        images={"front": "front photo", "kitchen": "kitchen photo"},
        size=8,
        group="group",
    ),
    search=Recipe(
        model=Model(
            body=one_of(
                both=Concat(front=branch(), kitchen=branch(), table=Branch(dense=[Dense(units=4)])),
                photos=Concat(front=branch(), kitchen=branch()),
            ),
            dense=[Dense(units=8)],
        ),
        training=Training(epochs=2, batch_size=16, optimizer=Adam(learning_rate=0.01)),
    ),
    baselines={
        "joined": Recipe(
            model=Model(
                body=Concat(front=branch(), kitchen=branch(), table=Branch(dense=[Dense(units=4)])),
                dense=[Dense(units=8)],
            ),
            training=Training(epochs=2, batch_size=16, optimizer=Adam(learning_rate=0.01)),
        ),
    },
)
"""

PRICE = """
space = Space(
    data=Table(
        "houses.csv",
        label="price",
        amount=True,
        numeric=("living area", "rooms"),
        categorical=("zipcode",),
        group="group",
    ),
    search=Recipe(
        model=Model(body=None, dense=[Dense(units=one_of(8, 16))], head="linear"),
        training=Training(epochs=30, batch_size=8, optimizer=Adam(learning_rate=0.03)),
    ),
    objective="min val_mae",
)
"""

CANCER = """
space = Space(
    data="breast_cancer",
    search=Recipe(
        model=Model(body=None, dense=[Dense(units=one_of(4, 8))], head="sigmoid"),
        training=Training(epochs=3, batch_size=32, optimizer=Adam(learning_rate=0.01)),
    ),
)
"""


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """Ninety houses whose price follows the area; some rooms and zip codes are missing, a few share their photos."""
    folder = tmp_path_factory.mktemp("houses")
    random = np.random.Generator(np.random.PCG64(0))
    (folder / "photos").mkdir()
    rows = [["id", "living area", "rooms", "zipcode", "price", "front photo", "kitchen photo", "group"]]
    for number in range(90):
        area = 20 + number % 60
        names = [f"photos/{kind}{number // 2 if number < 20 else number}.png" for kind in "fk"]
        for name in names:
            Image.fromarray(random.integers(0, 255, (10, 12, 3)).astype(np.uint8)).save(folder / name)
        rooms = "" if number % 7 == 0 else number % 5 + 1
        zipcode = "" if number % 11 == 0 else f"0{number % 4}"
        rows.append([number, area, rooms, zipcode, area * 12, *names, f"g{number // 2}" if number < 20 else ""])
    with open(folder / "houses.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture(scope="module")
def export(cli, houses, write_space, tmp_path_factory):
    """Search a space of these and export the best: ``export(text)`` gives the folder and what was said."""

    def make(text, *options):
        folder = tmp_path_factory.mktemp("study")
        space = write_space(folder / "mine.py", text)
        said = cli("run", space, "--data-dir", houses, "--trials", 1, "--results", folder / "results", *options)
        assert said.code == 0, said
        said = cli("export-best", "--no-finals", "--results", folder / "results")
        assert said.code == 0, said
        return folder / "results" / "mine" / "export", said

    return make


@pytest.fixture(scope="module")
def classes(export):
    return export(HOUSES)


@pytest.fixture(scope="module")
def amounts(export):
    return export(PRICE)


def alone(folder, *arguments):
    """What a fresh process prints that has no hpsearch."""
    start = "import runpy, sys; sys.modules['hpsearch'] = None; sys.argv = sys.argv[1:]; "
    run = "runpy.run_path(sys.argv[0], run_name='__main__')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", start + run, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(done.stdout.splitlines()))


def test_an_exported_model_answers_for_rows_and_photos_without_hpsearch(classes, houses, tmp_path):
    folder, _ = classes
    lines = (houses / "houses.csv").read_text().splitlines()
    lines[1] = "new,33,,never seen,,photos/f3.png,photos/k3.png,"  # a missing number, no price, an unseen category
    (houses / "new.csv").write_text("\n".join(lines[:6]))
    found = alone(tmp_path, folder / "predict.py", houses / "new.csv")
    assert [row["of"] for row in found] == ["2", "3", "4", "5", "6"]
    names = ["under 300", "300 to under 600", "600 or more"]
    for row in found:
        shares = [float(row[name]) for name in names]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert row["answer"] == names[int(np.argmax(shares))]


def test_what_it_takes_is_written_beside_it(classes):
    said = json.loads((classes[0] / "inputs.json").read_text())
    found = {each["name"]: each for each in said["inputs"]}
    assert said["answer"] == {"kind": "classes", "classes": ["under 300", "300 to under 600", "600 or more"]}
    assert found["front"] == {
        "name": "front",
        "column": "front photo",
        "kind": "image",
        "shape": [8, 8, 3],
        "dtype": "float32",
        "white": 255.0,
        "resized": "bilinear, with antialiasing",
    }
    if "zipcode" in found:  # the best may look at photos only
        assert found["zipcode"]["categories"] == ["00", "01", "02", "03"]
        assert found["rooms"]["missing"] == "NaN"


def test_keras_alone_loads_it_and_takes_columns_by_name(amounts, tmp_path):
    folder, _ = amounts
    script = tmp_path / "mine.py"
    script.write_text(
        "import os, sys\n"
        "os.environ['KERAS_BACKEND'] = 'tensorflow'\n"
        "import keras, numpy as np, tensorflow as tf\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "rows = {'living_area': np.array([[30.0], [70.0]]), 'rooms': np.array([[2.0], [np.nan]]),\n"
        "        'zipcode': tf.constant([['01'], ['somewhere']])}\n"
        "print('price')\n"
        "for price in model.predict(rows, verbose=0)[:, 0]: print(price)\n"
    )
    small, large = (float(row["price"]) for row in alone(tmp_path, script, folder / "model.keras"))
    assert abs(small - 360) < 150
    assert abs(large - 840) < 150


def test_the_script_beside_it_takes_data_that_lie_elsewhere(amounts, houses, tmp_path):
    text = (amounts[0] / "train.py").read_text()
    assert f'DATA = Path("{houses / "houses.csv"}")  # the table; --data names another place' in text
    (tmp_path / "train.py").write_text(text.replace(str(houses), str(tmp_path / "gone")))
    shutil.copyfile(amounts[0] / "data.json", tmp_path / "data.json")
    shutil.copyfile(houses / "houses.csv", tmp_path / "mine.csv")
    alone(tmp_path, tmp_path / "train.py", "--data", "mine.csv")
    assert (tmp_path / "trained.keras").is_file()


def test_amounts_are_scored_by_their_errors(amounts):
    folder, said = amounts
    metrics = json.loads((folder / "metrics.json").read_text())
    chosen = metrics["chosen"]
    assert chosen["accuracy"] is None
    assert 0 < chosen["low"] <= chosen["mae"] <= chosen["high"] < 200
    assert chosen["mae"] <= chosen["rmse"]
    assert chosen["r2"] > 0.5
    assert "mae " in said.out
    assert not (folder / "classes.json").exists()
    assert "| test mae (95 % interval) |" in (folder / "README.md").read_text()


class TestFormatsThatHoldNoTexts:
    def test_are_refused_before_anything_is_trained(self, amounts, tmp_path, monkeypatch):
        study = open_study(shutil.copytree(amounts[0].parent.parent, tmp_path / "results"))
        monkeypatch.setattr("hpsearch.results.contest.run_repeats", None)
        monkeypatch.setattr("hpsearch.results.export.retrained", None)
        said = (
            "--format got 'onnx': the format holds no texts, which this model takes as 'zipcode'; take tf_saved_model."
        )
        for finals in (True, False):
            how = HowChosen(finals=finals, formats=("tf_saved_model", "onnx"))
            with pytest.raises(InputError) as refused:
                export_best(study, how=how, reopen_test=True)
            assert str(refused.value) == said
        with pytest.raises(InputError, match="the format holds no texts"):
            export_best(study, how=HowChosen(finals=False, formats=("litert",)))
        assert (study.path / "export" / "model.keras").exists()

    def test_hold_what_a_recipe_makes_of_photos_alone(self, classes):
        study = open_study(classes[0].parent.parent)
        info, trial = study.info(), study.find("joined")
        photos = "Recipe(model=Model(body=Concat(front=branch(), kitchen=branch())), training=Training(epochs=1))"
        refuse_texts(study, info, [replace(trial, recipe=photos)], ["onnx"])
        refuse_texts(study, info, [trial, replace(trial, recipe=photos)], ["onnx"])
        with pytest.raises(InputError, match="'zipcode'"):
            refuse_texts(study, info, [trial], ["openvino"])
        refuse_texts(study, info, [trial], ["keras", "tf_saved_model"])


def test_a_second_call_reads_what_was_tested_before(amounts, cli):
    folder, _ = amounts
    again = cli("export-best", "--results", folder.parent.parent)
    assert again.code == 0, again
    assert "nothing was trained or opened again" in again.out


def test_a_table_needs_no_texts_and_no_files(export):
    folder, said = export(CANCER)
    assert "accuracy" in said.out
    assert "Retrained on 456 rows; tested on 113 that the search never saw" in said.out
    card = (folder / "README.md").read_text()
    assert "113 rows that no search saw" in card
    assert "images" not in said.out + card
    found = json.loads((folder / "inputs.json").read_text())
    assert len(found["inputs"]) == 30
    assert {each["kind"] for each in found["inputs"]} == {"number"}
    assert json.loads((folder / "classes.json").read_text()) == ["malignant", "benign"]
    assert not (folder / "predict.py").exists()


def test_check_says_what_a_space_of_tables_looks_at(cli, houses, write_space, tmp_path):
    said = cli("check", write_space(tmp_path / "mine.py", HOUSES), "--data-dir", houses, "--samples", 2)
    assert said.code == 0, said
    assert "front 8x8x3, kitchen 8x8x3, table, 3 classes" in said.out
    said = cli("check", write_space(tmp_path / "price.py", PRICE.replace("houses.csv", "lost.csv")), "--samples", 1)
    assert said.code == 0, said
    assert "table, amounts" in said.out
    assert "not found" in said.out


def test_the_layers_of_an_export_do_what_was_done_before_training(tmp_path):
    """In this process, and put together by another one, as it is where Keras runs on JAX or torch."""
    import keras

    from hpsearch.data.encoding import fit_encoding
    from hpsearch.data.parts import Part
    from hpsearch.training.apart import on_tensorflow
    from hpsearch.training.preprocessing import exported_names, save_joined
    from hpsearch.training.scoring import _answers_of

    random = np.random.default_rng(0)
    columns = {
        "price (m)": random.normal(50, 20, (30, 1)).astype("float32"),
        "always": np.full((30, 1), 0.1, dtype="float32"),
        "kind": random.choice(["a", "b", "c", ""], (30, 1)),
        "zip code": np.array([[str(n % 20)] for n in range(30)]),
    }
    columns["price (m)"][::5] = np.nan
    encoding = fit_encoding(columns, ("price (m)", "always"), ("kind", "zip code"), rare=2)
    new = {
        "price (m)": np.array([[np.nan], [1e6], [-3]], dtype="float32"),
        "always": np.array([[0.1], [5], [np.nan]], dtype="float32"),
        "kind": np.array([["new"], [""], ["a"]]),
        "zip code": np.array([["5"], ["15"], [""]]),
    }
    entry = keras.Input((encoding.width,), name="table")
    network = keras.Model(entry, keras.layers.Dense(3)(entry), name="network")
    for apart in (False, True):
        save_joined(network, encoding, tmp_path / "joined.keras", apart=apart)
        for rows in (columns, new):
            wanted = network.predict(encoding.encoded(rows), verbose=0)
            called = exported_names(network, encoding)
            part = Part({called[name]: values for name, values in rows.items()}, np.zeros(len(wanted)))
            given = tmp_path / "joined.keras", [part]
            found = (
                _answers_of(*given) if keras.config.backend() == "tensorflow" else on_tensorflow(_answers_of, *given)
            )
            assert found[0] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["joined.keras"]
