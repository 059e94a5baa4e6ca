"""The network behind the random changes of its images, as it is trained."""

from __future__ import annotations

from typing import Any

import keras

from hpsearch.blocks.augment import Augment
from hpsearch.errors import ModelError
from hpsearch.training.alternating import Alternating
from hpsearch.training.inputs import Inputs
from hpsearch.training.mixing import Mixing

__all__ = ["augmented", "check_augment"]


def augmented(network: Any, augment: Augment | None, inputs: Inputs, seed: int, images: int = 1) -> Any:
    """The network behind the augmentation layers; they share its weights, and the network alone is exported.

    Args:
        network: The network.
        augment: The random changes, or None.
        inputs: What the network is built for.
        seed: Where the random numbers of the augmentation start.
        images: How many images an epoch has.
    """
    if augment is None or not augment.each_time:
        return network
    entries = {tensor.name: tensor for tensor in network.inputs}
    given = {name: keras.Input(tensor.shape[1:], name=name, dtype="float32") for name, tensor in entries.items()}
    changed = dict(given)
    for place, (name, x) in enumerate(given.items()):
        for layer in _layers(augment, inputs, seed + 10 * place, images) if len(x.shape) == 4 else ():
            # Keras takes its layers of augmentation for such as cannot be compiled, which on JAX they can: without this
            # a training with any of them would not be compiled at all, and take ten times as long.
            layer.supports_jit = layer.supports_jit or keras.config.backend() == "jax"
            changed[name] = layer(changed[name])
    if len(given) == 1:
        return keras.Model(*given.values(), network(*changed.values()), name="training")
    return keras.Model(given, network(changed), name="training")


def check_augment(network: Any, augment: Augment | None) -> None:
    """Check that images can be changed as it is said.

    Args:
        network: A built Keras model.
        augment: The random changes, or None.

    Raises:
        ModelError: They cannot; the address begins with ``training``.
    """
    if augment is None:
        return
    if found := augment.conflict():
        raise ModelError(found[1], f"training.augment.{found[0]}")
    count = len(getattr(network, "inputs", None) or ())
    if augment.mixes and count > 1:
        name = "mixup" if augment.mixup else "cutmix"
        problem = f"got {getattr(augment, name)}, but the network has {count} inputs, and one image alone can be mixed."
        raise ModelError(f"{problem} Drop it.", f"training.augment.{name}")


def _layers(augment: Augment, inputs: Inputs, seed: int, images: int) -> list[Any]:
    """The layers that an image goes through, in their order."""
    made = augment.build(inputs.white, seed)
    if augment.flip == "alternating":
        made = [Alternating(images, inputs.white), *made]
    if augment.mixes:
        made.append(Mixing(augment.mixup, augment.cutmix, seed + 8))
    return made
