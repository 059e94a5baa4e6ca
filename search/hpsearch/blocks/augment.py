"""Augmentation: random changes of the training images, which are never part of an export."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hpsearch.declare import Choice, Declared, Maybe, Number, Whole, brief, declared, option

__all__ = ["Augment", "copies_of"]

_FLIP = Choice(None, "horizontal", "vertical", "horizontal_and_vertical", "alternating")


@declared
class Augment(Declared):
    """Random changes of each training image, drawn anew every epoch; validation and export never see them.

    With ``copies=N`` they are drawn once: each image is trained on as N changed copies of it, the same in all trials,
    so that an epoch is N times as long. Features of a frozen backbone can then be computed once for all trials.

    From ``rotation`` to ``brightness``, the numbers are the ``factor`` of the Keras layer of that name.

    Args:
        flip: ``"horizontal"``, ``"vertical"``, ``"horizontal_and_vertical"`` or None; or ``"alternating"``, which
            flips each image horizontally in every other epoch, begun by chance: Jordan, "94% on CIFAR-10 in 3.29
            seconds on a single GPU", 2024.
        rotation: Largest turn either way, as a share of a full circle (0.05 is 18 degrees).
        translation: Largest shift in height and width, as a share of the side; by parts of a pixel, too. What comes in
            at the edge is a reflection.
        zoom: Largest zoom in or out, as a share.
        contrast: Largest change of contrast, as a share.
        brightness: Largest change of brightness, as a share of the range of the pixels.
        cutout: Side of a grey box that covers part of each image, as a share of the side of the image: DeVries and
            Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
        randaugment: Strength of two changes out of eleven, the same two for all images of a batch, from 0, which makes
            none, to 1: Cubuk et al., "RandAugment", 2020. All eleven are worked out in every step, which is slow.
        mixup: Adds to each image one of its batch, and to its answer that of the other, in shares from a beta
            distribution with this parameter; 0.2 is usual, 0 never does. Zhang et al., "mixup: beyond empirical risk
            minimization", ICLR 2018. Accuracy in training is that of the image with the larger share.
        cutmix: The same with a box of the other image in place of the sum; 1 is usual. Yun et al., "CutMix", ICCV 2019.
            With ``mixup``, each batch has one of the two, by a coin.
        copies: How many copies of each image are drawn once and for all; None draws in every epoch.
    """

    flip: str | None = option(_FLIP, default=None)
    rotation: float = option(Number(at_least=0, at_most=1), default=0.0)
    translation: float = option(Number(at_least=0, at_most=1), default=0.0)
    zoom: float = option(Number(at_least=0, below=1), default=0.0)
    contrast: float = option(Number(at_least=0, at_most=1), default=0.0)
    brightness: float = option(Number(at_least=0, at_most=1), default=0.0)
    cutout: float = option(Number(at_least=0, below=1), default=0.0)
    randaugment: float = option(Number(at_least=0, at_most=1), default=0.0)
    mixup: float = option(Number(at_least=0), default=0.0)
    cutmix: float = option(Number(at_least=0), default=0.0)

    copies: int | None = option(Maybe(Whole(1)), default=None)

    def conflict(self) -> tuple[str, str] | None:
        if self.copies is None or not (self.mixes or self.flip == "alternating"):
            return None
        name = "flip" if self.flip == "alternating" else "mixup" if self.mixup else "cutmix"
        return name, f"got {brief(getattr(self, name))} with copies, which are drawn once; drop one of the two."

    @property
    def mixes(self) -> bool:
        """Whether images and answers of a batch are mixed."""
        return bool(self.mixup or self.cutmix)

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return any(getattr(self, field.name) for field in fields(self) if field.name != "copies")

    @property
    def each_time(self) -> bool:
        """Whether images are changed anew in every epoch."""
        return self.active and self.copies is None

    def build(self, white: float, seed: int) -> list[Any]:
        """The layers of Keras, in the order in which they are applied; other changes are none of these.

        Args:
            white: The pixel value that stands for white.
            seed: Where their random numbers start.
        """
        from keras import layers

        made: list[Any] = []
        if self.flip and self.flip != "alternating":
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
        if self.randaugment:
            made.append(layers.RandAugment((0, white), factor=self.randaugment, seed=seed + 6))
        if self.cutout:
            area, always = (self.cutout**2,) * 2, (1.0, 1.0)
            options: dict[str, Any] = {"fill_value": white / 2, "value_range": (0, white), "seed": seed + 7}
            made.append(layers.RandomErasing(always, scale=area, **options))
        return made


def copies_of(augment: Augment | None) -> int:
    """How many times each image is in an epoch.

    Args:
        augment: The changes, or None.
    """
    return augment.copies or 1 if augment is not None and augment.active else 1
