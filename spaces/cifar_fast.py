"""CIFAR-10 in a few epochs: networks as in speed records, beside what one would write first.

The records: Page, "How to train your ResNet", 2018; Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024.
Muon is that of Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. Run it with one of:

    hpsearch check spaces/cifar_fast.py --time
    hpsearch run spaces/cifar_fast.py --for 1h --data-dir ~/data        # downloads CIFAR-10 where it is not in ~/data
    hpsearch run spaces/cifar_fast.py --for 1h --subset 5000            # without a GPU: part of the training images
"""

from typing import Any

from hpsearch import (
    SGD,
    AdamW,
    Augment,
    ConvNet,
    Cosine,
    Model,
    Muon,
    OneCycle,
    Recipe,
    Space,
    Stage,
    Training,
    Triangular,
    Whitening,
    between,
    one_of,
    tied,
)

# ---- networks


def plain(narrow: int, middle: int, wide: int) -> list[Stage]:
    """Three pools; the widths change behind them, as in the record for 94 %."""
    return [
        Stage(filters=narrow),
        Stage(filters=(narrow, middle)),
        Stage(filters=(middle, wide)),
        Stage(filters=wide, pool=None),
    ]


def residual(*widths: int) -> list[Stage]:
    """A convolution and a pool, then two convolutions with a shortcut around them, as in the record for 96 %."""
    return [
        stage
        for width in widths
        for stage in (Stage(filters=width), Stage(filters=(width, width), residual=True, pool=None))
    ]


def body(stages: list[Stage], *, activation: str, **options: Any) -> ConvNet:
    """What all networks here have in common: normalisation before each activation, and so no bias."""
    return ConvNet(stages=stages, activation=activation, batchnorm="before_activation", use_bias=False, **options)


widths = (
    tied("filters_0", one_of(32, 64, 128)),
    tied("filters_1", one_of(64, 128, 256, 384)),
    tied("filters_2", one_of(128, 256, 384, 512)),
)
activation = tied("activation", one_of("relu", "gelu", "silu"))
searched = {
    "activation": activation,
    "stem": one_of(None, Whitening(kernel_size=one_of(2, 3), activation=activation)),
    "initializer": one_of("he_uniform", "dirac"),
    "batchnorm_scale": one_of(True, False),
}

# ---- training

moved = Augment(flip="horizontal", translation=0.0625)  # by up to two pixels
alternating = Augment(flip="alternating", translation=0.0625)
covered = Augment(flip="alternating", translation=0.125, cutout=0.25)
mixed = Augment(flip="alternating", translation=0.125, cutmix=1.0)  # for long trainings

search = Recipe(
    model=Model(
        body=one_of(plain=body(plain(*widths), **searched), residual=body(residual(*widths), **searched)),
        pooling=one_of("max", "average"),
        logit_scale=between(0.05, 1.0, log=True),
        flip_averaging=one_of(False, True),
    ),
    training=Training(
        epochs=one_of(10, 20, 40),
        batch_size=one_of(128, 256, 512, 1024),
        optimizer=one_of(
            SGD(
                learning_rate=between(0.01, 3.0, log=True),
                momentum=one_of(0.85, 0.9),
                nesterov=True,
                weight_decay=between(1e-4, 0.03, log=True),
            ),
            AdamW(
                learning_rate=between(3e-4, 0.03, log=True),
                weight_decay=between(1e-4, 0.1, log=True),
            ),
            Muon(
                learning_rate=between(3e-4, 0.03, log=True),
                weight_decay=between(1e-4, 0.1, log=True),
            ),
        ),
        bias_rate=one_of(1.0, 8.0, 64.0),
        schedule=one_of(cosine=Cosine(warmup=0.2), cycle=OneCycle(), triangular=Triangular()),
        label_smoothing=one_of(0.0, 0.1, 0.2),
        average=one_of(None, 0.99),
        augment=one_of(
            flipped=Augment(flip="horizontal"), moved=moved, alternating=alternating, covered=covered, mixed=mixed
        ),
    ),
)

# ---- what to beat


def record(stages: list[Stage], **training: Any) -> Recipe:
    """A network as in the records; of their training what is said above, so that it takes twice as many epochs."""
    return Recipe(
        model=Model(
            body=body(
                stages,
                activation="gelu",
                stem=Whitening(kernel_size=2, activation="gelu"),
                initializer="dirac",
                batchnorm_scale=False,
            ),
            pooling="max",
            logit_scale=1 / 9,
            flip_averaging=True,
        ),
        training=Training(
            batch_size=1024,
            optimizer=SGD(learning_rate=1.5, momentum=0.85, nesterov=True, weight_decay=0.01),
            schedule=Cosine(warmup=0.2),
            label_smoothing=0.2,
            augment=moved,
            **training,
        ),
    )


baselines = {
    "usual": Recipe(
        model=Model(
            body=body(plain(64, 128, 256), activation="relu", initializer="he_uniform"),
            pooling="average",
        ),
        training=Training(
            epochs=20,
            batch_size=128,
            optimizer=SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
            schedule=Cosine(warmup=0.2),
            augment=Augment(flip="horizontal"),
        ),
    ),
    "record": record(plain(64, 256, 256), epochs=20),
    "record_residual": record(residual(128, 384, 512), epochs=40),
}

space = Space(data="cifar10", search=search, baselines=baselines, objective="max val_accuracy")
