"""Augmentation: random changes of the training images, made by stock Keras layers and never part of an export."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hpsearch.declare import Choice, Declared, Maybe, Number, Whole, declared, option

__all__ = ["Augment", "copies_of"]


@declared
class Augment(Declared):
    """Random changes of each training image, drawn anew every epoch; validation and export never see them.

    With ``copies=N`` they are drawn once: each image is trained on as N changed copies of it, the same in all trials,
    so that an epoch is N times as long. Features of a frozen backbone can then be computed once for all trials.

    The numbers are the ``factor`` of the Keras layer of that name.

    Args:
        flip: ``"horizontal"``, ``"vertical"``, ``"horizontal_and_vertical"`` or None.
        rotation: Largest turn either way, as a share of a full circle (0.05 is 18 degrees).
        translation: Largest shift in height and width, as a share of the side.
        zoom: Largest zoom in or out, as a share.
        contrast: Largest change of contrast, as a share.
        brightness: Largest change of brightness, as a share of the range of the pixels.
        copies: How many copies of each image are drawn once and for all; None draws in every epoch.
    """

    flip: str | None = option(Choice(None, "horizontal", "vertical", "horizontal_and_vertical"), default=None)
    rotation: float = option(Number(at_least=0, at_most=1), default=0.0)
    translation: float = option(Number(at_least=0, at_most=1), default=0.0)
    zoom: float = option(Number(at_least=0, below=1), default=0.0)
    contrast: float = option(Number(at_least=0, at_most=1), default=0.0)
    brightness: float = option(Number(at_least=0, at_most=1), default=0.0)

    copies: int | None = option(Maybe(Whole(1)), default=None)

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(getattr(self, field.name) for field in fields(self) if field.name != "copies")

    @property
    def each_time(self) -> bool:
        """Whether images are changed anew in every epoch."""
        return self.active and self.copies is None

    def build(self, white: float, seed: int) -> list[Any]:
        """The Keras layers, in the order in which they are applied.

        Args:
            white: The pixel value that stands for white.
            seed: Where their random numbers start.
        """
        from keras import layers

        made: list[Any] = []
        if self.flip:
            made.append(layers.RandomFlip(self.flip, seed=seed))
        if self.rotation:
            made.append(layers.RandomRotation(self.rotation, fill_mode="reflect", seed=seed + 1))
        if self.translation:
            shift = self.translation
            made.append(layers.RandomTranslation(shift, shift, fill_mode="reflect", seed=seed + 2))
        if self.zoom:
            made.append(layers.RandomZoom(self.zoom, fill_mode="reflect", seed=seed + 3))
        if self.contrast:
            made.append(layers.RandomContrast(self.contrast, value_range=(0, white), seed=seed + 4))
        if self.brightness:
            made.append(layers.RandomBrightness(self.brightness, value_range=(0, white), seed=seed + 5))
        return made


def copies_of(augment: Augment | None) -> int:
    """How many times each image is in an epoch.

    Args:
        augment: The changes, or None.
    """
    return augment.copies or 1 if augment is not None and augment.active else 1
