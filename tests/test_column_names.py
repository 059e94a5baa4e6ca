"""Columns of any name: from the file to an exported model whose inputs Keras, TensorFlow and Python allow."""

import csv
import json
import keyword
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hpsearch.training.names import input_names

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CASES = [
    (["area", "Rooms2", "zip_code"], ["area", "Rooms2", "zip_code"]),
    (["living area", "price (m²)", "a/b", "x.y"], ["living_area", "price_m2", "a_b", "x_y"]),
    (["größe", "Straße", "Ölheizung", "année"], ["groesse", "Strasse", "Oelheizung", "annee"]),
    (["a b", "a_b", "a.b"], ["a_b_2", "a_b", "a_b_3"]),
    (["A", "a"], ["A", "a_2"]),
    (["2nd floor", "_x", "面積", "?"], ["column_2nd_floor", "x", "column", "column_2"]),
    (["class", "self", "numbers", "cast", "network", "categories1"],
     ["class_", "self_", "numbers_", "cast_", "network_", "categories1_"]),
    (["table", "image", "label"], ["table", "image", "label"]),
]  # fmt: skip


@pytest.mark.parametrize(("names", "wanted"), CASES)
def test_what_is_not_allowed_is_left_out(names, wanted):
    assert input_names(names) == dict(zip(names, wanted, strict=True))


@given(st.lists(st.text(min_size=1), unique=True, max_size=8))
def test_each_name_is_allowed_and_no_two_are_alike(names):
    found = list(input_names(names).values())
    assert len({name.lower() for name in found}) == len(names)
    for name in found:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
        assert not keyword.iskeyword(name)


def test_allowed_names_stay_whatever_stands_beside_them():
    assert input_names(["a b", "a.b", "a_b_2", "a_b"]) == {
        "a b": "a_b_3",
        "a.b": "a_b_4",
        "a_b_2": "a_b_2",
        "a_b": "a_b",
    }


COLUMNS = ("living area", "living_area", "living.area", "m²/room", "größe", "cast", "table", "Rooms", "rooms", "class")
"""Columns of numbers; one of texts and one of photos stand beside them."""

PHOTO = 'photo" + str(1 / 0) + "'
"""Of photos; where it is written into code without quotes of Python's own, that ends at once."""

ODD = f"""
space = Space(
    data=Table(
        "flats.csv",
        label="what for?",
        classes=("rent", "sale"),
        numeric={COLUMNS!r},
        categorical=("Stadt/Kreis", "image"),
        images={{"front photo": {PHOTO!r}}},
        size=8,
    ),
    search=Recipe(
        model=Model(
            body=Concat(
                photo=Branch(input="front photo", body=ConvNet(stages=[Stage(filters=2)]), pooling="average"),
                columns=Branch(input="table", dense=[Dense(units=one_of(2, 4))]),
            ),
        ),
        training=Training(epochs=2, batch_size=16, optimizer=Adam(learning_rate=0.01)),
    ),
)
"""


