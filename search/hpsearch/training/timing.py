"""How long a training would take, judged by a few of its steps; on kept features where they would be kept."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from hpsearch.blocks.augment import copies_of
from hpsearch.data.cache import fits
from hpsearch.data.loading import SearchData
from hpsearch.data.parts import Part
from hpsearch.declare import source
from hpsearch.phases import Phase, phases_of
from hpsearch.recipe import Model
from hpsearch.training.build import Built
from hpsearch.training.compiling import Trained
from hpsearch.training.features import SWITCH, Halves, halves
from hpsearch.training.fit import encoded
from hpsearch.training.inputs import Inputs
from hpsearch.training.tuning import Layers

__all__ = ["Features", "Timed", "timed"]

STEPS = 10
_AT_ONCE = 64


@dataclass(frozen=True)
class Features:
    """What is known of features that would be kept.

    Args:
        epoch_seconds: Of an epoch on them.
        once_seconds: To compute them, for the first trial that needs them.
        of: What they are of; trials that say the same share them.
    """

    epoch_seconds: float
    once_seconds: float
    of: str


@dataclass(frozen=True)
class Timed:
    """How long a training would take.

    Args:
        seconds: From its first step to its last, all epochs.
        features: What it trains on where a frozen body's features would be kept; None on images.
    """

    seconds: float
    features: Features | None


def timed(built: Built, data: SearchData, inputs: Inputs) -> Timed:
    """Train a few steps of each phase.

    Args:
        built: The network and its recipe; it is changed.
        data: The data, of which a few rows are used.
        inputs: What the network was built for.
    """
    training = built.recipe.training
    part = data.train.take(slice(min(STEPS * training.batch_size, len(data.train))))
    part = Part({name: rows[:] for name, rows in part.inputs.items()}, part.labels)
    split = halves(built) if _kept(data) else None
    once, features = _features(split, part, data, copies_of(training.augment)) if split is not None else (0.0, None)
    layers, phases = Layers(built.network), phases_of(training, built.recipe.model)
    seconds, found = 0.0, None
    for phase in phases:
        if len(phases) > 1:
            layers.learn(phase.tuning)
        on_features = split is not None and features is not None and phase.tuning is None
        if on_features and split is not None and features is not None:
            first, epoch = _phase(split.head, phase, features, data, inputs)
            found = Features(epoch, once, _said(built))
        else:
            first, epoch = _phase(built, phase, part, data, inputs)
        seconds += first + epoch * phase.epochs
    return Timed(seconds, found)


def _kept(data: SearchData) -> bool:
    """Whether features would be kept if there were any: it is not switched off, and rows can be known again."""
    return bool(data.train.key) and os.environ.get(SWITCH, "").strip().lower() != "off"


def _said(built: Built) -> str:
    model, augment = built.recipe.model, built.recipe.training.augment
    return f"{source(model.body)} {model.pooling} {source(augment)}" if isinstance(model, Model) else ""


def _features(split: Halves, part: Part, data: SearchData, copies: int) -> tuple[float, Part | None]:
    """Seconds to compute the features of all rows, and those of a few; None where they would not fit into the cache."""
    row = 4 * math.prod(split.body.outputs[0].shape[1:])
    # Copies are scored as they were before they were changed, so these are computed, too.
    trained, others = len(data.train) * copies, len(data.validation) + (len(data.train) if copies > 1 else 0)
    if not fits(row * trained):
        return 0.0, None
    _computed(split.body, part)
    began = time.monotonic()
    found = _computed(split.body, part)
    once = (time.monotonic() - began) / len(part) * (trained + others)
    return once, Part({"features": found}, part.labels)


def _computed(body: Any, part: Part) -> Any:
    images = part.images
    batches = (images[start : start + _AT_ONCE] for start in range(0, len(part), _AT_ONCE))
    return np.concatenate([keras.ops.convert_to_numpy(body.predict_on_batch(batch)) for batch in batches])


def _phase(built: Built, phase: Phase, part: Part, data: SearchData, inputs: Inputs) -> tuple[float, float]:
    """Seconds until all is compiled, and of an epoch of all rows after that."""
    trained = Trained(built, inputs, 0)
    trained.compile(phase)
    trainer, size = trained.trainer, built.recipe.training.batch_size
    x, y = encoded(built, part, inputs)

    def fit() -> None:
        trainer.fit(x, y, batch_size=size, epochs=1, verbose=0)

    def look() -> None:
        trainer.evaluate(x, y, batch_size=size, verbose=0)

    first = _seconds(fit) + _seconds(look)
    images = len(data.train) * copies_of(built.recipe.training.augment)
    return first, (_seconds(fit) * images + _seconds(look) * len(data.validation)) / len(part)


def _seconds(do: Any) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began
