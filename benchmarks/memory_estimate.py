"""How near the estimate of a training's memory comes to what the training takes.

Claims: over convolutional, dense and MobileNetV2 networks of different width, image size, batch and optimizer, the
estimate that ``at_most(memory=...)`` goes by lies within a factor of 1.5 of the measured peak on TensorFlow on a CPU.
The constants of the estimate were fitted to most of these networks; on others it may lie further off.

Each network is trained in a process of its own, two epochs of three steps on random images. Measured is how much the
peak of the process's resident memory (Linux: VmHWM) grows over what it held before the network was built, after a small
network was trained to load what every training needs. At the end of an epoch the weights are copied as for the best
epoch, and everything as for a checkpoint. The images of the data set are there before and do not count.

    python benchmarks/memory_estimate.py            all networks; takes some minutes and 6 GB
    python benchmarks/memory_estimate.py conv_wide  those that are named
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "search"))

from hpsearch import (
    SGD,
    VGG16,
    Adam,
    ConvNet,
    Dense,
    EfficientNetV2B0,
    MobileNetV2,
    Model,
    Recipe,
    ResNet50,
    RMSprop,
    Stage,
    Training,
)

STEPS, EPOCHS, CLASSES = 3, 2, 10
WITHIN = 1.5
OTHERS_HOLD = "the process held {:.0f} MB before, with Keras and TensorFlow loaded"


class Case(NamedTuple):
    """A training.

    Args:
        model: The network.
        side: Side of the images, which have three channels.
        batch: Images in a step.
        optimizer: What trains it.
    """

    model: Model
    side: int
    batch: int
    optimizer: Any = Adam()


def convs(*stages: Any, **options: Any) -> Model:
    """A convolutional network with a global average behind its stages, given by their filters."""
    return Model(body=ConvNet(stages=[Stage(filters=filters) for filters in stages], **options), pooling="average")


def dense(*units: int) -> Model:
    """A network nearly all of whose weights are in dense layers."""
    return Model(body=ConvNet(stages=[Stage(filters=8)]), dense=[Dense(units=unit) for unit in units])


def backbone(**options: Any) -> Model:
    """A MobileNetV2 with random weights."""
    return Model(body=MobileNetV2(weights=None, **options), pooling="average")


CASES = {
    "conv_tiny": Case(convs(16, 32), 8, 512),
    "conv_small": Case(convs((32, 32), (64, 64)), 32, 128),
    "conv_wide": Case(convs((64, 64), (128, 128)), 32, 512),
    "conv_widest": Case(convs((128, 128)), 32, 512),
    "conv_batchnorm": Case(convs((64, 64), (128, 128), batchnorm="before_activation"), 32, 256),
    "conv_batchnorm_after": Case(convs((64, 64), (128, 128), batchnorm="after_activation"), 32, 256),
    "conv_dropout": Case(convs((64, 64), (128, 128), dropout=0.3), 32, 256),
    "conv_gelu": Case(convs((64, 64), (128, 128), activation="gelu"), 32, 256),
    "conv_kernel_7": Case(convs((64, 64), kernel_size=7), 32, 256),
    "conv_large_image": Case(convs(32, 64, 64), 256, 16),
    "dense_adam": Case(dense(8192, 2048), 32, 64),
    "dense_sgd": Case(dense(8192, 2048), 32, 64, SGD()),
    "dense_momentum": Case(dense(8192, 2048), 32, 64, SGD(momentum=0.9)),
    "dense_many": Case(dense(4096, 4096, 4096, 4096), 32, 64),
    "dense_one_rmsprop": Case(dense(512), 96, 64, RMSprop(momentum=0.9)),
    "conv_dense_rmsprop": Case(
        Model(
            body=ConvNet(stages=[Stage(filters=24), Stage(filters=(48, 96))], kernel_size=5, padding="valid"),
            dense=[Dense(units=512)],
        ),
        96,
        64,
        RMSprop(momentum=0.9),
    ),
    "resnet50": Case(Model(body=ResNet50(weights=None, frozen=False), pooling="average"), 64, 64),
    "efficientnet": Case(Model(body=EfficientNetV2B0(weights=None, frozen=False), pooling="average"), 96, 64),
    "mobilenet_96": Case(backbone(frozen=False), 96, 128),
    "mobilenet_160_small_batch": Case(backbone(frozen=False), 160, 32),
    "mobilenet_160": Case(backbone(frozen=False), 160, 128),
    "mobilenet_160_frozen": Case(backbone(frozen=True), 160, 128),
    "vgg16_last_layers": Case(Model(body=VGG16(weights=None, unfreeze_last=4), pooling="average"), 64, 128),
    "vgg16": Case(Model(body=VGG16(weights=None, frozen=False), pooling="average"), 64, 64, SGD(momentum=0.9)),
}


def main(names: list[str]) -> int:
    """Measure each case in a fresh process and print the table."""
    import keras

    cores = len(os.sched_getaffinity(0))
    print(f"{platform.processor() or platform.machine()}, {cores} cores, {platform.system()} {platform.release()}")
    print(f"Python {platform.python_version()}, keras {keras.__version__} on {keras.config.backend()}")
    print(f"n = {len(names)} trainings, each once, {EPOCHS} epochs of {STEPS} steps")
    print(f"\n{'network':<27}{'parameters':>12}{'batch':>7}{'estimate':>12}{'measured':>12}{'ratio':>8}")
    ratios, held = [], []
    for name in names:
        said = subprocess.run(
            [sys.executable, __file__, "--one", name], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        found = json.loads(said.stdout.splitlines()[-1])
        ratios.append(found["estimate"] / found["measured"])
        held.append(found["before"] / 1e6)
        sizes = "".join(f"{found[what] / 1e6:>9,.0f} MB" for what in ("estimate", "measured"))
        print(f"{name:<27}{found['parameters']:>12,}{CASES[name].batch:>7}{sizes}{ratios[-1]:>8.2f}", flush=True)
    near = sum(1 / WITHIN <= ratio <= WITHIN for ratio in ratios)
    print(f"\nestimate / measured from {min(ratios):.2f} to {max(ratios):.2f}; {near} of {len(ratios)} within {WITHIN}")
    print(OTHERS_HOLD.format(max(held)))
    return 0 if near == len(ratios) else 1


def one(case: Case) -> dict[str, float]:
    """Train one case and tell what it took, in bytes."""
    import gc

    import numpy as np

    from hpsearch.training.inputs import image_inputs
    from hpsearch.training.measure import measure

    inputs = image_inputs((case.side, case.side, 3), CLASSES, 255.0)
    recipe = Recipe(model=case.model, training=Training(epochs=EPOCHS, batch_size=case.batch, optimizer=case.optimizer))
    small = Recipe(model=convs(4, batchnorm="before_activation"), training=Training(epochs=1, batch_size=8))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (case.batch * STEPS, *inputs.shape), dtype="uint8")
    labels = generator.integers(0, CLASSES, len(images))
    train(small, inputs, images[:16], labels[:16])
    found = measure(recipe, inputs)
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    network = train(recipe, inputs, images, labels)
    assert network.count_params() == found.parameters
    return {
        "parameters": found.parameters,
        "estimate": found.memory,
        "measured": resident("VmHWM") - before,
        "before": before,
    }


def train(recipe: Recipe, inputs: Any, images: Any, labels: Any) -> Any:
    """Train as a trial does, with its copies at the end of an epoch."""
    import keras
    import numpy as np

    from hpsearch.training.build import build_network

    class Copies(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.best = self.model.get_weights()
            checkpoint = [*self.model.variables, *self.model.optimizer.variables, *self.best]
            self.written = len([np.array(each) for each in checkpoint])

    network = build_network(recipe.model, inputs)
    network.compile(recipe.training.optimizer.build(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    training = recipe.training
    network.fit(images, labels, batch_size=training.batch_size, epochs=training.epochs, verbose=0, callbacks=[Copies()])
    return network


def resident(what: str) -> int:
    """Bytes of memory of this process, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(CASES[sys.argv[2]])))
    else:
        sys.exit(main(sys.argv[1:] or list(CASES)))
