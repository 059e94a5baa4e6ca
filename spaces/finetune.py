"""Photos and a frozen MobileNetV2 in two phases: the head learns first, then the last layers of the backbone with it.

While the whole backbone is frozen and nothing is augmented, its features are computed once for all trials, so that the
first phase takes seconds. The second phase trains on the photos, at a small learning rate of its own.

The photos lie in folders, DATA/cats_dogs/train/cats/1.jpg and so on; put the name of your own folder and its classes
into ImageFolder(...) below. The ImageNet weights are downloaded, or looked for in DATA. Run it with:

    hpsearch run spaces/finetune.py --for 2h --data-dir DATA
"""

from dataclasses import replace

from hpsearch import (
    Adam,
    Augment,
    Dense,
    FineTune,
    ImageFolder,
    MobileNetV2,
    Model,
    Recipe,
    Space,
    Training,
    between,
    one_of,
    repeat,
)

search = Recipe(
    model=Model(
        body=MobileNetV2(alpha=one_of(0.35, 1.0), frozen=True),
        pooling="average",
        dropout=between(0.0, 0.5, step=0.1),
        dense=repeat(Dense(units=one_of(32, 64, 128, 256), dropout=between(0.0, 0.5, step=0.1)), between(0, 2)),
        head="sigmoid",
    ),
    training=Training(
        epochs=15,
        early_stopping=3,
        batch_size=one_of(16, 32, 64),
        optimizer=Adam(learning_rate=between(1e-4, 1e-2, log=True)),
        augment=one_of(None, Augment(flip="horizontal", rotation=0.05)),
        fine_tune=one_of(
            None,
            FineTune(epochs=5, unfreeze_last=one_of(10, 40, None), learning_rate=between(1e-6, 1e-4, log=True)),
        ),
    ),
)


model = Model(body=MobileNetV2(alpha=0.35, frozen=True), pooling="average", dropout=0.2, head="sigmoid")
training = Training(epochs=15, early_stopping=3, batch_size=32, optimizer=Adam(learning_rate=0.001))
two_phases = replace(training, fine_tune=FineTune(epochs=5, unfreeze_last=40))

space = Space(
    data=ImageFolder("cats_dogs", size=160, classes=("cats", "dogs")),
    search=search,
    baselines={
        "head_alone": Recipe(model=model, training=training),
        "two_phases": Recipe(model=model, training=two_phases),
    },
    objective="max val_accuracy",
)
