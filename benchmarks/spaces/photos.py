"""Cats and dogs, 96x96 pixels: heads on a frozen or partly frozen MobileNetV2, and networks from scratch.

Here the kinds of network differ in cost by a factor of fifty, and the frozen ones lead from the first epoch.
"""

from hpsearch import (
    Adam,
    ConvNet,
    Dense,
    ImageFolder,
    MobileNetV2,
    Model,
    Recipe,
    Space,
    Stage,
    Training,
    between,
    one_of,
    repeat,
)

WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"

space = Space(
    data=ImageFolder("cats_dogs", size=96, classes=("cats", "dogs")),
    search=Recipe(
        model=Model(
            body=one_of(
                MobileNetV2(alpha=0.35, weights=WEIGHTS, frozen=True, unfreeze_last=one_of(0, 10, 40)),
                ConvNet(
                    stages=repeat(Stage(filters=one_of(8, 16, 32)), between(2, 4)),
                    batchnorm=one_of(None, "after_activation"),
                    dropout=between(0.0, 0.4, step=0.1),
                ),
            ),
            pooling=one_of("average", "flatten"),
            dropout=between(0.0, 0.5, step=0.1),
            dense=repeat(Dense(units=one_of(32, 64, 128, 256), dropout=between(0.0, 0.5, step=0.1)), between(0, 2)),
            head="sigmoid",
        ),
        training=Training(
            epochs=12, batch_size=one_of(16, 32, 64), optimizer=Adam(learning_rate=between(1e-5, 1e-2, log=True))
        ),
    ),
    objective="max val_accuracy",
)
