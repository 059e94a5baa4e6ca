"""Whether networks are compiled with XLA: said once, kept by the study, and followed by all that trains or answers."""

import json

import keras
import numpy as np
import pytest

from hpsearch.training.devices import set_xla


@pytest.fixture
def switch():
    yield set_xla
    set_xla("auto")


def network(**options):
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse", **options)
    return made


@pytest.mark.parametrize(("choice", "compiles"), [("yes", True), ("no", False)])
def test_it_overrules_whoever_compiles(switch, choice, compiles):
    switch(choice)
    assert network().jit_compile is compiles
    assert network(jit_compile=True).jit_compile is compiles
    assert network(jit_compile=False).jit_compile is compiles


def test_no_one_compiles_what_is_only_asked(switch):
    """On a GPU Keras would, for a network that nobody compiled."""
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plain._jit_compile = True
    switch("no")
    assert plain.jit_compile is False
    assert plain.predict_on_batch(np.ones((1, 2))).shape == (1, 1)


def test_auto_leaves_it_to_keras_and_to_the_user(switch):
    switch("no")
    switch("auto")
    assert network(jit_compile=True).jit_compile is True
    assert network().jit_compile is False, "on a CPU"


@pytest.fixture(scope="module")
def searched(cli, tmp_path_factory, write_space, four_recipes):
    """A study that was begun without XLA and exported."""
    folder = tmp_path_factory.mktemp("xla")
    space = write_space(folder / "four.py", four_recipes)
    where = ("--results", folder / "results")
    said = cli("run", space, "--subset", 100, "--trials", 0, "--xla", "no", *where)
    assert said.code == 0, said
    exported = cli("export-best", "--no-finals", "--study", "four", *where)
    assert exported.code == 0, exported
    return folder / "results" / "four", space, where, exported


def test_the_study_and_its_script_say_so(searched):
    study, *_, exported = searched
    assert json.loads((study / "study.json").read_text())["xla"] == "no"
    assert "jit_compile=False" in (study / "export" / "train.py").read_text()
    assert "Training on the CPU" in exported.out


def test_it_goes_on_so_unless_another_is_said(searched, cli):
    study, space, where, _ = searched
    for options, xla in (((), "no"), (("--xla", "auto"), "auto")):
        assert cli("run", space, "--subset", 100, "--trials", 0, *options, *where).code == 0
        assert json.loads((study / "study.json").read_text())["xla"] == xla


@pytest.mark.parametrize("command", ["run", "finals", "export-best"])
def test_another_backend_is_refused(searched, cli, command, monkeypatch):
    """Also where it is not installed: the study has another."""
    _, space, where, _ = searched
    first = (space, "--subset", 100) if command == "run" else ("--study", "four")
    said = cli(command, *first, "--backend", "jax", *where)
    assert said.sentence.startswith("Study four was begun with --backend tensorflow; leave --backend out")
