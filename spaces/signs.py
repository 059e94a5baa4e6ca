"""Photos of hands that show the digits 1 to 4, 224x224 pixels: a small network of one's own against a MobileNetV2.

The photos lie in folders, DATA/sign_digits/1/IMG_1.JPG and so on, in any size. Run it with:

    hpsearch run spaces/signs.py --for 8h --data-dir DATA
"""

from hpsearch import (
    Adam,
    Augment,
    ConvNet,
    Dense,
    ImageFolder,
    MobileNetV2,
    Model,
    Recipe,
    Space,
    Stage,
    Training,
    at_most,
    between,
    one_of,
    repeat,
)

search = Recipe(
    model=Model(
        body=one_of(
            ConvNet(
                stages=repeat(
                    Stage(filters=one_of(6, 16, 32, 64), kernel_size=between(3, 5), pool_size=one_of(2, 3, 4)),
                    between(3, 5),
                ),
                pool_stride=2,
                pool_padding="same",
                batchnorm=one_of(None, "before_activation", "after_activation"),
            ),
            MobileNetV2(alpha=0.35, frozen=True, unfreeze_last=one_of(0, 10, 40)),
        ),
        pooling=one_of("flatten", "average"),
        dense=repeat(Dense(units=one_of(50, 100, 128, 256), dropout=between(0.0, 0.5, step=0.1)), between(1, 2)),
        head="softmax",
    ),
    training=Training(
        epochs=30,
        early_stopping=5,
        batch_size=one_of(16, 32, 64),
        optimizer=Adam(learning_rate=between(1e-5, 1e-2, log=True)),
        augment=one_of(None, Augment(flip="horizontal", rotation=0.05, zoom=0.1)),
    ),
)

training = Training(epochs=30, early_stopping=5, batch_size=32, optimizer=Adam(learning_rate=0.001))

baselines = {
    "three_convs": Recipe(
        model=Model(
            body=ConvNet(
                stages=[
                    Stage(filters=6, kernel_size=3, pool_size=2),
                    Stage(filters=16, kernel_size=4, pool_size=4),
                    Stage(filters=16, kernel_size=5, pool_size=2),
                ],
                pool_stride=2,
                pool_padding="same",
            ),
            dense=[Dense(units=256), Dense(units=128)],
        ),
        training=training,
    ),
    # 0.9910 validation accuracy
    "mobilenet": Recipe(
        model=Model(
            body=MobileNetV2(alpha=0.35, frozen=True),
            pooling="average",
            dense=[Dense(units=100, dropout=0.5)],
        ),
        training=training,
    ),
}

space = Space(
    data=ImageFolder("sign_digits", size=224, classes=("1", "2", "3", "4")),
    search=search,
    baselines=baselines,
    objective="max val_accuracy",
    constraints=at_most(parameters=16_000_000),
)
