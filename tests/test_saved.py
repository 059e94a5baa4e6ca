"""A trial saved as it was trained in the search: the same weights, the same score, and no look at anything else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hpsearch import SGD, Adam, Augment, Branch, ConvNet, Dense, FineTune, Model, Pretrained, Recipe, Space, Stage
from hpsearch import Training as TrainingOf
from hpsearch.blocks.origin import EXPORTED, SAVED, Origin, origin_of, sign
from hpsearch.data.declarations import named
from hpsearch.data.loading import SearchData, load_search_data
from hpsearch.data.parts import image_part
from hpsearch.errands import Save
from hpsearch.errors import SpaceError, StudyError
from hpsearch.executors.scratch import scratch_folder
from hpsearch.resolve import from_answers
from hpsearch.study.folder import StudyFolder
from hpsearch.training.build import Built, build
from hpsearch.training.fit import Saving, fit
from hpsearch.training.inputs import Inputs, image_inputs
from hpsearch.training.reading import check_unseen
from hpsearch.training.saved import save_trial
from hpsearch.training.scoring import answers, scores
from hpsearch.training.watch import Leaving, Watch

# ---- the weights

INPUTS = image_inputs((8, 8, 1), 10, 16.0)
HASH = "0123456789ab"


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("HPSEARCH_DATA_DIR", "HPSEARCH_FEATURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
    yield
    keras.utils.clear_session()


def digits(subset: int = 120) -> SearchData:
    return load_search_data(named("digits"), subset=subset)


NET = ConvNet(stages=[Stage(filters=4)], batchnorm="after_activation", dropout=0.2)


def recipe(body: Any = NET, **training: Any) -> Recipe:
    options = {"epochs": 3, "batch_size": 32, "optimizer": Adam(learning_rate=0.01), **training}
    return Recipe(model=Model(body=body, dense=[Dense(units=6)]), training=TrainingOf(**options))


def fresh(said: Recipe, seed: int = 0) -> Built:
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    return build(said, INPUTS, from_answers({}))


class Leaves(Watch):
    """Leaves at a step of an epoch."""

    def __init__(self, at: tuple[int, int] | None = None) -> None:
        self.at = at

    def step(self, epoch: int, done: int, steps: int | None) -> bool:
        return (epoch, done) == self.at


def trained(said: Recipe, data: SearchData, folder: Path, watch: Watch | None = None) -> Any:
    built = fresh(said)
    outcome = fit(
        built,
        data.train,
        data.validation,
        INPUTS,
        metric="val_accuracy",
        maximize=True,
        seed=3,
        watch=watch or Leaves(),
        saving=Saving(folder, HASH),
    )
    return built, outcome


def saved(said: Recipe, data: SearchData, folder: Path, path: Path, hash_: str = HASH) -> tuple[Built, Any]:
    """A network that starts from other random numbers and is given the best weights of the trial."""
    task = Save("study", "7", folder, 3, {}, None, "", False, HASH, None, path)
    built = fresh(said, seed=99)
    return built, save_trial(task, built, hash_, Space(data="digits", search=said), data, INPUTS)


def pretrained() -> Pretrained:
    """A body that is frozen as a whole, whose trials hold the head alone in their checkpoints."""
    fresh(recipe()).network.save("before.keras")
    return Pretrained("before.keras", until="stage1_pool")


TUNED = FineTune(epochs=2, unfreeze_last=3, learning_rate=0.003)
KINDS = {
    "plain": {},
    "that learns nothing but statistics": {"optimizer": SGD(learning_rate=1e-30)},
    "augmented": {"augment": Augment(flip="horizontal")},
    "averaged": {"average": 0.9},
    "on features of a frozen body": {"body": pretrained},
    "on features, then fine-tuned": {"body": pretrained, "fine_tune": TUNED},
    "fine-tuned": {"body": pretrained, "fine_tune": TUNED, "augment": Augment(translation=0.1)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_the_best_epoch(kind: str, tmp_path: Path) -> None:
    options = dict(KINDS[kind])
    said = recipe(**{**options, "body": options["body"]()} if "body" in options else options)
    data = digits()
    (tmp_path / "trial").mkdir()
    whole, outcome = trained(said, data, tmp_path / "trial")
    expected = whole.network.get_weights()
    built, found = saved(said, data, tmp_path / "trial", tmp_path / "model.keras")
    assert all((one == other).all() for one, other in zip(built.network.get_weights(), expected, strict=True))
    assert (found.epoch, found.recorded) == (outcome.best_epoch, outcome.score)
    assert found.score == pytest.approx(outcome.score, abs=1e-6)
    assert found.difference <= 1e-6
    model = keras.saving.load_model(tmp_path / "model.keras")
    again = scores(answers(model, data.validation), data.validation.labels)["accuracy"]
    assert again == pytest.approx(outcome.score, abs=1e-6)


@pytest.mark.parametrize("place", [(2, 1), (3, 0)])
def test_a_trial_that_was_left_within_an_epoch_gives_its_best_so_far(place: tuple[int, int], tmp_path: Path) -> None:
    data = digits()
    (tmp_path / "trial").mkdir()
    with pytest.raises(Leaving):
        trained(recipe(), data, tmp_path / "trial", Leaves(place))
    _, found = saved(recipe(), data, tmp_path / "trial", tmp_path / "model.keras")
    assert 1 <= found.epoch < place[0]
    assert found.score == pytest.approx(found.recorded, abs=1e-6)


def test_amounts_keep_their_unit(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    parts = [
        image_part(generator.integers(0, 16, (n, 8, 8, 1)).astype("uint8"), generator.normal(5e5, 1e5, n).astype("f4"))
        for n in (64, 32)
    ]
    data = SearchData(*parts, (), "amounts")
    said = Recipe(
        model=Model(body=None, dense=[Dense(units=4)], head="linear"), training=TrainingOf(epochs=2, batch_size=16)
    )
    inputs = Inputs({"image": (8, 8, 1)}, 0, 16.0)

    def built() -> Built:
        keras.utils.clear_session()
        return build(said, inputs, from_answers({}))

    (tmp_path / "trial").mkdir()
    options: dict[str, Any] = {"metric": "val_mae", "maximize": False, "seed": 3, "watch": Leaves()}
    outcome = fit(built(), *parts, inputs, **options, saving=Saving(tmp_path / "trial", HASH))

    class Amounts:
        objective, metrics, declaration = "min val_mae", (), named("digits")

    task = Save("study", "7", tmp_path / "trial", 3, {}, None, "", False, HASH, None, tmp_path / "model.keras")
    found = save_trial(task, built(), HASH, Amounts(), data, inputs)  # type: ignore[arg-type]  # all that it looks at
    assert found.score == pytest.approx(outcome.score, rel=1e-5)
    model = keras.saving.load_model(tmp_path / "model.keras")
    told = answers(model, parts[1])[:, 0]
    assert np.abs(told - parts[1].labels).mean() == pytest.approx(outcome.score, rel=1e-4)


class TestCheckpointsThatDoNotFit:
    def test_of_another_recipe(self, tmp_path: Path) -> None:
        data = digits()
        trained(recipe(), data, tmp_path)
        with pytest.raises(StudyError, match="does not give the network that was trained"):
            saved(recipe(), data, tmp_path, tmp_path / "model.keras", "another")

    def test_of_another_network_or_damaged(self, tmp_path: Path) -> None:
        data = digits()
        trained(recipe(), data, tmp_path)
        for change in (lambda: None, lambda: (tmp_path / "checkpoint.npz").write_bytes(b"damaged")):
            change()
            with pytest.raises(StudyError, match="none of its checkpoints can be read"):
                saved(recipe(ConvNet(stages=[Stage(filters=5)])), data, tmp_path, tmp_path / "model.keras")
        assert not (tmp_path / "model.keras").exists()


# ---- where a model comes from


class TestWhereItComesFrom:
    def test_the_note_is_in_the_file_wherever_it_goes(self, tmp_path: Path) -> None:
        network = fresh(recipe()).network
        network.save("one.keras")
        sign(Path("one.keras"), Origin("data", SAVED, "study", "7"))
        (tmp_path / "elsewhere").mkdir()
        moved = Path("one.keras").rename(tmp_path / "elsewhere" / "other.keras")
        assert origin_of(moved) == Origin("data", SAVED, "study", "7")
        again = keras.saving.load_model(moved)
        assert all((a == b).all() for a, b in zip(again.get_weights(), network.get_weights(), strict=True))

    def test_an_export_of_an_earlier_version_says_it_beside_the_file(self, tmp_path: Path) -> None:
        said = {"data": {"fingerprint": "data"}, "study": "old", "chosen": {"name": "12"}, "baseline": {"name": "by"}}
        for name in ("model.keras", "baseline.keras", "mine.keras"):
            fresh(recipe()).network.save(name)
        assert origin_of(tmp_path / "model.keras") is None
        (tmp_path / "metrics.json").write_text(json.dumps(said))
        assert origin_of(tmp_path / "model.keras") == Origin("data", EXPORTED, "old", "12")
        assert origin_of(tmp_path / "baseline.keras") == Origin("data", EXPORTED, "old", "by")
        assert origin_of(tmp_path / "mine.keras") is None

    @pytest.mark.parametrize("content", [b"no model", b""])
    def test_what_is_no_model_says_nothing(self, content: bytes) -> None:
        Path("model.keras").write_bytes(content)
        assert origin_of(Path("model.keras")) is None

    def test_only_what_saw_the_validation_part_of_this_data_is_refused(self) -> None:
        for name, parts in (("saved.keras", SAVED), ("exported.keras", EXPORTED)):
            fresh(recipe()).network.save(name)
            sign(Path(name), Origin("this", parts, "houses", "photo_alone"))

        def space(name: str) -> Space:
            return Space(data="digits", search=recipe(Pretrained(name)))

        check_unseen(space("saved.keras"), "this")
        check_unseen(space("exported.keras"), "that")
        check_unseen(space("missing.keras"), "this")
        with pytest.raises(SpaceError) as caught:
            check_unseen(space("exported.keras"), "this")
        assert str(caught.value) == (
            'model.body.path: got "exported.keras", an exported model: it was trained on the validation part of this '
            "data, too, so that its scores would be too good; take one that was not, from: "
            "hpsearch save photo_alone FILE.keras --study houses"
        )
        baseline = replace(space("saved.keras"), baselines={"b": recipe(Pretrained("exported.keras"))})
        with pytest.raises(SpaceError, match=r"^baselines\['b'\]\.model\.body\.path: got \"exported\.keras\""):
            check_unseen(baseline, "this")


# ---- the command

STUDY = """
def recipe(filters, dropout=0.0):
    return Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=filters)], dropout=dropout), dense=[Dense(units=8)]),
        training=Training(epochs=2, batch_size=16, optimizer=Adam(learning_rate=0.01)),
    )

