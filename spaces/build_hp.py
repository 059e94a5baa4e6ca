"""A build(hp) function written for Keras Tuner, taken as it is; on the digits bundled with scikit-learn.

The images come as floats from 0 to 1, the labels as whole numbers. Run it with:

    hpsearch run spaces/build_hp.py --trials 12
"""

import keras

from hpsearch import HyperModel, Recipe, Space, Training


def build(hp):
    """A dense or a convolutional network, each with hyperparameters of its own."""
    model = keras.Sequential([keras.Input((8, 8, 1))])
    kind = hp.Choice("kind", ["dense", "conv"])
    with hp.conditional_scope("kind", ["dense"]):
        if kind == "dense":
            model.add(keras.layers.Flatten())
            for i in range(hp.Int("dense_layers", 1, 3)):
                model.add(keras.layers.Dense(hp.Int(f"units_{i}", 32, 256, step=32), activation="relu"))
    with hp.conditional_scope("kind", ["conv"]):
        if kind == "conv":
            for i in range(hp.Int("conv_layers", 1, 2)):
                filters = hp.Int(f"filters_{i}", 16, 64, step=16)
                model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
                model.add(keras.layers.MaxPooling2D())
            model.add(keras.layers.Flatten())
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(hp.Float("dropout_rate", 0.1, 0.5, step=0.1)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


space = Space(
    data="digits",
    search=Recipe(model=HyperModel(build), training=Training(epochs=20, early_stopping=5, batch_size=32)),
    objective="max val_accuracy",
)
