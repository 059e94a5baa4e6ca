"""Trains the winner of a contestant again, with several seeds, and scores it on images nobody searched on.

`python _race_final.py JOB.json` prints a line of JSON with the scores. Every winner is treated alike, whoever found it:
the same images, twelve epochs, the weights of the best epoch on the validation part. Those of hpsearch come as files,
trained by `hpsearch run --trials 0` and written by `hpsearch save`, which keep to this, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from _race_network import BATCH, EPOCHS, Fixed, network, settled


def main() -> None:
    """Read the job, train, print."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with np.load(job["data"]) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    if "models" in job:
        scores = [_share(keras.saving.load_model(path, compile=False), parts, 1.0) for path in job["models"]]
    else:
        scores = [_trained(job, parts, seed) for seed in job["seeds"]]
    print(json.dumps(scores))  # noqa: T201  # the answer


def _trained(job: dict[str, Any], parts: dict[str, Any], seed: int) -> float:
    """What the choices of a peer score when they are trained again, with the weights of the best epoch."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = network(Fixed(job["values"]), job["shape"], job["classes"])
    x, seen = (parts[f"x_{part}"].astype("float32") / job["white"] for part in ("train", "validation"))
    best = Best()
    validation = seen, parts["y_validation"]
    callbacks = [settled(x), best] if job["blocks"] == "hpsearch" else [best]
    model.fit(
        x, parts["y_train"], validation_data=validation, epochs=EPOCHS, batch_size=BATCH, verbose=0, callbacks=callbacks
    )
    model.set_weights(best.weights)
    return _share(model, parts, job["white"])


def _share(model: Any, parts: dict[str, Any], scale: float) -> float:
    """The share of the unseen images that a model tells right."""
    answers = model.predict(parts["x_unseen"].astype("float32") / scale, batch_size=500, verbose=0)
    return float((answers.argmax(axis=1) == parts["y_unseen"]).mean())


class Best(keras.callbacks.Callback):
    """Keeps the weights of the best epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.score = -1.0
        self.weights: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # Keras's signature
        """Keep them."""
        score = float((logs or {})["val_accuracy"])
        if score > self.score:
            self.score, self.weights = score, self.model.get_weights()


if __name__ == "__main__":
    main()
