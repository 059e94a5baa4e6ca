"""Photos of cats and dogs, two classes, one sigmoid unit: small networks of one's own against a pretrained VGG16.

The photos lie in folders, DATA/cats_dogs/train/cats/1.jpg and so on (or without train/ and test/), in any size.
Run it with:

    hpsearch run spaces/cats_dogs.py --for 8h --data-dir DATA
"""

from hpsearch import (
    VGG16,
    Adam,
    Augment,
    ConvNet,
    Dense,
    ImageFolder,
    MaxNorm,
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

augment = Augment(flip="horizontal", rotation=0.05, zoom=0.1)

search = Recipe(
    model=Model(
        body=one_of(
            ConvNet(
                stages=repeat(Stage(filters=repeat(between(16, 64, step=16), between(1, 2))), between(1, 4)),
                input_size=one_of(64, 96),
                batchnorm=one_of(None, "before_activation", "after_activation", "once_per_stage"),
                dropout=between(0.0, 0.5, step=0.1),
            ),
            VGG16(input_size=128, frozen=True),
        ),
        pooling=one_of("flatten", "average"),
        dropout=between(0.0, 0.5, step=0.1),
        dense=repeat(
            Dense(
                units=one_of(32, 64, 128, 256),
                dropout=between(0.0, 0.5, step=0.1),
                kernel_constraint=one_of(None, MaxNorm(3)),
            ),
            between(1, 3),
        ),
        head="sigmoid",
    ),
    training=Training(
        epochs=25,
        early_stopping=5,
        batch_size=one_of(16, 32, 64),
        optimizer=Adam(learning_rate=between(1e-5, 1e-2, log=True)),
        augment=one_of(None, augment),
    ),
)

training = Training(epochs=25, early_stopping=5, batch_size=32, optimizer=Adam(learning_rate=0.001))

baselines = {
    "one_conv": Recipe(
        model=Model(
            body=ConvNet(stages=[Stage(filters=32)], input_size=64),
            dense=[Dense(units=128), Dense(units=64)],
            head="sigmoid",
        ),
        training=training,
    ),
    # 85.92 % of the test photos, 91.83 % of the training photos
    "three_convs": Recipe(
        model=Model(
            body=ConvNet(stages=[Stage(filters=32), Stage(filters=(64, 64))], input_size=64, dropout=0.2),
            dropout=0.2,
            dense=[Dense(units=128, dropout=0.5, kernel_constraint=MaxNorm(3))],
            head="sigmoid",
        ),
        training=training,
    ),
    # 90 % of the test photos, 92 % of the training photos, after 3 epochs
    "vgg16": Recipe(
        model=Model(
            body=VGG16(input_size=128, frozen=True),
            dense=[Dense(units=256), Dense(units=128), Dense(units=64)],
            head="sigmoid",
        ),
        training=training,
    ),
}

space = Space(
    data=ImageFolder("cats_dogs", size=128, classes=("cats", "dogs")),
    search=search,
    baselines=baselines,
    objective="max val_accuracy",
    constraints=at_most(parameters=20_000_000),
)
