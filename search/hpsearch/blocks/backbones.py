"""Networks of ``keras.applications`` as bodies: pretrained or not, frozen or in part unfrozen.

Each takes raw pixels from 0 to 255 and does its own preprocessing inside the model, with stock Keras layers.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, ClassVar

from hpsearch.blocks.batchnorm import MOMENTUM, follow
from hpsearch.blocks.frozen import freeze, thaw_conflict
from hpsearch.blocks.resize import INPUT_SIZE, resized
from hpsearch.declare import Choice, Declared, Either, Flag, Number, Text, Whole, declared, option
from hpsearch.errors import ModelError, WeightsError

__all__ = [
    "VGG16",
    "Backbone",
    "EfficientNetV2B0",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "ResNet50",
]

_WEIGHTS = Either(Choice("imagenet", None), Text("the path of a .h5 file"))


@declared
class Backbone(Declared):
    """What every backbone can say.

    Args:
        weights: ``"imagenet"``, the path of a weights file, or None for random weights.
        input_size: Side in pixels to which images are resized first; None takes them as they are.
        frozen: Whether the backbone keeps its weights. Its dropout is then off, and its batch normalisation uses the
            stored statistics.
        unfreeze_last: How many of a frozen backbone's last layers learn all the same; batch normalisation among them
            stays as it is.
        batchnorm_momentum: How slowly the moving statistics of a backbone follow that is not frozen. None replaces
            them after every epoch, as ``ConvNet`` does: with Keras's 0.999 they need thousands of steps.
    """

    pixels: ClassVar[str] = "0..255"
    smallest: ClassVar[int] = 32

    weights: str | None = option(_WEIGHTS, default="imagenet")
    input_size: int | None = option(INPUT_SIZE, default=None)
    frozen: bool = option(Flag(), default=True)
    unfreeze_last: int = option(Whole(0), default=0)
    batchnorm_momentum: float | None = option(MOMENTUM, default=None)

    def conflict(self) -> tuple[str, str] | None:
        if self.frozen and self.weights is None and not self.unfreeze_last:
            problem = "got None for a frozen backbone, which would stay random"
            return "weights", f'{problem}; write frozen=False or weights="imagenet".'
        if self.frozen and self.batchnorm_momentum is not None:
            problem = f"got {self.batchnorm_momentum:g} for a frozen backbone, whose statistics stay as they are"
            return "batchnorm_momentum", f"{problem}; leave it out, or write frozen=False."
        return thaw_conflict(self.frozen, self.unfreeze_last)

    def weights_file(self, size: int) -> str:
        """The file name Keras gives the ImageNet weights without their top.

        Args:
            size: Side of the images in pixels.
        """
        raise NotImplementedError

    def application(self, **options: Any) -> Any:
        """Build the network of ``keras.applications`` without its top."""
        raise NotImplementedError

    def preprocessed(self, x: Any, prefix: str = "") -> Any:
        """Pixels from 0 to 255 as the backbone wants them; the names of layers begin with the prefix."""
        return x

    def misfit(self, shape: tuple[int, ...]) -> ModelError | None:
        """Why it cannot take images; None where it can.

        Args:
            shape: Height, width and channels, after resizing.
        """
        height, width, channels = shape
        if min(height, width) < self.smallest:
            return ModelError(
                f"{type(self).__name__} needs images of at least {self.smallest}x{self.smallest} pixels and gets "
                f"{height}x{width}; set input_size={self.smallest} or more.",
                "input_size",
            )
        if channels not in (1, 3):
            return ModelError(f"{type(self).__name__} takes grey or colour images and gets {channels} channels.")
        return None

    def __call__(self, x: Any, prefix: str = "") -> Any:
        """Apply the backbone.

        Args:
            x: A symbolic tensor of shape (batch, height, width, 1 or 3), float from 0 to 255.
            prefix: What the names of layers begin with.

        Returns:
            The features: a symbolic tensor of shape (batch, height, width, channels), float.

        Raises:
            ModelError: Images that the backbone cannot take.
            WeightsError: The weights cannot be had.
        """
        from keras import layers

        x = resized(x, self.input_size, prefix)
        height, width, channels = x.shape[1:]
        if (problem := self.misfit((height, width, channels))) is not None:
            raise problem
        if channels == 1:
            x = layers.Concatenate(name=f"{prefix}grey_to_rgb")([x, x, x])
        backbone = self._loaded((height, width, 3))
        backbone.name = prefix + backbone.name
        if self.frozen:
            freeze(backbone, self.unfreeze_last)
        else:
            follow(backbone, self.batchnorm_momentum)
        return backbone(self.preprocessed(x, prefix), training=False if self.frozen else None)

    def _loaded(self, input_shape: tuple[int, int, int]) -> Any:
        try:
            with warnings.catch_warnings():
                # MobileNetV2 tells at every size but five that its weights were trained at another.
                warnings.simplefilter("ignore", UserWarning)
                return self.application(include_top=False, weights=self.weights, input_shape=input_shape)
        except Exception as error:
            if self.weights is None:
                raise ModelError(f"Keras cannot build {type(self).__name__} for {input_shape}: {error}") from error
            raise WeightsError(self._no_weights(input_shape[0], error)) from error

    def _no_weights(self, size: int, error: Exception) -> str:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # Keras says the address first; what went wrong stands behind it.
        reason = reason.rsplit(" -- ", 1)[-1][:200]
        if self.weights != "imagenet":
            return f"the weights {self.weights} do not load into {type(self).__name__}: {reason}"
        return (
            f"the ImageNet weights of {type(self).__name__} cannot be had ({reason}); put {self.weights_file(size)} "
            "into the data directory or into ~/.keras/models."
        )


def _centred_bgr(x: Any, prefix: str) -> Any:
    """Blue, green, red minus the mean of ImageNet, as the networks trained with Caffe want it."""
    from keras import layers, ops

    return layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], name=f"{prefix}centre")(ops.flip(x, axis=-1))


def _symmetric(x: Any, prefix: str) -> Any:
    """Pixels from -1 to 1."""
    from keras import layers

    return layers.Rescaling(1 / 127.5, offset=-1.0, name=f"{prefix}symmetric")(x)


@declared
class VGG16(Backbone):
    """Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015."""

    def canonical(self) -> VGG16:
        """It has no batch normalisation."""
        return replace(self, batchnorm_momentum=None)

    def weights_file(self, size: int) -> str:
        return "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"

    def application(self, **options: Any) -> Any:
        from keras import applications

        return applications.VGG16(**options)

    def preprocessed(self, x: Any, prefix: str = "") -> Any:
        return _centred_bgr(x, prefix)


@declared
class ResNet50(Backbone):
    """He et al., "Deep residual learning for image recognition", CVPR 2016."""

    def weights_file(self, size: int) -> str:
        return "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"

    def application(self, **options: Any) -> Any:
        from keras import applications

        return applications.ResNet50(**options)

    def preprocessed(self, x: Any, prefix: str = "") -> Any:
        return _centred_bgr(x, prefix)


@declared
class MobileNetV2(Backbone):
    """Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.

    Args:
        alpha: Width multiplier; ImageNet weights exist for 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4.
    """

    alpha: float = option(Number(above=0), default=1.0)

    def conflict(self) -> tuple[str, str] | None:
        if self.weights == "imagenet" and self.alpha not in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
            return "alpha", f"got {self.alpha}; ImageNet weights exist for 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4 only."
        return Backbone.conflict(self)

    def weights_file(self, size: int) -> str:
        known = size if size in (96, 128, 160, 192, 224) else 224
        alpha = f"{float(self.alpha)}"
        return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{known}_no_top.h5"

    def application(self, **options: Any) -> Any:
        from keras import applications

        return applications.MobileNetV2(alpha=self.alpha, **options)

    def preprocessed(self, x: Any, prefix: str = "") -> Any:
        return _symmetric(x, prefix)


@declared
class MobileNetV3Small(Backbone):
    """Howard et al., "Searching for MobileNetV3", ICCV 2019; the small one.

    Args:
        alpha: Width multiplier; ImageNet weights exist for 0.75 and 1.0.
    """

    alpha: float = option(Number(above=0), default=1.0)

    def conflict(self) -> tuple[str, str] | None:
        return _mobilenet_v3_conflict(self.alpha, self.weights) or Backbone.conflict(self)

    def weights_file(self, size: int) -> str:
        return f"weights_mobilenet_v3_small_224_{float(self.alpha)}_float_no_top_v2.h5"

    def application(self, **options: Any) -> Any:
        from keras import applications

        return applications.MobileNetV3Small(alpha=self.alpha, **options)


@declared
class MobileNetV3Large(Backbone):
    """Howard et al., "Searching for MobileNetV3", ICCV 2019; the large one.

    Args:
        alpha: Width multiplier; ImageNet weights exist for 0.75 and 1.0.
    """

    alpha: float = option(Number(above=0), default=1.0)

    def conflict(self) -> tuple[str, str] | None:
        return _mobilenet_v3_conflict(self.alpha, self.weights) or Backbone.conflict(self)

    def weights_file(self, size: int) -> str:
        return f"weights_mobilenet_v3_large_224_{float(self.alpha)}_float_no_top_v2.h5"

    def application(self, **options: Any) -> Any:
        from keras import applications

        return applications.MobileNetV3Large(alpha=self.alpha, **options)


def _mobilenet_v3_conflict(alpha: float, weights: str | None) -> tuple[str, str] | None:
    if weights == "imagenet" and alpha not in (0.75, 1.0):
        return "alpha", f"got {alpha}; ImageNet weights exist for 0.75 and 1.0 only."
    return None


@declared
class EfficientNetV2B0(Backbone):
    """Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021; the smallest."""

    def weights_file(self, size: int) -> str:
        return "efficientnetv2-b0_notop.h5"

    def application(self, **options: Any) -> Any:
        from keras import applications

        return applications.EfficientNetV2B0(**options)
