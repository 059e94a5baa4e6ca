"""Kernels that whiten: found from the images that a network is trained on, before it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.blocks.whitening import whitening_layers

__all__ = ["IMAGES", "PIXELS", "VALUES", "whiten"]

IMAGES = 5_000
"""Of at most so many images the kernels are found."""
PIXELS = IMAGES * 32 * 32
"""At most so many places patches are taken at, so that large images take no longer."""
VALUES = 4_000_000
"""So many numbers are held at once."""

Array = NDArray[np.float64]


def whiten(network: Any, x: Any) -> None:
    """Give a network the whitening kernels that its images call for; the same images give the same kernels.

    Args:
        network: A network; one without `hpsearch.blocks.whitening.Whitening` is left alone.
        x: What it is trained on, raw and not augmented: rows (n, ...), or several of them by name.
    """
    for layer, epsilon in whitening_layers(network):
        patches = _patches(keras.Model(network.input, layer.input), x, layer.kernel_size[0])
        kernel, bias = _whitening(patches, epsilon)
        layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        layer.bias.assign(bias)


def _patches(front: Any, x: Any, size: int) -> Iterator[Array]:
    """Patches of images (n, values), some images at a time.

    Args:
        front: From raw rows to the images that are cut.
        x: Raw rows.
        size: Side of a patch.
    """
    height, width, channels = front.output_shape[1:]
    count = len(keras.tree.flatten(x)[0])
    most = min(max(PIXELS // (height * width), 1), IMAGES, count)
    chosen = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    rows = keras.tree.map_structure(lambda each: each[chosen][:], x)
    at_once = max(VALUES // (height * width * channels * size**2), 1)
    for start in range(0, most, at_once):
        some = keras.tree.map_structure(lambda each, at=start: each[at : at + at_once], rows)
        images = keras.ops.convert_to_numpy(front(some, training=False)).astype("float64")
        down, across = height - size + 1, width - size + 1
        shifted = [images[:, i : i + down, j : j + across] for i in range(size) for j in range(size)]
        yield np.concatenate(shifted, axis=-1).reshape(-1, size * size * channels)


def _whitening(patches: Iterator[Array], epsilon: float) -> tuple[Array, Array]:
    """Kernels (values, filters) and biases (filters,) that whiten patches, and their negatives."""
    count = 0
    total: Any = 0.0
    products: Any = 0.0
    for some in patches:
        count, total, products = count + len(some), total + some.sum(axis=0), products + some.T @ some
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    # An eigenvector may as well be its negative: the largest part of each is above 0, on every machine.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    scaled = vectors / np.sqrt(values + (epsilon * values.mean() or 1))
    kernel = np.concatenate([scaled, -scaled], axis=1)
    return kernel, -mean @ kernel
