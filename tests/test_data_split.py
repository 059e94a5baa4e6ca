"""The split: stratified, stable, the same on every machine."""

import numpy as np
import pytest

from hpsearch.data.split import Source, sealed_part, search_parts
from hpsearch.errors import DataError

NAMES = ("a", "b", "c")


def labels_of(*sizes):
    """Labels of classes of the given sizes, interleaved."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return labels[np.argsort(np.arange(len(labels)) % 7, kind="stable")]


def split(labels, keys=None, names=NAMES, **options):
    usual = {"validation": 0.2, "seed": 0, "test": 0.25, "subset": None}
    return search_parts(labels, keys or [str(i) for i in range(len(labels))], names, **(usual | options))


def test_parts_are_disjoint_cover_everything_and_keep_the_proportions():
    labels = labels_of(40, 20, 12)
    train, validation = split(labels)
    test = sealed_part(labels, [str(i) for i in range(len(labels))], 0.25)
    assert sorted([*train, *validation, *test]) == list(range(len(labels)))
    assert np.bincount(labels[test]).tolist() == [10, 5, 3]
    assert np.bincount(labels[validation]).tolist() == [6, 3, 2]


def test_the_split_is_this_one_on_every_machine():
    train, validation = split(labels_of(5, 5, 5))
    assert train.tolist() == [1, 3, 5, 7, 8, 10, 11, 12, 13]
    assert validation.tolist() == [0, 4, 14]


def test_the_seed_moves_validation_and_never_the_test_part():
    labels = labels_of(30, 30, 30)
    first, second = split(labels, seed=0), split(labels, seed=1)
    assert first[1].tolist() != second[1].tolist()
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second))


def test_an_added_image_moves_hardly_any_other():
    labels = labels_of(30, 30, 30)
    keys = [f"{i:03d}.jpg" for i in range(90)]
    validation = {keys[i] for i in split(labels, keys)[1]}
    more = {[*keys, "new.jpg"][i] for i in split(np.append(labels, 0), [*keys, "new.jpg"])[1]}
    assert len(validation ^ more) <= 4


@pytest.mark.parametrize("total", [3, 4, 10, 11, 29, 37])
def test_a_subset_has_exactly_its_size_every_class_and_lies_within_the_larger(total):
    labels = labels_of(40, 20, 3)
    train, validation = split(labels, subset=total)
    everything = split(labels)
    assert len(train) == total
    assert set(labels[train]) == set(labels[validation]) == {0, 1, 2}
    assert len(validation) == min(len(everything[1]), max(total // 2, 3))
    assert set(train) <= set(everything[0])
    assert set(validation) <= set(everything[1])


def test_subsets_are_nested_where_the_classes_are_equal():
    labels = labels_of(40, 40, 40)
    assert set(split(labels, subset=9)[0]) <= set(split(labels, subset=30)[0])


def test_the_whole_training_part_is_a_subset_too():
    labels = labels_of(10, 10, 10)
    everything = split(labels)[0]
    assert split(labels, subset=len(everything))[0].tolist() == everything.tolist()


def test_shares_leave_one_image_everywhere():
    labels = labels_of(3, 3, 3)
    train, validation = split(labels, validation=0.99, test=0.01)
    assert np.bincount(labels[train]).tolist() == np.bincount(labels[validation]).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("sizes", "options", "words"),
    [
        ((5, 5, 2), {}, "'c' has 2 images, too few to split into training, validation and test; it needs 3"),
        ((5, 5, 1), {"test": None}, "'c' has 1 image, too few to split into training and validation; it needs 2"),
        ((5, 5), {}, "'c' has 0 images"),
        ((5, 5, 5), {"subset": 10}, "A subset of 10 is more than the 9 training images"),
        ((5, 5, 5), {"subset": 2}, "A subset of 2 cannot hold an image of each of the 3 classes"),
    ],
)
def test_what_cannot_be_split_says_why(sizes, options, words):
    with pytest.raises(DataError) as caught:
        split(labels_of(*sizes), **options)
    assert words in str(caught.value)


def test_rows_of_a_table_are_too_few_by_file_and_column():
    labels = np.array([0] * 5 + [1] * 5 + [2])
    keys = [str(row) for row in range(11)]
    rest = {"validation": 0.2, "seed": 0, "test": None, "subset": None}
    with pytest.raises(DataError) as caught:
        search_parts(labels, keys, ["Cat", "dog", "cat "], source=Source("pets.csv", "kind"), **rest)
    assert str(caught.value) == (
        "pets.csv, column 'kind': the class 'cat ' has 1 row, too few to split into training and validation; it needs "
        "2 or more, or leave the class out. Did you mean 'Cat'?"
    )
    groups = ["x"] * 5 + ["y", "z", "y", "z", "y", "z"]
    labels = np.array([0] * 5 + [1] * 6)
    with pytest.raises(DataError, match="the class 'a' has too few groups of the column 'owner' to be in"):
        search_parts(labels, keys, ["a", "b"], groups=groups, source=Source("pets.csv", "kind", "owner"), **rest)
