"""``hpsearch check``: what a space declares, told without data, as a table and as JSON."""

import json

import pytest

FOLDER = """
space = Space(
    data=ImageFolder("nowhere", size=32, classes=("bright", "dark")),
    search=Recipe(
        model=Model(
            body=one_of(
                ConvNet(stages=repeat(Stage(filters=between(2, 16)), between(1, 6))),
                MobileNetV2(alpha=0.35, weights=one_of("imagenet", "mine.h5")),
            ),
        ),
        training=Training(epochs=3, optimizer=SGD(learning_rate=between(0.01, 0.1, log=True))),
    ),
    baselines={
        "ours": Recipe(
            model=Model(body=ConvNet(stages=[Stage(filters=2)])),
            training=Training(epochs=3, optimizer=SGD(learning_rate=0.05)),
        ),
        "by_name": Recipe(
            model=Model(body=MobileNetV2(alpha=0.35)), training=Training(epochs=3, optimizer=SGD(learning_rate=0.05))
        ),
        "by_path": Recipe(
            model=Model(body=MobileNetV2(alpha=0.35, weights="mine.h5")),
            training=Training(epochs=3, optimizer=SGD(learning_rate=0.05)),
        ),
    },
    constraints=at_most(parameters=3_000),
)
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory, write_space):
    return write_space(tmp_path_factory.mktemp("check") / "mine.py", FOLDER)


class TestWithoutData:
    def test_as_json(self, cli, space):
        said = cli("check", space, "--json", "--samples", 8)
        assert said.code == 0, said
        assert said.err == ""
        found = json.loads(said.out)
        assert found["dimensions"] == 1 + 1 + 6 + 1 + 1
        assert found["size"] is None, "a continuous learning rate"
        assert found["objective"] == "max val_accuracy"
        assert found["input_shape"] == [32, 32, 3]
        assert found["class_names"] == ["bright", "dark"]
        assert found["data"]["found"] is False
        assert "nowhere" in found["data"]["where"]
        assert (found["data"]["seen"], found["data"]["problem"]) == (None, None)
        assert found["at_most"] == {"parameters": 3_000, "flops": None, "memory": None}
        assert found["fits"] is None
        ours, by_name, by_path = found["baselines"]
        assert (ours["name"], by_name["name"], by_path["name"]) == ("ours", "by_name", "by_path")
        assert ours["parameters"] == (3 * 9 + 1) * 2 + (16 * 16 * 2 + 1) * 2
        assert ours["flops"] == 2 * (3 * 9 * 2 * 32 * 32 + 16 * 16 * 2 * 2)
        assert ours["memory"] > 10_000_000
        assert ours["weights"] == "random"
        assert by_name["weights"] == "to be downloaded"
        assert by_path["weights"].startswith("missing: the weights mine.h5 are in none of")
        assert by_name["parameters"] == by_path["parameters"] > 400_000
        assert not any(baseline["error"] for baseline in found["baselines"])
        assert len(found["samples"]) == 8
        for sample in found["samples"]:
            assert sample["recipe"].startswith("Recipe(")
            assert (sample["parameters"] is None) == (sample["error"] is not None)
            assert (sample["exceeds"] == ["parameters"]) == ((sample["parameters"] or 0) > 3_000)
        assert found["rejected"] == sum(bool(sample["exceeds"]) for sample in found["samples"]) / 8

    def test_as_a_table(self, cli, space):
        said = cli("check", space, "--samples", 2)
        assert said.code == 0, said
        lines = said.out.splitlines()
        assert lines[0] == f"{space}: max val_accuracy, images 32x32x3, 2 classes"
        assert "Dimensions   10" in lines
        assert any(line.startswith("Data ") and "not found" in line for line in lines)
        assert any(line.startswith("by_path") and "weights missing: " in line for line in lines)

    def test_a_limit_says_which_share_it_rejects(self, cli, space):
        samples = json.loads(cli("check", space, "--json", "--samples", 8).out)["samples"]
        beyond = sum(sample["exceeds"] == ["parameters"] for sample in samples)
        assert 0 < beyond < 8
        lines = cli("check", space, "--samples", 8).out.splitlines()
        share = f"{beyond} of 8 draws ({beyond / 8:.0%}) would be rejected"
        assert f"At most      3,000 parameters; {share}" in lines
        assert sum("exceeds 3,000 parameters" in line for line in lines) == beyond

    def test_steps_cannot_be_timed(self, cli, space):
        sentence = cli("check", space, "--time").sentence
        assert sentence.startswith("--time needs the data: ")


class TestASampleOfTheData:
    @pytest.fixture
    def folder(self, tmp_path, photos):
        return photos(tmp_path / "nowhere", 10)

    def test_a_line_says_what_is_there(self, cli, space, folder):
        lines = cli("check", space, "--samples", 1, "--data-dir", folder.parent).out.splitlines()
        (place,) = (number for number, line in enumerate(lines) if line.startswith("Data "))
        assert lines[place].endswith(f"found, {folder}")
        assert lines[place + 1].strip() == "20 photos in 2 classes; 8 opened"

    def test_what_cannot_be_read_is_the_loaders_sentence(self, cli, space, folder):
        for photo in folder.glob("dark/*"):
            photo.write_bytes(b"")
        said = cli("check", space, "--samples", 1, "--json", "--data-dir", folder.parent)
        problem = said.sentence.removeprefix(f"{space}: data: ")
        assert problem.startswith(f"The image {folder / 'dark'}")
        assert "is corrupt (it is empty)" in problem
        found = json.loads(said.out)["data"]
        assert (found["found"], found["seen"], found["problem"]) == (True, None, problem)


ENORMOUS = """
def recipe(filters, units):
    return Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=filters)] * 2), dense=[Dense(units=units)]),
        training=Training(epochs=1, batch_size=512),
    )

