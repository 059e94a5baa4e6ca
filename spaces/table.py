"""scikit-learn's breast cancer table, 30 measured numbers a row: dense layers alone. It needs no file.

A table reaches the network as one vector, its numbers scaled to mean 0 and variance 1 by what the training part says.
Run it with:

    hpsearch run spaces/table.py --for 10m
"""

from hpsearch import Adam, Dense, Model, Recipe, Space, Training, between, one_of, repeat

search = Recipe(
    model=Model(
        body=None,
        dense=repeat(
            Dense(
                units=between(8, 64, step=8),
                activation=one_of("relu", "tanh"),
                batchnorm=one_of(None, "before_activation"),
                dropout=between(0.0, 0.5, step=0.1),
            ),
            between(1, 3),
        ),
        head="sigmoid",
    ),
    training=Training(
        epochs=40,
        early_stopping=8,
        batch_size=one_of(16, 32, 64),
        optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True)),
    ),
)

space = Space(
    data="breast_cancer",
    search=search,
    baselines={
        "by_hand": Recipe(
            model=Model(body=None, dense=[Dense(units=32), Dense(units=16)], head="sigmoid"),
            training=Training(epochs=40, early_stopping=8, batch_size=32),
        ),
    },
    objective="max val_accuracy",
)
