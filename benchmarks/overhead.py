"""What hpsearch takes beside training: a fixed list of networks, trained by it and by a bare loop of `model.fit`.

Claims: hpsearch takes at most 1.03 times as long where a trial takes ten seconds or more. Both train the same networks
on the same images, for as many epochs, with the same batches, each from the start of its process to the end of it:
imports, building and compiling included. What only hpsearch does is included, too: workers, checkpoints after every
epoch, the record, the score on training images.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --epochs 3 --repeats 1

The two run in turns. The ratio is that of their medians; n is the number of turns.
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine, words
from _searches import hpsearch

CLAIM = 1.03
WIDTHS = ((16, 32), (32, 32), (24, 48), (32, 64), (16, 64), (48, 48))
"""Filters of the two stages of each network."""

SPACE = """
from hpsearch import Arrays, ConvNet, Dense, Model, Recipe, Space, Stage, Training, one_of

def network(*widths):
    body = ConvNet(stages=[Stage(filters=(width, width)) for width in widths], batchnorm="after_activation")
    return Recipe(
        model=Model(body=body, dense=[Dense(units=64)]), training=Training(epochs={epochs}, batch_size=128)
    )

space = Space(
    data=Arrays({file!r}, input_shape=(32, 32, 3), classes=10, validation=0.2),
    search=network(one_of(16, 24, 32, 48), one_of(32, 48, 64)),
    baselines={{f"network_{{at}}": network(*widths) for at, widths in enumerate({widths!r})}},
    objective="max val_accuracy",
)
"""


def main() -> int:
    """Run both in turns and print the ratio."""
    options = _options()
    if options.bare:
        _bare(options.bare)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(options, Path(folder))
    print(_table(found))
    if options.output:
        options.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        options.output.with_suffix(".md").write_text(_table(found) + "\n", encoding="utf-8")
    return 0 if found["ratio"] <= CLAIM else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="hpsearch against a bare loop of model.fit.")
    parser.add_argument("--epochs", type=int, default=6, help="of each network")
    parser.add_argument("--images", type=int, default=5000, help="a fifth of them to validate on")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where to write a .json and a .md")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def space_file(folder: Path, epochs: int, images: int) -> Path:
    """A space whose hand-made networks are those that are trained, on images of noise with a trace of their class.

    Args:
        folder: Where to write it and its data.
        epochs: Of each network.
        images: A fifth of them to validate on.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, images).astype("uint8")
    pixels = (rng.integers(0, 200, (images, 32, 32, 3)) + 5 * labels[:, None, None, None]).astype("uint8")
    data = folder / "images.npz"
    tenth = images // 10
    np.savez(data, x_train=pixels, y_train=labels, x_test=pixels[:tenth], y_test=labels[:tenth])
    space = folder / "space.py"
    space.write_text(SPACE.format(epochs=epochs, file=str(data), widths=WIDTHS), encoding="utf-8")
    return space


def _measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    space = space_file(folder, options.epochs, options.images)
    turns = []
    for turn in range(options.repeats):
        results = folder / f"results_{turn}"
        began = time.perf_counter()
        hpsearch("run", space, "--trials", 0, "--study", "study", "--devices", "cpu", results=results)
        middle = time.perf_counter()
        subprocess.run([sys.executable, __file__, "--bare", space], check=True, stdout=subprocess.DEVNULL)
        trials = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("study/trials/*/trial.json")]
        assert [trial["epochs"] for trial in trials] == [options.epochs] * len(WIDTHS)
        turns.append(
            {
                "hpsearch": middle - began,
                "bare": time.perf_counter() - middle,
                "trials": sum(trial["seconds"] for trial in trials),
            }
        )
        print(
            f"turn {turn + 1}: hpsearch {turns[-1]['hpsearch']:.1f} s, bare {turns[-1]['bare']:.1f} s", file=sys.stderr
        )
    medians = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    return {
        "machine": machine(),
        "load": os.getloadavg()[1],
        "networks": len(WIDTHS),
        "epochs": options.epochs,
        "images": options.images,
        "turns": turns,
        "medians": medians,
        "ratio": medians["hpsearch"] / medians["bare"],
    }


def _bare(space: Path) -> None:
    """The same networks as somebody trains them without hpsearch, one after the other."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "search"))
    import keras

    from hpsearch.data.loading import load_search_data
    from hpsearch.spacefile import load_space
    from hpsearch.training.build import build
    from hpsearch.training.inputs import loaded_inputs

    found = load_space(space)
    data = load_search_data(found.declaration)
    inputs = loaded_inputs(found.declaration, data)
    train, validation = ((part.images[:], part.labels) for part in (data.train, data.validation))
    for recipe in (found.baselines or {}).values():
        keras.utils.clear_session()
        network = build(recipe, inputs, None).network  # type: ignore[arg-type]  # it has no domains
        network.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        training = recipe.training
        network.fit(
            *train, validation_data=validation, epochs=training.epochs, batch_size=training.batch_size, verbose=0
        )


def _table(found: dict[str, Any]) -> str:
    medians = found["medians"]
    per_trial = medians["trials"] / found["networks"]
    return "\n".join(
        [
            f"{words(found['machine'])}; load {found['load']:.1f}",
            (
                f"{found['networks']} networks, {found['epochs']} epochs of {found['images'] * 4 // 5} images each, "
                f"{per_trial:.1f} s a trial; n = {len(found['turns'])}"
            ),
            "",
            "| | seconds |",
            "| --- | --- |",
            f"| a bare loop of `model.fit` | {medians['bare']:.1f} |",
            f"| `hpsearch run` | {medians['hpsearch']:.1f} |",
            f"| of these in trials | {medians['trials']:.1f} |",
            "",
            f"overhead ratio: {found['ratio']:.2f}x",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
