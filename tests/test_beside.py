"""Two processes on one device: each training is what it is alone. On JAX, with whole epochs in one call."""

import json

import pytest

SPACE = """
import sys

from hpsearch import Adam, Augment, ConvNet, Model, Recipe, Space, Stage, Training, one_of

if "hpsearch.training.worker" in sys.modules:
    from hpsearch.training import by_device

    by_device.loops_on_device = lambda: True  # as on a GPU


def net(*filters, **more):
    return ConvNet(stages=[Stage(filters=each) for each in filters], batchnorm="after_activation", **more)


space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=one_of(
                one=net(4),
                two=net(3, 5),
                wide=net(8, dropout=0.2),
                twice=net(5, 5),
                unscaled=net(6, batchnorm_scale=False),
                seven=net(7),
                three=net(2, 3, 4),
                slow=net(9, batchnorm_momentum=0.9),
            ),
            pooling="average",
        ),
        training=Training(
            epochs=2, batch_size=32, optimizer=Adam(learning_rate=0.01), augment=Augment(translation=0.1)
        ),
    ),
)
"""


def found(cli, results, study, per_device):
    """What each network scored, and what each of its epochs measured, by number; their seeds are the same."""
    run = ["run", results / "mine.py", "--study", study, "--trials", "8", "--subset", "150", "--results", results]
    how = ["--strategy", "grid", "--no-baselines", "--deterministic", "--backend", "jax", "--engine", "device"]
    said = cli(*run, *how, "--devices", "cpu", "--per-device", per_device)
    assert said.code == 0, said
    rows = json.loads(cli("leaderboard", "--study", study, "--results", results, "--json").out)
    assert {row["engine"] for row in rows} == {"device"}
    shown = [
        json.loads(cli("show", row["number"], "--study", study, "--results", results, "--json").out) for row in rows
    ]
    for each in shown:
        assert each["doubt"] is None
        for epoch in each["history"]:
            del epoch["seconds"]
    return {each["number"]: (each["recipe"], each["validation"], each["train"], each["history"]) for each in shown}


@pytest.mark.jax
def test_eight_shapes_are_what_they_are_alone(cli, tmp_path):
    (tmp_path / "mine.py").write_text(SPACE)
    alone = found(cli, tmp_path, "alone", 1)
    beside = found(cli, tmp_path, "beside", 2)
    assert len({recipe for recipe, *_ in alone.values()}) == 8
    assert all(len(history) == 2 for *_, history in alone.values())
    assert beside == alone
