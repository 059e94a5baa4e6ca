"""Steps of training a second, by `fit` and by the device engine, against what the device can calculate."""

from __future__ import annotations

import statistics
import time
from itertools import product

import jax
import jax.numpy as jnp
import keras
from _gpu import Setting, table, write
from _training import Seconds, network, noise

from hpsearch import Recipe
from hpsearch.data.parts import Part
from hpsearch.resolve import from_answers
from hpsearch.training.build import build
from hpsearch.training.fit import fit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.measure import measure

__all__ = ["step"]

ROW = 90.0
"""Seconds that a row may take, compiling included."""
INPUTS = image_inputs((32, 32, 3), 10, 255.0)


def step(setting: Setting) -> None:
    """Measure, and write ``step.json`` and ``step.md``.

    Args:
        setting: Where and how.
    """
    images, epochs, widths = (256, 2, (4, 8)) if setting.tiny else (50_000, 4, (64, 128, 256))
    batches = (64,) if setting.tiny else (128, 512, 1024)
    train, held_out = noise(images, 0), noise(max(images // 10, 64), 1)
    peak = _matmul(256 if setting.tiny else 8192)
    rows, left_out = [], []
    for precision, batch in product(("float32", "mixed_bfloat16"), batches):
        if not setting.has(ROW):
            left_out.append(f"{precision} {batch}")
            continue
        recipe = network(widths, epochs, batch, precision)
        flops = 3 * measure(recipe, INPUTS).flops  # backwards takes about twice what forwards takes
        rates = {engine: _images_a_second(recipe, engine, train, held_out) for engine in ("fit", "device")}
        rows.append({"precision": precision, "batch": batch, "flops": flops, **rates})
    found = {"images": images, "epochs": epochs, "widths": widths, "matmul": peak, "rows": rows}
    lines = [
        (
            row["precision"],
            row["batch"],
            f"{row['fit']:,.0f}",
            f"{row['device']:,.0f}",
            f"{row['device'] / row['fit']:.1f}",
            f"{row['device'] * row['flops'] / peak:.1%}",
        )
        for row in rows
    ]
    header = ("precision", "batch", "fit, images/s", "device engine, images/s", "ratio", "of the matmul rate")
    text = (
        f"{' '.join(map(str, widths))} filters, two convolutions a stage; {images:,} images an epoch; the median of "
        f"{epochs - 1} epochs after the first, validation on a tenth included. The device multiplies bfloat16 matrices "
        f"at {peak / 1e12:.1f} TFLOP/s.\n\n{table(header, lines)}"
    )
    text += f"\n\nThere was no time for {', '.join(left_out)}." if left_out else ""
    write(setting, "step", found, text)


def _images_a_second(recipe: Recipe, engine: str, train: Part, held_out: Part) -> float:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    built = build(recipe, INPUTS, from_answers({}))
    watch = Seconds()
    fit(
        built,
        train,
        held_out,
        INPUTS,
        metric="val_accuracy",
        maximize=True,
        seed=0,
        watch=watch,
        engine=engine,
    )
    return len(train) / statistics.median(watch.epochs[1:])


def _matmul(size: int) -> float:
    """Floating-point operations a second of a large matrix product."""
    left = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    multiplied = jax.jit(lambda a, b: a @ b)
    multiplied(left, left).block_until_ready()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        multiplied(left, left).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)
