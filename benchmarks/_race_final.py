"""Trains the winner of a contestant again, with several seeds, and scores it on examples nobody searched on.

`python _race_final.py JOB.json` prints a line of JSON with the scores. Every winner is treated alike, whoever found it:
the same images, as many epochs as in the search, the weights of the best epoch on the validation part. Those of
hpsearch come as files, trained by `hpsearch run --trials 0` and written by `hpsearch save`, which keep to this, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from _race_network import BATCH, EPOCHS, Fixed, network, settled
from _race_space import Declared, Place, score_unseen, unseen

from hpsearch.data.parts import image_part


def main() -> None:
    """Read the job, train, print."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    score = _of_space if "space" in job else _by_hand
    print(json.dumps(score(job)))  # noqa: T201  # the answer


def _of_space(job: dict[str, Any]) -> list[float]:
    place = Place(**job["space"])
    part = unseen(place)
    if "models" in job:
        return [score_unseen(_loaded(path), part) for path in job["models"]]
    declared, scores = Declared(place, job["blocks"]), []
    for seed in job["seeds"]:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        built = declared.built(Fixed(job["values"]))
        declared.trained(built, seed)
        scores.append(score_unseen(built.answering, part))
    return scores


def _by_hand(job: dict[str, Any]) -> list[float]:
    with np.load(job["data"]) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    raw = image_part(parts["x_unseen"], parts["y_unseen"])
    if "models" in job:
        return [score_unseen(_loaded(path), raw) for path in job["models"]]
    scaled = image_part(parts["x_unseen"].astype("float32") / job["white"], parts["y_unseen"])
    return [score_unseen(_trained(job, parts, seed), scaled) for seed in job["seeds"]]


def _loaded(path: str) -> Any:
    return keras.saving.load_model(path, compile=False)


def _trained(job: dict[str, Any], parts: dict[str, Any], seed: int) -> Any:
    """The network that a peer chose, trained again, with the weights of the best epoch."""
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
    return model


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
