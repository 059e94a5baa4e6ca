"""CIFAR-10, 4,000 images to train on, twelve epochs: the choices of `race.py`, for `record.py`."""

from hpsearch import SGD, Adam, ConvNet, Dense, Model, Recipe, Space, Stage, Training, between, one_of, repeat

rate = between(1e-4, 1e-2, log=True)

space = Space(
    data="cifar10",
    search=Recipe(
        model=Model(
            body=ConvNet(
                stages=repeat(Stage(filters=repeat(one_of(8, 16, 32, 64), between(1, 2))), between(1, 3)),
                batchnorm=one_of(None, "after_activation", "once_per_stage"),
                dropout=between(0.0, 0.5),
            ),
            pooling=one_of("flatten", "average"),
            dense=repeat(Dense(units=between(32, 256, step=32), dropout=between(0.0, 0.5)), between(0, 2)),
        ),
        training=Training(
            epochs=12,
            batch_size=128,
            optimizer=one_of(Adam(learning_rate=rate), SGD(learning_rate=rate, momentum=0.9)),
        ),
    ),
    baselines={
        "by_hand": Recipe(
            model=Model(
                body=ConvNet(stages=[Stage(filters=(32, 32))] * 3, batchnorm="after_activation"),
                dense=[Dense(units=64)],
            ),
            training=Training(epochs=12, batch_size=128, optimizer=Adam(learning_rate=0.001)),
        )
    },
    objective="max val_accuracy",
)
