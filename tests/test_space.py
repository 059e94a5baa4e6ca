"""Limits of a space: what they accept, how they print, what they say about nonsense."""

import pytest

from hpsearch import ConvNet, ImageFolder, Model, Recipe, Space, Stage, Training, at_most
from hpsearch.declare import source
from hpsearch.errors import SpaceError

RECIPE = Recipe(model=Model(body=ConvNet(stages=[Stage(filters=2)])), training=Training(epochs=1))


def space(**limits):
    return Space(data="digits", search=RECIPE, constraints=at_most(**limits))


@pytest.mark.parametrize(
    ("limits", "printed"),
    [
        ({"parameters": 3_000_000}, "at_most(parameters=3000000)"),
        ({"flops": 3e8}, "at_most(flops=300000000)"),
        ({"memory": "12GB"}, "at_most(memory='12GB')"),
        ({"memory": 2e9}, "at_most(memory=2000000000)"),
        ({"parameters": 5, "memory": "1.5 GiB"}, "at_most(parameters=5, memory='1.5 GiB')"),
        ({}, "at_most()"),
    ],
    ids=str,
)
def test_limits_print_as_they_are_written(limits, printed):
    assert source(space(**limits).constraints).replace('"', "'") == printed


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("12GB", 12 * 10**9),
        ("800 MB", 800 * 10**6),
        ("800mb", 800 * 10**6),
        ("1.5GiB", 3 * 2**29),
        ("0.5 TB", 5 * 10**11),
        ("4096 kB", 4_096_000),
        ("2000000 B", 2_000_000),
        (1_500_000, 1_500_000),
        (None, None),
    ],
)
def test_memory_in_bytes(memory, expected):
    assert space(memory=memory).constraints.memory_bytes == expected


@pytest.mark.parametrize(
    "memory", ["12", "lots", "GB", "-1GB", "12 GBit", "0GB", 12, 1.5e9 + 0.5, True, float("nan"), ()]
)
def test_nonsense_for_memory(memory):
    with pytest.raises(SpaceError) as caught:
        space(memory=memory)
    assert caught.value.address == "constraints.memory"
    assert 'allowed: a size of 1 MB or more, such as "12GB"' in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flops", [0, -5, 1.5, float("inf"), "3e8", "many", True])
def test_nonsense_for_operations(flops):
    with pytest.raises(SpaceError) as caught:
        space(flops=flops)
    assert caught.value.address == "constraints.flops"
    assert "such as 300_000_000 or 3e8" in str(caught.value)


def test_a_limit_belongs_to_what_is_searched():
    assert space(memory="12GB").fingerprint != space(memory="11GB").fingerprint
    assert space(flops=3e8).fingerprint == space(flops=300_000_000).fingerprint
    assert "memory=" not in space(flops=3e8).text


def test_a_sigmoid_head_for_three_classes_names_them():
    model = Model(body=ConvNet(stages=[Stage(filters=4)]), head="sigmoid")
    data = ImageFolder("pets", classes=("cat", "dog", "empty"), size=8)
    with pytest.raises(SpaceError, match='got "sigmoid" for 3 classes, cat, dog, empty; it tells two apart'):
        Space(data=data, search=Recipe(model=model, training=Training(epochs=1, batch_size=8)))


class TestABaselineOutsideTheSpace:
    def refused(self, body, **training):
        ours = Recipe(model=Model(body=body), training=Training(**training))
        with pytest.raises(SpaceError) as caught:
            Space(data="digits", search=RECIPE, baselines={"ours": ours})
        return str(caught.value)

    def test_is_told_every_difference_at_once(self):
        said = self.refused(ConvNet(stages=[Stage(filters=3)]), epochs=2)
        assert said == (
            "baselines['ours'].model.body.stages[0].filters: got 3; the space fixes it at 2. "
            "Also training.epochs: got 2; the space fixes it at 1. A baseline must be a point of the space."
        )

    def test_is_told_five_differences_and_that_there_are_more(self):
        said = self.refused(
            ConvNet(stages=[Stage(filters=3)], pool=None, dropout=0.5), epochs=2, batch_size=64, label_smoothing=0.1
        )
        assert said.count(": got ") == 5
        assert said.endswith(". There are more. A baseline must be a point of the space.")
