"""Pickles are read as what they hold, in every protocol, and nothing that they ask for is called."""

import contextlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hpsearch.data.archives import _parse_batch
from hpsearch.data.pickles import array_of, read_pickle, text_of
from hpsearch.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
KINDS = st.sampled_from(["u1", "i1", "<i2", "<u4", "<i8", ">i4"])
ARRAYS = KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(max_dims=3, max_side=4)))
NUMBERS = st.lists(st.integers(-(2**40), 2**40), max_size=5)


@given(
    st.lists(st.integers(-(2**40), 2**40), max_size=5), st.sampled_from(PROTOCOLS), st.sampled_from(["data", b"data"])
)
def test_lists_of_whole_numbers_under_texts_and_bytes(numbers, protocol, key):
    found = read_pickle(pickle.dumps({key: numbers, "name": ("a", 1.5, None, True)}, protocol=protocol))
    assert set(found) == {"data", "name"}
    assert array_of(found["data"]).tolist() == numbers
    assert text_of(found["name"][0]) == "a"


@given(ARRAYS, st.sampled_from(PROTOCOLS))
def test_arrays_of_whole_numbers(values, protocol):
    found = array_of(read_pickle(pickle.dumps({"x": values}, protocol=protocol))["x"])
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


class Trap:
    def __reduce__(self):
        return os._exit, (9,)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_called(protocol):
    with pytest.raises(ValueError, match=r"^it holds \w+\._exit$"):
        read_pickle(pickle.dumps(Trap(), protocol=protocol))
    inside = read_pickle(pickle.dumps({"x": Trap()}, protocol=protocol))["x"]
    with pytest.raises(ValueError, match=r"^it holds \w+\._exit where an array should be$"):
        array_of(inside)


@pytest.mark.parametrize("values", [np.zeros(2), np.array(["a"]), np.array([None]), np.zeros(2, "M8[s]")])
def test_arrays_of_something_else_are_refused(values):
    found = read_pickle(pickle.dumps({"x": values}, protocol=2))["x"]
    with pytest.raises(ValueError, match=r"of type|where bytes should be"):
        array_of(found)


BATCH = pickle.dumps({b"data": np.zeros((2, 3072), "u1"), b"labels": [1, 2]}, protocol=2)


@given(st.integers(0, 150) | st.integers(len(BATCH) - 150, len(BATCH)), st.binary(max_size=3))
def test_a_damaged_batch_is_read_or_told_in_a_sentence(place, put):
    torn = BATCH[:place] + put + BATCH[place + len(put) :]
    with contextlib.suppress(DataError):
        _parse_batch(torn, Path("cifar-10-batches-py"), "data_batch_1")


def test_a_whole_batch_is_read():
    images, labels = _parse_batch(BATCH, Path("cifar-10-batches-py"), "data_batch_1")
    assert (images.shape, images.dtype, labels.tolist()) == ((2, 32, 32, 3), np.uint8, [1, 2])


def test_a_batch_as_python_2_wrote_the_official_ones():
    """Texts are strings of bytes there, and so are the pixels."""
    pixels = bytes(range(256)) * 24
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x02M\x00\x0c\x86" + kind + b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"tb"
    batch = b"\x80\x02}(U\x04data" + made + state + b"U\x06labels](K\x01K\x02eu."
    images, labels = _parse_batch(batch, Path("cifar-10-batches-py"), "data_batch_1")
    assert (images.shape, labels.tolist()) == ((2, 32, 32, 3), [1, 2])
    assert images[0, 0, :3].tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
