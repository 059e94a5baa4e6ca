"""Photos of hands, ten classes, 48x48 pixels: schedules with warm-up, residual stages and augmentation.

Here curves cross: what warms up or is changed in every epoch is behind at first.
"""

from hpsearch import (
    SGD,
    AdamW,
    Augment,
    ConvNet,
    Cosine,
    Dense,
    ImageFolder,
    Model,
    OneCycle,
    Plateau,
    Recipe,
    Space,
    Stage,
    Training,
    between,
    one_of,
    repeat,
)

stage = Stage(filters=repeat(one_of(16, 24, 32, 48), between(1, 2)), residual=one_of(False, True))

space = Space(
    data=ImageFolder("sign_digits", size=48, classes=tuple("0123456789")),
    search=Recipe(
        model=Model(
            body=ConvNet(
                stages=repeat(stage, between(2, 4)),
                batchnorm=one_of(None, "before_activation", "after_activation"),
                dropout=between(0.0, 0.4, step=0.1),
            ),
            pooling=one_of("flatten", "average"),
            dense=repeat(Dense(units=one_of(32, 64, 128), dropout=between(0.0, 0.5, step=0.1)), between(0, 1)),
        ),
        training=Training(
            epochs=18,
            batch_size=one_of(32, 64, 128),
            optimizer=one_of(
                AdamW(learning_rate=between(1e-4, 1e-2, log=True), weight_decay=between(1e-5, 1e-2, log=True)),
                SGD(learning_rate=between(1e-3, 1e-1, log=True), momentum=0.9),
            ),
            schedule=one_of(
                none=None, cosine=Cosine(warmup=0.2), cycle=OneCycle(), plateau=Plateau(factor=0.3, patience=3)
            ),
            label_smoothing=one_of(0.0, 0.1),
            augment=one_of(none=None, light=Augment(translation=0.1, rotation=0.05)),
        ),
    ),
    objective="max val_accuracy",
)