space = Space(
    data=ImageFolder("FOLDER/photos", size=12, classes=("bright", "dark")),
    search=recipe(one_of(2, 3, 4), one_of(0.0, 0.1)),
    baselines={"by_hand": recipe(4)},
)
"""


@pytest.fixture(scope="module")
def ended(cli: Any, tmp_path_factory: pytest.TempPathFactory, write_space: Any) -> Path:
    """A study of photos that has ended, with a recipe that somebody enqueued; its test photos are damaged since."""
    folder = tmp_path_factory.mktemp("ended")
    generator = np.random.default_rng(0)
    for part, count in (("train", 30), ("test", 4)):
        for low, name in ((128, "bright"), (0, "dark")):
            (folder / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(low // 2, low // 2 + 190, (12, 12, 3)).astype("uint8")
                keras.utils.save_img(folder / "photos" / part / name / f"{number:02d}.png", pixels, scale=False)
    space = write_space(folder / "mine.py", STUDY)
    (folder / "added.py").write_text(STUDY.partition("space =")[0] + "recipe = recipe(3, 0.1)\n")
    results = folder / "results"
    assert cli("enqueue", space, "--recipe", folder / "added.py", "--results", results).code == 0
    said = cli("run", space, "--trials", 2, "--results", results)
    assert said.code == 0, said
    for photo in folder.glob("photos/test/*/*.png"):
        photo.write_bytes(b"sealed")
    return results / "mine"


@pytest.fixture
def study(ended: Path, tmp_path: Path) -> StudyFolder:
    return StudyFolder(shutil.copytree(ended, tmp_path / "results" / "mine"))


def state_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestTheCommand:
    @pytest.mark.parametrize("which", ["by_hand", "enqueued", "proposed"])
    def test_the_file_scores_what_the_record_says_and_nothing_else_is_touched(
        self, which: str, cli: Any, study: StudyFolder, tmp_path: Path
    ) -> None:
        """While another process writes the study; the test photos cannot even be read."""
        kinds = {"by_hand": "by_hand", "enqueued": None, "proposed": None}
        trial = next(
            t for t in study.trials() if t.baseline == kinds[which] and t.enqueued == (which == "enqueued") and t.epochs
        )
        before = state_of(study.path)
        with study.writing():
            said = cli("save", trial.name, tmp_path / "one.keras", "--results", study.path.parent, "--json")
            assert said.code == 0, said
        after = state_of(study.path)
        assert {name for name in after if after[name] != before.get(name)} <= {"lock"}
        found = json.loads(said.out)
        assert (found["trial"], found["baseline"], found["epoch"]) == (trial.number, trial.baseline, trial.best_epoch)
        assert found["score"] == pytest.approx(trial.score, abs=1e-6)
        assert found["recorded"] == trial.score
        assert found["parameters"] == trial.parameters
        assert {path.name for path in tmp_path.iterdir() if "keras" in path.name or path.name[0] == "."} == {
            "one.keras"
        }

        from hpsearch.spacefile import load_space

        space = load_space(study.space_file)
        data = load_search_data(space.declaration)
        model = keras.saving.load_model(tmp_path / "one.keras")
        part = data.validation
        assert scores(answers(model, part), part.labels)["accuracy"] == pytest.approx(trial.score, abs=1e-6)
        assert origin_of(tmp_path / "one.keras") == Origin(data.fingerprint, SAVED, "mine", trial.name)

        branch = Branch(body=Pretrained("one.keras"), dense=[Dense(units=3)])
        network = build(Recipe(model=Model(body=branch.body), training=TrainingOf(epochs=1)), INPUTS_OF(data), None)  # type: ignore[arg-type]  # nothing is asked
        seen = part.images[:4].astype("float32")
        whole = keras.Model(model.input, model.get_layer("dense1").output)
        taken = keras.ops.convert_to_numpy(network.network.get_layer("pretrained")(seen))
        np.testing.assert_allclose(taken, keras.ops.convert_to_numpy(whole(seen)), rtol=1e-4)

    def test_in_words(self, cli: Any, study: StudyFolder, tmp_path: Path) -> None:
        trial = study.find("by_hand")
        said = cli("save", "by_hand", tmp_path / "one.keras", "--results", study.path.parent)
        assert said.code == 0, said
        assert said.out.splitlines() == [
            (
                f"Saved trial by_hand of study mine, epoch {trial.best_epoch}: val_accuracy {trial.score:.4f}, "
                f"{trial.parameters:,} parameters."
            ),
            f"Written: {tmp_path / 'one.keras'}",
        ]

    def test_a_file_is_replaced_only_where_that_is_said(self, cli: Any, study: StudyFolder, tmp_path: Path) -> None:
        (tmp_path / "one.keras").write_text("precious")
        arguments = ("save", "by_hand", tmp_path / "one.keras", "--results", study.path.parent)
        assert cli(*arguments).sentence == (
            f"{tmp_path / 'one.keras'} exists already; name another file, or say --force to write over it."
        )
        assert (tmp_path / "one.keras").read_text() == "precious"
        assert cli(*arguments, "--force").code == 0
        assert zipfile.is_zipfile(tmp_path / "one.keras")

    def test_what_a_killed_one_left_beside_the_file_goes_with_the_next(
        self, cli: Any, study: StudyFolder, tmp_path: Path
    ) -> None:
        alive = scratch_folder(tmp_path)
        ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        left = alive.rename(tmp_path / alive.name.replace(str(os.getpid()), str(int(ended.stdout))))
        alive = scratch_folder(tmp_path)
        (left / "model.keras").write_bytes(b"half of it")
        assert cli("save", "by_hand", tmp_path / "one.keras", "--results", study.path.parent).code == 0
        assert [path for path in tmp_path.iterdir() if path.name[0] == "."] == [alive]
        assert not left.exists()

    def test_what_is_asked_wrongly(self, cli: Any, study: StudyFolder, tmp_path: Path) -> None:
        def refused(trial: str, path: Path) -> str:
            sentence: str = cli("save", trial, path, "--results", study.path.parent).sentence
            return sentence

        assert "has no trial 'by_hnd'" in refused("by_hnd", tmp_path / "one.keras")
        assert refused("by_hand", tmp_path / "one.h5").endswith("a name that ends in .keras, such as one.keras.")
        assert "there is no folder" in refused("by_hand", tmp_path / "nowhere" / "one.keras")
        (tmp_path / "folder.keras").mkdir()
        assert "is a folder" in refused("by_hand", tmp_path / "folder.keras")

    def test_trials_without_a_checkpoint_say_why(self, cli: Any, study: StudyFolder, tmp_path: Path) -> None:
        def refused(name: str) -> str:
            sentence: str = cli("save", name, tmp_path / "one.keras", "--results", study.path.parent).sentence
            return sentence

        assert cli("clean", "--keep", 0, "--yes", "--results", study.path.parent).code == 0
        assert refused("by_hand").startswith("Trial by_hand of study mine has no checkpoint any more: ")
        trial = study.find("by_hand")
        study.trial(trial.number).write(replace(trial, state="RUNNING"))
        assert refused("by_hand") == "Trial by_hand of study mine has no checkpoint yet; wait for its first epoch."
        study.trial(trial.number).write(replace(trial, state="FAIL", epochs=0, message="memory ran out."))
        said = "Trial by_hand of study mine was not trained: memory ran out; there is nothing to save."
        assert refused("by_hand") == said

    def test_other_data_and_another_recipe(self, cli: Any, study: StudyFolder, tmp_path: Path) -> None:
        arguments = ("save", "by_hand", tmp_path / "one.keras", "--results", study.path.parent)
        trial = study.find("by_hand")
        study.trial(trial.number).write(replace(trial, hash="another"))
        said = cli(*arguments)
        assert (said.code, "its recipe does not give the network that was trained" in said.err) == (1, True)
        info = study.info()
        study.write_info(replace(info, data_fingerprint="another"))
        assert "not what the study searched on" in cli(*arguments).sentence
        assert [path.name for path in tmp_path.iterdir()] == ["results"]


def INPUTS_OF(data: SearchData) -> Inputs:  # noqa: N802  # stands beside INPUTS
    return Inputs(data.features, len(data.class_names), 255.0)


TABLE = """
def recipe(units):
    return Recipe(
        model=Model(body=None, dense=[Dense(units=units)], head="linear"),
        training=Training(epochs=3, batch_size=16, optimizer=Adam(learning_rate=0.05)),
    )

