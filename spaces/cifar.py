"""CIFAR-10, 32x32 colour pixels, 10 classes: ten networks made by hand, one after the other, and the space around them.

Run it with one of:

    hpsearch check spaces/cifar.py --time
    hpsearch run spaces/cifar.py --for 8h --data-dir ~/data        # downloads CIFAR-10 where it is not in ~/data
    hpsearch run spaces/cifar.py --for 1h --subset 5000            # without a GPU: part of the training images
"""

from hpsearch import (
    SGD,
    Adam,
    Augment,
    ConvNet,
    Dense,
    Model,
    Plateau,
    Recipe,
    Space,
    Stage,
    Training,
    at_most,
    between,
    one_of,
    repeat,
    tied,
)

# ---- the space

initializer = tied("initializer", one_of("glorot_uniform", "he_uniform"))  # convolutions and dense layers share it
plateau = Plateau(factor=0.5, patience=4)
light = Augment(flip="horizontal", translation=0.1)
stronger = Augment(flip="horizontal", translation=0.1, rotation=0.05, zoom=0.1)

search = Recipe(
    model=Model(
        body=ConvNet(
            stages=repeat(Stage(filters=repeat(between(16, 256, step=16), between(1, 3))), between(2, 4)),
            kernel_size=one_of(3, 5),
            initializer=initializer,
            batchnorm=one_of(None, "before_activation", "after_activation", "once_per_stage"),
            pool=one_of("max", "average"),
            dropout=between(0.0, 0.5, step=0.1),
        ),
        pooling=one_of("flatten", "average"),
        dense=repeat(
            Dense(units=between(32, 256, step=8), dropout=between(0.0, 0.5, step=0.1), initializer=initializer),
            between(0, 3),
        ),
        head="softmax",
    ),
    training=Training(
        epochs=one_of(30, 100),
        early_stopping=10,
        batch_size=one_of(64, 128, 256, 512),
        optimizer=one_of(
            Adam(learning_rate=between(1e-4, 1e-2, log=True)),
            SGD(learning_rate=between(1e-3, 1e-1, log=True), momentum=0.9),
        ),
        schedule=one_of(None, plateau),
        augment=one_of(none=None, light=light, stronger=stronger),
    ),
)

# ---- the ten networks


def network(
    *stages: int | tuple[int, ...],  # filters of the 3x3 convolutions between two 2x2 max pools
    dense: list[tuple[int, float]],  # units and dropout of each dense layer
    dropout: float = 0.0,  # after each pool
    batchnorm: str | None = "after_activation",
    initializer: str = "he_uniform",
) -> Model:
    """Say the ten networks as briefly as the diary does."""
    return Model(
        body=ConvNet(
            stages=[Stage(filters=filters) for filters in stages],
            initializer=initializer,
            batchnorm=batchnorm,
            dropout=dropout,
        ),
        dense=[Dense(units=units, dropout=share, initializer=initializer) for units, share in dense],
    )


def trained(model: Model, epochs: int = 30, schedule: Plateau | None = None, augment: Augment | None = None) -> Recipe:
    """Train as all ten were: Adam, batches of 512."""
    return Recipe(
        model=model,
        training=Training(
            epochs=epochs,
            early_stopping=10,
            batch_size=512,
            optimizer=Adam(learning_rate=0.001),
            schedule=schedule,
            augment=augment,
        ),
    )


seven = network((64, 64), (128, 128), (224, 256), dense=[(256, 0.4), (128, 0.4), (64, 0.4)], dropout=0.4)
nine = network((64, 64), (128, 128), 128, dense=[(256, 0.3), (128, 0.3)], dropout=0.3)
ten = network((64, 64), (128, 128), (224, 256), dense=[(256, 0.3), (128, 0.3), (64, 0.3)], dropout=0.3)

# The percentages are test accuracies, as written down by hand.
baselines = {
    "by_hand_1": trained(network(32, 32, dense=[(32, 0.0)], batchnorm=None, initializer="glorot_uniform")),
    # below 80 %
    "by_hand_2": trained(network((32, 32), 32, 32, dense=[(32, 0.0)], batchnorm=None)),
    # below by_hand_2
    "by_hand_3": trained(network((16, 16), (32, 32), 64, 128, dense=[(64, 0.3), (32, 0.3)], batchnorm=None)),
    # above by_hand_3, but it overfits
    "by_hand_4": trained(
        network((32, 32), (64, 64), (128, 128), (256, 256), dense=[(128, 0.2), (128, 0.2), (128, 0.2)], batchnorm=None)
    ),
    # below 80 %
    "by_hand_5": trained(network((32, 32), (64, 64), (192, 256), dense=[(128, 0.3), (64, 0.2)])),
    # near 80 %
    "by_hand_6": trained(network((32, 32), (64, 128), (192, 224, 256), dense=[(216, 0.3), (128, 0.2), (64, 0.2)])),
    # 83.36 %
    "by_hand_7": trained(seven),
    # 83.57 %
    "by_hand_8": trained(seven, 100, plateau, light),
    # 81.65 %
    "by_hand_9": trained(nine, 100, plateau, light),
    # 86.94 %
    "by_hand_10": trained(ten, 100, plateau, stronger),
}

space = Space(
    data="cifar10",
    search=search,
    baselines=baselines,
    objective="max val_accuracy",
    constraints=at_most(parameters=4_000_000),
)
