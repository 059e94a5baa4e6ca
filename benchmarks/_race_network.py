"""The networks of the race as somebody writes them by hand in Keras, for the peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

__all__ = ["BATCH", "EPOCHS", "Fixed", "Hyperparameters", "network", "settled"]

EPOCHS = 12
BATCH = 128


class Hyperparameters(Protocol):
    """What Keras Tuner hands to a ``build(hp)``, as far as it is used here."""

    def Choice(self, name: str, values: Sequence[Any]) -> Any: ...  # noqa: N802  # Keras Tuner's name
    def Int(self, name: str, low: int, high: int, step: int = 1) -> int: ...  # noqa: N802  # see above
    def Float(self, name: str, low: float, high: float, sampling: str = "linear") -> float: ...  # noqa: N802  # see above


class Fixed:
    """Hyperparameters that were chosen before.

    Args:
        values: The choices by name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def Choice(self, name: str, values: Sequence[Any]) -> Any:  # noqa: N802  # as above
        """The value that was chosen."""
        return self.values[name]

    def Int(self, name: str, low: int, high: int, step: int = 1) -> int:  # noqa: N802  # as above
        """The value that was chosen."""
        return int(self.values[name])

    def Float(self, name: str, low: float, high: float, sampling: str = "linear") -> float:  # noqa: N802  # as above
        """The value that was chosen."""
        return float(self.values[name])


def network(hp: Hyperparameters, shape: Sequence[int], classes: int) -> Any:
    """A compiled network.

    Args:
        hp: Who chooses.
        shape: Height, width and channels of an image, which comes as float32 from 0 to 1.
        classes: How many classes there are.
    """
    import keras
    from keras import layers

    norm = hp.Choice("batchnorm", ["none", "conv", "stage"])
    drop = hp.Float("conv_dropout", 0.0, 0.5)
    inputs = x = keras.Input(tuple(shape))
    for stage in range(hp.Int("stages", 1, 3)):
        for conv in range(hp.Int(f"convs_{stage}", 1, 2)):
            filters = hp.Choice(f"filters_{stage}_{conv}", [8, 16, 32, 64])
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            if norm == "conv":
                x = layers.BatchNormalization()(x)
        if norm == "stage":
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(drop)(x)
    pooled = (
        layers.Flatten()
        if hp.Choice("pooling", ["flatten", "average"]) == "flatten"
        else layers.GlobalAveragePooling2D()
    )
    x = pooled(x)
    for dense in range(hp.Int("dense_layers", 0, 2)):
        x = layers.Dense(hp.Int(f"units_{dense}", 32, 256, step=32), activation="relu")(x)
        x = layers.Dropout(hp.Float(f"dense_dropout_{dense}", 0.0, 0.5))(x)
    model = keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    adam = hp.Choice("optimizer", ["adam", "sgd"]) == "adam"
    optimizer = keras.optimizers.Adam(rate) if adam else keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def settled(x: Any) -> Any:
    """A callback that finds the statistics of batch normalisation anew before every validation, as hpsearch does.

    Args:
        x: The images that are trained on, float32 (n, height, width, channels).
    """
    import keras

    from hpsearch.blocks.batchnorm import follow
    from hpsearch.training.statistics import Statistics

    class Settled(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def __deepcopy__(self, memo: Any) -> Settled:  # Keras Tuner copies callbacks for every trial
            return Settled()

        def on_train_begin(self, logs: Any = None) -> None:
            follow(self.model, None)
            self.statistics = Statistics(self.model, x, BATCH)

        def on_test_begin(self, logs: Any = None) -> None:
            self.statistics.find()

    return Settled()