space = Space(
    data="digits",
    search=recipe(one_of(4, 1_000_000), one_of(300_000, 100_000_000)),
    baselines={"huge": recipe(1_000_000, 100_000_000)},
    constraints=at_most(flops=1e8, memory="1.5GB"),
)
"""


def test_networks_beyond_any_machine_are_measured_and_not_allocated(cli, tmp_path, write_space):
    space = write_space(tmp_path / "enormous.py", ENORMOUS)
    said = cli("check", space, "--json", "--samples", 8)
    assert said.code == 0, said
    found = json.loads(said.out)
    assert found["at_most"] == {"parameters": None, "flops": 100_000_000, "memory": 1_500_000_000}
    (huge,) = found["baselines"]
    assert huge["parameters"] > 4 * 10**14
    assert huge["memory"] > 10**15
    exceeds = {tuple(sample["exceeds"]) for sample in found["samples"]}
    assert ("flops", "memory") in exceeds
    assert exceeds <= {(), ("flops", "memory")}
    table = cli("check", space, "--samples", 2).out
    assert "At most      100 million FLOPs, 1.50 GB of memory; " in table
    assert "exceeds 100 million FLOPs, exceeds 1.50 GB of memory" in " ".join(table.split())


def test_steps_are_timed(cli, tmp_path, write_space, four_recipes):
    space = write_space(tmp_path / "four.py", four_recipes)
    said = cli("check", space, "--time", "--for", "1h", "--samples", 2, "--json")
    assert said.code == 0, said
    found = json.loads(said.out)
    assert found["data"]["found"] is True
    assert found["size"] == 4
    assert found["fits"] > 0
    assert all(sample["seconds"] > 0 for sample in found["samples"])
    assert list(tmp_path.iterdir()) == [space], "nothing is written"


FROZEN = """
from hpsearch import FineTune, Pretrained

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=Pretrained("FOLDER/tiny.keras", frozen=one_of(True, False)),
            dense=[Dense(units=one_of(4, 8))],
        ),
        training=Training(epochs=3, batch_size=64, fine_tune=FineTune(epochs=2)),
    ),
)
"""


class TestTimeOnFeatures:
    @pytest.fixture
    def space(self, tmp_path, write_space, monkeypatch):
        """A space whose body is frozen or not."""
        import keras

        image = keras.Input((8, 8, 1))
        keras.Model(image, keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(image))).save(tmp_path / "tiny.keras")
        monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
        return write_space(tmp_path / "mine.py", FROZEN)

    def test_an_epoch_and_what_comes_once_are_told_where_features_would_be_kept(self, cli, space):
        said = cli("check", space, "--time", "--samples", 5, "--json")
        assert said.code == 0, said
        found = json.loads(said.out)
        frozen = [sample for sample in found["samples"] if "frozen=False" not in sample["recipe"]]
        assert 0 < len(frozen) < 5
        for sample in found["samples"]:
            assert sample["error"] is None
            assert (sample["features"] is not None) == (sample in frozen)
        for sample in frozen:
            assert 0 < sample["features"]["epoch_seconds"] < sample["seconds"]
            assert sample["features"]["once_seconds"] > 0
        assert len({sample["features"]["of"] for sample in frozen}) == 1
        seconds = sum(sample["seconds"] for sample in found["samples"]) / 5
        once = frozen[-1]["features"]["once_seconds"]
        assert found["fits"] == int((8 * 3600 - once) / seconds)
        assert {path.name for path in space.parent.iterdir()} == {"mine.py", "tiny.keras"}, "nothing is kept"

    def test_the_table_says_it(self, cli, space):
        words = " ".join(cli("check", space, "--time", "--samples", 2).out.split())
        assert "on features of the frozen body, which are computed once, in " in words

    @pytest.mark.parametrize(
        ("name", "value"), [("HPSEARCH_FEATURES", "off"), ("HPSEARCH_CACHE_LIMIT", "1kB")], ids=["off", "no room"]
    )
    def test_where_none_would_be_kept_nothing_is_said_of_them(self, command, space, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        said = command("check", space, "--time", "--samples", 2, "--json").end()
        assert said.code == 0, said
        samples = json.loads(said.out)["samples"]
        assert not all("frozen=False" in sample["recipe"] for sample in samples)
        assert [sample["features"] for sample in samples] == [None] * 2
        assert all(sample["seconds"] > 0 for sample in samples)


def test_a_build_function_is_looked_into(cli, tmp_path, write_space, gated_space):
    space = write_space(tmp_path / "mine.py", gated_space)
    said = cli("check", space, "--samples", 3, "--json")
    assert said.code == 0, said
    found = json.loads(said.out)
    assert found["dimensions"] == 1
    assert found["size"] is None
    assert all("units" in sample["recipe"] for sample in found["samples"])


def test_a_build_function_that_always_raises(cli, tmp_path, write_space):
    text = (
        "def build(hp):\n    raise OSError('no such thing')\n"
        "space = Space(data='digits', search=Recipe(model=HyperModel(build), training=Training(epochs=1)))\n"
    )
    said = cli("check", write_space(tmp_path / "mine.py", text))
    assert said.code == 2
    assert said.err.endswith("none of 5 draws can be built; the last: build(hp) raised OSError: no such thing\n")
