"""A first convolution that whitens: its kernels are found from the training images, and stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hpsearch.blocks.frozen import leaves
from hpsearch.blocks.stage import PAD
from hpsearch.blocks.weights import ACTIVATION
from hpsearch.declare import Declared, Flag, Number, Whole, declared, option
from hpsearch.errors import ModelError

__all__ = ["Whitening", "whitening_layers"]

_EPSILON = "whitens_with_epsilon"


@declared
class Whitening(Declared):
    """A convolution before the stages that makes the values of small patches independent and of one size.

    Its kernels are the eigenvectors of the covariance of patches, each divided by the root of its eigenvalue, and the
    negatives of all of these; a bias takes off the mean. So there are twice as many filters as a patch has values: 24
    for a window of 2 on three channels. They are found before training from at most 5,000 training images, always the
    same ones, of more than 32x32 pixels from fewer, as the convolution sees them: behind resizing and tiling. The
    kernels never learn. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, after Page, "How to train your
    ResNet", 2018; LeCun et al., "Efficient backprop", 1998, say why it helps.

    Args:
        kernel_size: Side of the window and of the patches.
        padding: ``"valid"`` or ``"same"``.
        activation: A Keras activation by name, which follows it; not that of the network.
        epsilon: What is added to each eigenvalue, as a share of their mean, so that rare directions stay small.
        learn_bias: Whether the bias learns, although the kernels do not.
    """

    kernel_size: int = option(Whole(1), default=2)
    padding: str = option(PAD, default="valid")
    activation: str = option(ACTIVATION, default="relu")
    epsilon: float = option(Number(above=0), default=5e-4)
    learn_bias: bool = option(Flag(), default=True)

    def canonical(self) -> Whitening:
        return replace(self, padding="valid") if self.kernel_size == 1 else self

    def output_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Height, width and channels after it.

        Args:
            shape: Height, width and channels before it.

        Raises:
            ModelError: No patch fits into the image.
        """
        height, width, channels = shape
        if min(height, width) < self.kernel_size:
            size = f"{self.kernel_size}x{self.kernel_size}"
            problem = f"a window of {size} does not fit into images of {height}x{width}; use a smaller one."
            raise ModelError(problem, "kernel_size")
        less = self.kernel_size - 1 if self.padding == "valid" else 0
        return height - less, width - less, 2 * self.kernel_size**2 * channels

    def __call__(self, x: Any, name: str = "whitening") -> Any:
        """Apply the convolution, whose kernels are still to be found.

        Args:
            x: A symbolic tensor of shape (batch, height, width, channels), float.
            name: The name of its layer.

        Returns:
            A symbolic tensor of the same rank, float.
        """
        from keras import layers

        layer = layers.Conv2D(
            self.output_shape(tuple(x.shape[1:]))[-1],
            self.kernel_size,
            padding=self.padding,
            activation=self.activation,
            kernel_initializer="zeros",
            name=name,
        )
        x = layer(x)
        # Not the layer is frozen but its weights: what is frozen as a layer may be unfrozen by fine-tuning.
        layer.kernel.trainable = False
        layer.bias.trainable = self.learn_bias
        setattr(layer, _EPSILON, self.epsilon)
        return x


def whitening_layers(network: Any) -> Iterator[tuple[Any, float]]:
    """The convolutions of a network whose kernels are found from images, each with its epsilon.

    Args:
        network: A Keras model, as it was built here; one that was loaded from a file has none.
    """
    for layer in leaves(network):
        if hasattr(layer, _EPSILON):
            yield layer, getattr(layer, _EPSILON)
