"""The images of the race: the same for everybody, split as hpsearch splits them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.data.declarations import Arrays, Named
from hpsearch.data.loading import load_search_data, load_test_part

__all__ = ["UNSEEN", "Images", "prepared"]

UNSEEN = 5000
"""At most so many images that nobody searched on."""


@dataclass(frozen=True)
class Images:
    """Where the images are.

    Args:
        job: What peers are told: file, shape, classes, white.
        declared: What the space file of hpsearch says.
    """

    job: dict[str, Any]
    declared: dict[str, Any]


def prepared(name: str, data_dir: Path | None, train: int, validation: int, folder: Path) -> Images:
    """Draw the images once and write them twice, in the same split.

    Args:
        name: A named data set of images.
        data_dir: Where it is looked for first.
        train: How many images to train on.
        validation: How many to validate on.
        folder: Where to write.
    """
    data = Named(name)
    every = load_search_data(data, data_dir=data_dir, subset=None)
    x = np.concatenate([every.train.images[:], every.validation.images[:]])
    y = np.concatenate([every.train.labels, every.validation.labels])
    unseen = load_test_part(data, data_dir=data_dir)
    order = np.random.default_rng(0)
    chosen, last = order.permutation(len(y))[: train + validation], order.permutation(len(unseen))[:UNSEEN]
    file = folder / "race.npz"
    np.savez(file, x_train=x[chosen], y_train=y[chosen], x_test=unseen.images[:][last], y_test=unseen.labels[last])
    share = validation / (train + validation)
    shape, classes = tuple(x.shape[1:]), len(every.class_names)
    arrays = Arrays(str(file), input_shape=shape, classes=classes, white=data.white, validation=share)
    split = load_search_data(arrays)
    np.savez(
        folder / "split.npz",
        x_train=split.train.images[:],
        y_train=split.train.labels,
        x_validation=split.validation.images[:],
        y_validation=split.validation.labels,
        x_unseen=unseen.images[:][last],
        y_unseen=unseen.labels[last],
    )
    job = {"data": str(folder / "split.npz"), "shape": shape, "classes": classes, "white": data.white}
    declared = {
        "file": str(file),
        "shape": shape,
        "classes": classes,
        "white": data.white,
        "validation": share,
    }
    return Images(job, declared)