space = Space(
    data=Table("FOLDER/prices.csv", label="price", amount=True, numeric=("area",), categorical=("zip",)),
    search=recipe(one_of(2, 4, 8)),
    baselines={"by_hand": recipe(4)},
    objective="min val_mae",
)
"""


def test_a_table_takes_its_columns_as_the_file_holds_them(cli: Any, tmp_path: Path, write_space: Any) -> None:
    generator = np.random.default_rng(0)
    rows = [(a, z, 1000 * a + 5e4 * "ABC".index(z)) for a, z in zip(range(50, 170), "ABC" * 40, strict=True)]
    lines = [f"{a if generator.random() > 0.1 else ''},{z},{price}" for a, z, price in rows]
    (tmp_path / "prices.csv").write_text("area,zip,price\n" + "\n".join(lines) + "\n")
    space = write_space(tmp_path / "mine.py", TABLE)
    assert cli("run", space, "--trials", 1, "--results", tmp_path / "results").code == 0
    said = cli("save", "by_hand", tmp_path / "one.keras", "--results", tmp_path / "results", "--json")
    assert said.code == 0, said
    trial = StudyFolder(tmp_path / "results" / "mine").find("by_hand")
    assert json.loads(said.out)["score"] == pytest.approx(trial.score, rel=1e-5)

    from hpsearch.spacefile import load_space

    part = load_search_data(load_space(space).declaration).validation
    model = keras.saving.load_model(tmp_path / "one.keras")
    assert sorted(each.name for each in model.inputs) == ["area", "zip"]
    mae = np.abs(answers(model, part)[:, 0] - part.labels).mean()
    assert mae == pytest.approx(trial.score, rel=1e-4)


LEAKING = """
from hpsearch import Pretrained

