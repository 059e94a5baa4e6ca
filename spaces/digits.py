"""Handwritten digits, 8x8 grey pixels, 10 classes: bundled with scikit-learn, nothing to download, seconds a trial.

Run it with:

    hpsearch run spaces/digits.py --trials 12
"""

from hpsearch import Adam, ConvNet, Dense, Model, Recipe, Space, Stage, Training, between, one_of, repeat

space = Space(
    data="digits",
    search=Recipe(
        model=Model(
            body=ConvNet(
                stages=repeat(Stage(filters=repeat(between(8, 64, step=8), between(1, 2))), between(1, 3)),
                batchnorm=one_of(None, "before_activation", "after_activation", "once_per_stage"),
                dropout=between(0.0, 0.5, step=0.1),
            ),
            pooling=one_of("flatten", "average"),
            dense=repeat(Dense(units=between(16, 128, step=16), dropout=between(0.0, 0.5, step=0.1)), between(0, 2)),
            head="softmax",
        ),
        training=Training(
            epochs=20,
            early_stopping=5,
            batch_size=one_of(32, 64, 128),
            optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True)),
        ),
    ),
    baselines={
        "by_hand": Recipe(
            model=Model(
                body=ConvNet(
                    stages=[Stage(filters=(32, 32)), Stage(filters=64)],
                    batchnorm="before_activation",
                    dropout=0.2,
                ),
                dense=[Dense(units=64, dropout=0.3)],
            ),
            training=Training(epochs=20, early_stopping=5, batch_size=32, optimizer=Adam(learning_rate=0.001)),
        ),
    },
    objective="max val_accuracy",
)
