"""Memory that really runs out while a search runs: the trial says so, and the search goes on and keeps away from it."""

import pytest

HUNGRY = """
import keras
import numpy as np

def build(hp):
    kind = hp.Choice("kind", ["modest", "huge_images", "huge_array"])
    layers = [keras.Input((8, 8, 1))]
    if kind == "huge_images":
        layers.append(keras.layers.ZeroPadding2D(2**22))
    if kind == "huge_array":
        np.ones(2**52)
    rate = hp.Float("rate", 0.01, 0.02) if kind == "modest" else 0.01
    model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return model

space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=2)))
"""
"""A builder, and a network in training, that ask for more than any machine has."""


@pytest.mark.parametrize("device", ["cpu", pytest.param("0", marks=pytest.mark.gpu)])
def test_networks_too_large_for_the_machine_fail_and_the_search_goes_on(
    device, cli, tmp_path, write_space, trials_of, monkeypatch
):
    if device != "cpu":
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    space = write_space(tmp_path / "mine.py", HUNGRY)
    said = cli("run", space, "--trials", 6, "--subset", 100, "--devices", device, "--results", tmp_path)
    assert said.code == 0, said
    trials = trials_of(tmp_path / "mine")
    failed = {trial["answers"]["model.kind"]: trial for trial in trials if trial["state"] == "FAIL"}
    assert set(failed) == {"huge_images", "huge_array"}
    assert {(trial["failure"], trial["attempts"]) for trial in failed.values()} == {("out_of_memory", 1)}
    assert "Unable to allocate" in failed["huge_array"]["message"]
    assert "ResourceExhaustedError" in failed["huge_images"]["message"]
    trained = [trial for trial in trials if trial["state"] == "COMPLETE"]
    assert {trial["answers"]["model.kind"] for trial in trained} == {"modest"}
    assert len(trained) == 4, "choices that were tried in vain are not tried again"


GROWING = """
import keras
import numpy as np

def build(hp):
    kind = hp.Choice("kind", ["modest", "growing"])
    if kind == "growing":
        taken = [np.ones(2**24) for _ in range(64)]
        raise AssertionError(f"{sum(each.nbytes for each in taken)} bytes were to be had")
    rate = hp.Float("rate", 0.01, 0.02)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return model

space = Space(data="digits", search=Recipe(model=HyperModel(build), training=Training(epochs=1)))
"""
"""A builder that takes eight gigabytes piece by piece, and writes to all of them."""


@pytest.mark.slow
def test_a_worker_that_the_system_ends_for_want_of_memory(
    command, small_group, tmp_path, write_space, trials_of, wait_for
):
    """It ends that worker and neither the fork server nor the coordinator, which knows why and goes on."""
    space = write_space(tmp_path / "mine.py", GROWING)
    run = command("run", space, "--trials", 4, "--subset", 100, "--seed", 1, "--devices", "cpu", "--results", tmp_path)
    small_group.write_text(str(run.process.pid))  # long before it starts any other process
    said = run.end()
    assert said.code == 0, said
    trials = trials_of(tmp_path / "mine")
    (killed,) = [trial for trial in trials if trial["answers"]["model.kind"] == "growing"]
    assert (killed["state"], killed["failure"], killed["attempts"]) == ("FAIL", "out_of_memory", 1)
    assert killed["message"] == "the worker process was ended by signal 9: memory ran out."
    assert [trial["state"] for trial in trials if trial is not killed] == ["COMPLETE"] * 3
    wait_for(run.gone, "the end of all processes")