@pytest.fixture(scope="module")
def exported(cli, write_space, tmp_path_factory):
    """A model of columns whose names nothing but a CSV file allows: the folder of the data and that of the export."""
    folder = tmp_path_factory.mktemp("odd")
    random = np.random.Generator(np.random.PCG64(0))
    rows = [[*COLUMNS, "Stadt/Kreis", "image", PHOTO, "what for?"]]
    for number in range(80):
        Image.fromarray(random.integers(0, 255, (8, 8, 3)).astype(np.uint8)).save(folder / f"{number}.png")
        values = [round(float(value), 3) for value in random.normal(number % 2, 1, len(COLUMNS))]
        values[3] = "" if number % 9 == 0 else values[3]
        rows.append(
            [*values, "Köln" if number % 3 else "", "ab"[number % 2], f"{number}.png", ("rent", "sale")[number % 2]]
        )
    with open(folder / "flats.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    space = write_space(folder / "mine.py", ODD)
    run = cli("run", space, "--data-dir", folder, "--trials", 1, "--results", folder / "results")
    assert run.code == 0, run
    said = cli("export-best", "--no-finals", "--results", folder / "results")
    assert said.code == 0, said
    return folder, folder / "results" / "mine" / "export"


def test_the_description_says_which_column_each_input_is(exported):
    _, export = exported
    inputs = json.loads((export / "inputs.json").read_text(encoding="utf-8"))["inputs"]
    found = {each["column"]: each["name"] for each in inputs}
    assert set(found) == {*COLUMNS, "Stadt/Kreis", "image", PHOTO}
    assert found["living_area"] == "living_area"
    assert found["größe"] == "groesse"
    assert found[PHOTO] == "front_photo"
    assert found["table"] == "table"


def test_it_answers_for_a_file_of_such_columns_by_hand_and_as_a_saved_model(exported, tmp_path):
    import runpy

    import keras
    import tensorflow as tf

    folder, export = exported
    predict = runpy.run_path(str(export / "predict.py"))
    with open(folder / "flats.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:5]
    answers = predict["predict"](rows, folder)
    assert answers.shape == (5, 2)
    assert answers.std(axis=0).min() > 0

    model = keras.saving.load_model(export / "model.keras")
    inputs = json.loads((export / "inputs.json").read_text(encoding="utf-8"))["inputs"]
    by_hand = {}
    for each in inputs:
        cells = [row[each["column"]] for row in rows]
        if each["kind"] == "image":
            by_hand[each["name"]] = np.stack([np.asarray(Image.open(folder / cell), dtype="float32") for cell in cells])
        elif each["kind"] == "category":
            by_hand[each["name"]] = tf.constant([[cell] for cell in cells])
        else:
            by_hand[each["name"]] = np.array([[float(cell) if cell else np.nan] for cell in cells], dtype="float32")
    assert model.predict(by_hand, verbose=0) == pytest.approx(answers, abs=1e-5)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    served = loaded.serve({name: tf.constant(rows) for name, rows in by_hand.items()})
    assert served.numpy() == pytest.approx(answers, abs=1e-5)


def test_the_call_that_the_readme_shows_works(tmp_path, monkeypatch):
    import keras

    from hpsearch.data.encoding import fit_encoding
    from hpsearch.training.preprocessing import save_joined

    code = next(code for code in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "tf.constant" in code)
    columns = {
        "area": np.array([[100.0], [80.0], [np.nan]], dtype="float32"),
        "zipcode": np.array([["85255"], ["85255"], ["10115"]]),
    }
    encoding = fit_encoding(columns, ("area",), ("zipcode",), rare=1)
    table = keras.Input((encoding.width,), name="table")
    network = keras.Model(table, keras.layers.Dense(2)(table), name="network")
    save_joined(network, encoding, tmp_path / "model.keras")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)
    rows = {"area": np.array([[120.0], [np.nan]], dtype="float32"), "zipcode": np.array([["85255"], [""]])}
    assert found["answers"] == pytest.approx(network.predict(encoding.encoded(rows), verbose=0), abs=1e-5)


def test_photos_alone_are_renamed_too(tmp_path):
    import keras

    from hpsearch.training.preprocessing import save_joined

    inputs = [keras.Input((2, 2, 1), name=name) for name in ("front photo", "back")]
    flat = [keras.layers.Flatten()(entry) for entry in inputs]
    output = keras.layers.Dense(2)(keras.layers.Concatenate()(flat))
    network = keras.Model({entry.name: entry for entry in inputs}, output, name="network")
    save_joined(network, None, tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    front, back = np.random.default_rng(0).random((2, 3, 2, 2, 1))
    wanted = network.predict({"front photo": front, "back": back}, verbose=0)
    assert model.predict({"front_photo": front, "back": back}, verbose=0) == pytest.approx(wanted, abs=1e-6)


def test_an_input_that_a_builder_called_otherwise_is_called_like_that_of_the_data():
    import keras

    from hpsearch import HyperModel, Recipe, Training
    from hpsearch.resolve import from_answers
    from hpsearch.training.build import build
    from hpsearch.training.exporting import exportable
    from hpsearch.training.inputs import image_inputs

    def make(hp):
        image = keras.Input((2, 2, 1), name="of my own")
        network = keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(image)))
        network.compile("sgd", "sparse_categorical_crossentropy")
        return network

    inputs = image_inputs((2, 2, 1), 2, 255.0)
    for pixels in ("raw", "0..1"):
        recipe = Recipe(model=HyperModel(make, pixels=pixels), training=Training(epochs=1))
        model = exportable(build(recipe, inputs, from_answers({})), inputs)
        assert [entry.name for entry in model.inputs] == ["image"]
