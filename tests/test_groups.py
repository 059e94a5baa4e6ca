"""Rows of one group stay on one side of the split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data import Table
from hpsearch.data.loading import load_search_data, load_test_part
from hpsearch.data.split import bands, sealed_part, search_parts
from hpsearch.errors import DataError

NAMES = ("a", "b")


def parts_of(labels, groups, **options):
    """Training, validation and test positions."""
    keys = [str(i) for i in range(len(labels))]
    usual = {"validation": 0.25, "seed": 0, "test": 0.25, "subset": None}
    labels = np.asarray(labels)
    found = search_parts(labels, keys, NAMES, groups=groups, **(usual | options))
    return (*found, sealed_part(labels, keys, 0.25, groups))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), min_size=1, max_size=120))
@settings(max_examples=60, deadline=None)
def test_no_group_is_on_two_sides(rows):
    # twelve groups of each class besides, so that there is enough to split
    rows = rows + [(label, 100 + 12 * label + n) for label in (0, 1) for n in range(12)]
    labels, groups = zip(*rows, strict=True)
    names = [f"g{group}" for group in groups]
    train, validation, test = parts_of(labels, names)
    sides = [{names[i] for i in part} for part in (train, validation, test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert sorted([*train, *validation, *test]) == list(range(len(labels)))


def test_shares_and_proportions_are_kept_roughly():
    labels = np.repeat([0, 1], [300, 100])
    groups = [f"{label}-{i // 3}" for i, label in enumerate(labels)]
    train, validation, test = parts_of(labels, groups)
    assert np.abs(np.bincount(labels[test]) - [75, 25]).max() <= 1
    assert np.abs(np.bincount(labels[validation]) - [56, 19]).max() <= 1
    assert len(train) + len(validation) + len(test) == 400


def test_rows_without_a_group_stand_for_themselves():
    labels = np.arange(200) % 2
    train, validation, test = parts_of(labels, [""] * 200)
    assert [len(train), len(validation), len(test)] == [112, 38, 50]


def test_the_order_of_rows_and_the_groups_beside_it_do_not_matter():
    labels = np.arange(60) % 2
    groups = [f"g{i % 20}" for i in range(60)]
    first = {groups[i] for i in parts_of(labels, groups)[2]}
    turned = {groups[::-1][i] for i in parts_of(labels[::-1], groups[::-1])[2]}
    assert first == turned
    more = {[*groups, "new"][i] for i in parts_of([*labels, 0], [*groups, "new"])[2]}
    assert len(first ^ more) <= 2


def test_a_subset_takes_from_each_side_only():
    labels = np.arange(120) % 2
    groups = [f"g{i % 40}" for i in range(120)]
    whole = parts_of(labels, groups)
    train, validation, _ = parts_of(labels, groups, subset=20)
    assert len(train) == 20
    assert set(train) <= set(whole[0])
    assert set(validation) <= set(whole[1])


def test_a_class_of_one_group_is_refused_with_its_name():
    labels = [0] * 20 + [1] * 20
    groups = [f"g{i}" for i in range(20)] + ["together"] * 20
    with pytest.raises(DataError, match="The class 'b' has too few groups to be in every part"):
        parts_of(labels, groups)


def test_bands_hold_as_many_amounts_each_from_small_to_large():
    amounts = np.random.default_rng(0).normal(size=105).astype(np.float32)
    found = bands(amounts, [str(i) for i in range(105)])
    assert np.bincount(found).tolist() in ([11] * 5 + [10] * 5, [11, 10] * 5)
    assert all(amounts[found == band].max() <= amounts[found == band + 1].min() for band in range(9))
    assert bands(amounts[:3], ["a", "b", "c"]).tolist() == [0, 0, 0]


def test_the_group_column_of_a_table_keeps_them_together(tmp_path):
    lines = ["x,label,house"] + [f"{n},{'ab'[n % 2]},{f'h{n // 4}' if n < 60 else ''}" for n in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = Table("t.csv", label="label", classes=("a", "b"), numeric=("x",), group="house")
    found = load_search_data(data, data_dir=tmp_path)
    sides = [found.train, found.validation, load_test_part(data, data_dir=tmp_path)]
    houses = [{int(x) // 4 for x in part.columns["x"][:, 0] if x < 60} for part in sides]
    assert all(houses)
    assert sum(map(len, houses)) == 15
