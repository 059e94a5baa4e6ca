"""Images a second of several trainings on one device: in lanes of one process, and in processes of their own."""

from __future__ import annotations

import statistics
import threading
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from _gpu import Setting, table, write
from _gpu_data import cifar_folder
from _race_data import prepared
from _training import Seconds, network, noise

from hpsearch.data.parts import Part
from hpsearch.errors import HpsearchError
from hpsearch.executors.devices import slots_for
from hpsearch.messages import Setup
from hpsearch.recipe import Recipe
from hpsearch.resolve import from_answers
from hpsearch.sharing import pace_of
from hpsearch.training.build import Built, build
from hpsearch.training.devices import remember_programs
from hpsearch.training.fit import fit
from hpsearch.training.inputs import image_inputs

__all__ = ["pack"]

ROW = 60.0
"""Seconds that a row may take, compiling included."""
HERE = Path(__file__).resolve().parent
INPUTS = image_inputs((32, 32, 3), 10, 255.0)


def pack(setting: Setting) -> None:
    """Measure, and write ``pack.json`` and ``pack.md``.

    Args:
        setting: Where and how.
    """
    images, epochs = (256, 12) if setting.tiny else (10_000, 12)
    networks = [(4,)] if setting.tiny else [(16, 32), (64, 128), (128, 256, 256)]
    numbers = (1, 2) if setting.tiny else (1, 2, 4, 8)
    train, held_out = noise(images, 0), noise(max(images // 10, 64), 1)
    remember_programs()
    processes = _in_processes(setting, numbers)
    lanes = []
    for widths, number in product(networks, numbers):
        if setting.has(ROW):
            found = _in_lanes(network(widths, epochs, 128), number, train, held_out)
            lanes.append({"widths": widths, "number": number, **found})
    left_out = len(networks) * len(numbers) - len(lanes)
    shown = [
        (
            " ".join(map(str, each["widths"])),
            each["number"],
            f"{each['rate']:,.0f}",
            f"{each['rate'] / next(one['rate'] for one in lanes if one['widths'] == each['widths']):.2f}",
            "yes" if each["together"] else "no",
        )
        for each in lanes
    ]
    apart = [
        (each["number"], f"{each['rate']:,.0f}", f"{each['hourly']:,.0f}", _times(each, processes[0]))
        if each["rate"]
        else (each["number"], "do not fit", "", "")
        for each in processes
    ]
    text = (
        f"In lanes of one process, networks of one shape with different seeds, batches of 128 of {images:,} images, "
        "validation on a tenth included, the median of the epochs of the second half. Whether they went together was "
        "measured on the way, as in a search.\n\n"
        + table(("filters of the stages", "trainings", "images/s in all", "times one", "together at the end"), shown)
        + "\n\nIn processes of their own, the network of the race that is made by hand:\n\n"
        + table(("processes", "images/s in all", "trials an hour", "times one"), apart)
    )
    text += f"\n\nThere was no time for {left_out} rows of the first table." if left_out else ""
    write(setting, "pack", {"images": images, "lanes": lanes, "processes": processes}, text)


def _times(each: dict[str, Any], one: dict[str, Any]) -> str:
    return f"{each['hourly'] / one['hourly']:.2f}"


def _in_lanes(recipe: Recipe, number: int, train: Part, held_out: Part) -> dict[str, Any]:
    """Images a second of so many trainings in one process, and whether they went together."""
    from hpsearch.training import programs

    programs.forget()  # so that each number begins without what the others measured
    made: list[Built] = []
    for seed in range(number):
        keras.utils.set_random_seed(seed)
        made.append(build(recipe, INPUTS, from_answers({})))
    watches = [Seconds() for _ in made]

    def train_one(built: Built, seed: int) -> None:
        options: dict[str, Any] = {"metric": "val_accuracy", "maximize": True, "engine": "device"}
        fit(built, train, held_out, INPUTS, seed=seed, watch=watches[seed], **options)

    threads = [threading.Thread(target=train_one, args=(built, seed)) for seed, built in enumerate(made)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = [statistics.median(watch.epochs[len(watch.epochs) // 2 :]) for watch in watches]
    paces = [program.paces["train"] for program in programs.known()]
    together = any(pace.pays(width, 0) for pace in paces for width in pace.together)
    measured = {width: seconds for pace in paces for width, seconds in pace.together.items()}
    return {
        "rate": sum(len(train) / seconds for seconds in late),
        "together": together,
        "step": min((pace.alone for pace in paces), default=None),
        "steps_together": measured,
    }


def _in_processes(setting: Setting, numbers: tuple[int, ...]) -> list[dict[str, Any]]:
    """Images a second and trials an hour of so many processes; 0 where they do not fit."""
    name, count, held_out = ("digits", 200, 100) if setting.tiny else ("cifar10", 20_000, 2_000)
    found: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        images = prepared(name, cifar_folder(), count, held_out, Path(folder))
        space = Path(folder) / "race.py"
        text = (HERE / "spaces" / "race.py").read_text(encoding="utf-8")
        data = "from dataclasses import replace\nfrom hpsearch import Arrays\nspace = replace(space, data=Arrays("
        data += "{file!r}, input_shape={shape}, classes={classes}, white={white}, validation={validation}))\n"
        space.write_text(text + data.format(**images.declared), encoding="utf-8")
        setup = Setup(space, space.parent)
        for number in numbers:
            try:
                pace = pace_of(setup, slots_for("cpu" if setting.tiny else "0", number))
            except HpsearchError:
                pace = None
            found.append({"number": number, "rate": pace.rows if pace else 0.0, "hourly": pace.hourly if pace else 0.0})
    return found