space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=Pretrained("branch.keras"), dense=[Dense(units=one_of(2, 4))]),
        training=Training(epochs=1, batch_size=32),
    ),
)
"""


def test_what_was_exported_is_no_branch_for_the_same_data_and_what_was_saved_is(
    cli: Any, tmp_path: Path, write_space: Any, four_recipes: str
) -> None:
    first = write_space(tmp_path / "first.py", four_recipes)
    results = ("--results", tmp_path / "results")
    assert cli("run", first, "--subset", 100, "--trials", 0, *results).code == 0
    assert cli("export-best", "--no-finals", "--study", "first", *results).code == 0
    shutil.copy(tmp_path / "results" / "first" / "export" / "model.keras", tmp_path / "branch.keras")
    second = write_space(tmp_path / "second.py", LEAKING)
    arguments = ("run", second, "--trials", 1, *results)
    sentence = cli(*arguments, "--subset", 100).sentence
    assert sentence.startswith(f'{second}: model.body.path: got "branch.keras", an exported model: ')
    assert sentence.endswith("hpsearch save by_hand FILE.keras --study first")
    assert not (tmp_path / "results" / "second").exists()
    said = cli("save", "by_hand", tmp_path / "branch.keras", "--study", "first", "--force", *results)
    assert said.code == 0, said
    said = cli(*arguments, "--subset", 100)
    assert said.code == 0, said
