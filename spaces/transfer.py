"""A folder of photos and pretrained networks: which backbone, at which size, how much of it to fine-tune, what on top.

Put the name of your own folder and its classes into ImageFolder(...) below. The ImageNet weights are downloaded, or
looked for in DATA under the file names that Keras gives them. Run it with:

    hpsearch run spaces/transfer.py --for 8h --data-dir DATA
"""

from hpsearch import (
    VGG16,
    Adam,
    Augment,
    Dense,
    EfficientNetV2B0,
    ImageFolder,
    MobileNetV2,
    MobileNetV3Large,
    Model,
    Recipe,
    ResNet50,
    Space,
    Training,
    between,
    one_of,
    repeat,
)

space = Space(
    data=ImageFolder("cats_dogs", size=250, classes=("cats", "dogs")),
    search=Recipe(
        model=Model(
            body=one_of(
                VGG16(input_size=one_of(150, 250), unfreeze_last=one_of(0, 4, 8)),  # 4: its last block
                ResNet50(input_size=one_of(160, 224), unfreeze_last=one_of(0, 12, 32)),
                MobileNetV2(
                    alpha=one_of(0.35, 0.5, 1.0), input_size=one_of(160, 192, 224), unfreeze_last=one_of(0, 10, 40)
                ),
                MobileNetV3Large(input_size=one_of(160, 224), unfreeze_last=one_of(0, 10, 40)),
                EfficientNetV2B0(input_size=one_of(160, 224), unfreeze_last=one_of(0, 10, 40)),
            ),
            pooling="average",
            dropout=between(0.0, 0.5, step=0.1),
            dense=repeat(
                Dense(units=one_of(128, 256, 512, 1024, 2048, 4096), dropout=between(0.0, 0.5, step=0.1)),
                between(0, 3),
            ),
            head="softmax",
        ),
        training=Training(
            epochs=20,
            early_stopping=3,
            batch_size=one_of(16, 32, 64),
            optimizer=Adam(learning_rate=between(1e-5, 1e-2, log=True)),
            augment=one_of(None, Augment(flip="horizontal", rotation=0.05, zoom=0.1)),
        ),
    ),
    baselines={
        "vgg16": Recipe(
            model=Model(
                body=VGG16(input_size=250, frozen=True),
                pooling="average",
                dense=[Dense(units=1024), Dense(units=1024), Dense(units=4096)],
            ),
            training=Training(epochs=20, early_stopping=3, batch_size=32, optimizer=Adam(learning_rate=0.001)),
        ),
    },
    objective="max val_accuracy",
)
