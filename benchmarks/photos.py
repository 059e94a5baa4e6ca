"""Does training on a folder of photos larger than memory allows need memory for the folder, and how quick is it?

Claims, each of which is checked and ends the script with exit code 1 where it does not hold:

- What a process holds at most does not follow the size of the folder: with all photos, each kind of process holds at
  most five per cent more than with a quarter of them.
- The decoded photos are never in memory: all together they take at least three times the limit.

Photos of 250x250 pixels are made up and written as JPEG. A tiny network is trained on them by the command
``hpsearch run``, with HPSEARCH_PHOTO_MEMORY far below what the photos take decoded, so that they are decoded into the
cache and read batch by batch. It is run three times: on a quarter of the photos, on all of them with an empty cache
(cold), and once more (warm). The peak is that of the resident set, which the system keeps for each process (Linux:
VmHWM), looked at four times a second; what the system holds of files in its own memory is no part of it.

Run it with:

    python benchmarks/photos.py --output results/reference/photos.json
    python benchmarks/photos.py --photos 2000 --limit 30
"""

from __future__ import annotations

import csv
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _machine import machine, words  # its own folder comes first
from _night import TRAINING, Job, Run

__all__ = ["Measured", "broken", "make_photos", "measured"]

WITHIN = 1.05
"""What is held with all photos may be so many times what is held with a quarter of them."""
LEAST = 3
"""Decoded, the photos take so many times the limit at least."""
SIDE = 250
MB = 1_000_000
EPOCHS = 2
LOOK = 0.25
"""Seconds between two looks."""
ROLES = ("coordinator", "fork server", "worker")
SPACE = '''
"""A tiny network on photos."""

from hpsearch import SGD, ConvNet, ImageFolder, Model, Recipe, Space, Stage, Training

space = Space(
    data=ImageFolder({folder!r}, size={side}, classes=("bright", "dark")),
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=4)], strides=4), pooling="average"),
        training=Training(epochs={epochs}, batch_size=32, optimizer=SGD(learning_rate=0.01)),
    ),
)
'''


@dataclass(frozen=True)
class Measured:
    """One run.

    Args:
        what: Which.
        photos: How many photos the folder holds; a fifth of them is sealed as the test part and never read.
        peak: Most resident bytes of each kind of process.
        load: Seconds from the start of the command until training began.
        epochs: Seconds of each epoch, validation included.
        trained: Photos an epoch: those trained on.
        validated: Photos an epoch: those validated on.
    """

    what: str
    photos: int
    peak: Mapping[str, int]
    load: float
    epochs: tuple[float, ...]
    trained: int
    validated: int

    @property
    def decoded(self) -> int:
        """Bytes of the photos that are read, decoded."""
        return (self.trained + self.validated) * SIDE * SIDE * 3

    @property
    def rates(self) -> tuple[float, ...]:
        """Photos a second in each epoch, those validated on included."""
        return tuple((self.trained + self.validated) / seconds for seconds in self.epochs)


def make_photos(folder: Path, count: int) -> Path:
    """Photos with soft shapes, half of them dark, half bright; as JPEG they take about 10 kB each.

    Args:
        folder: Where to.
        count: How many.
    """
    import numpy as np
    from PIL import Image

    names = ("bright", "dark")
    for name in names:
        (folder / name).mkdir(parents=True)

    def make(number: int) -> None:
        random = np.random.default_rng(number)
        kind = number % 2
        small = random.integers(0, 160, (16, 16, 3)) + (90 - 60 * kind)
        image = Image.fromarray(small.clip(0, 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(folder / names[kind] / f"{number:06d}.jpg", quality=90)

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(make, range(count)):
            pass
    return folder


def measured(what: str, photos: Path, folder: Path, limit: int) -> Measured:
    """Run a study on a folder of photos and look at its processes.

    Args:
        what: What the run is called.
        photos: The folder of photos.
        folder: Where the space file, the results and the cache are.
        limit: The most bytes that photos may take in memory.

    Raises:
        RuntimeError: It does not end well.
    """
    space = folder / f"{photos.name}.py"
    space.write_text(SPACE.format(folder=photos.name, side=SIDE, epochs=EPOCHS).lstrip(), encoding="utf-8")
    options = ("--no-baselines", "--keep", "0", "--data-dir", str(photos.parent), "--strategy", "random")
    more = {"HPSEARCH_PHOTO_MEMORY": str(limit), "HPSEARCH_CACHE": str(folder / "cache"), "HPSEARCH_CACHE_LIMIT": "1TB"}
    run = Run(Job(space, folder / "results", what, 0, 1, options), more)
    peak = dict.fromkeys(ROLES, 0)
    try:
        while run.running:
            for role, bytes_ in _peaks(run):
                peak[role] = max(peak[role], bytes_)
            time.sleep(LOOK)
        if run.end() != 0 or not run.done:
            raise RuntimeError(f"the run did not end well: {run.errors.strip()} {[line.text for line in run.lines]}")
        began = next(line.when for line in run.lines if TRAINING.match(line.text))
        info = json.loads((run.job.folder / "study.json").read_text(encoding="utf-8"))
        return Measured(
            what,
            sum(1 for _ in photos.rglob("*.jpg")),
            peak,
            began - run.began,
            _epochs(run.job.folder / "trials" / "00000" / "history.csv"),
            info["train_images"],
            info["validation_images"],
        )
    finally:
        run.close()


def _epochs(history: Path) -> tuple[float, ...]:
    with open(history, encoding="utf-8", newline="") as file:
        return tuple(float(row["seconds"]) for row in csv.DictReader(file))


def _peaks(run: Run) -> list[tuple[str, int]]:
    """Most resident bytes so far of the processes of a run that live."""
    server = run.server()
    found = [("coordinator", run.process.pid)]
    found += [("fork server", server.pid)] if server is not None else []
    found += [("worker", worker.pid) for worker in run.workers()]
    return [(role, _peak(pid)) for role, pid in found]


def _peak(pid: int) -> int:
    """The most that a process held; what it holds now where the system does not tell; 0 where it has just ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return int(psutil.Process(pid).memory_info().rss)
    except (OSError, psutil.Error):
        return 0


def broken(few: Measured, many: Measured, limit: int) -> list[str]:
    """What does not hold, a sentence each.

    Args:
        few: The run on a quarter of the photos.
        many: The run on all of them.
        limit: The most bytes that photos may take in memory.
    """
    said = [
        f"the {role} held {many.peak[role] / MB:,.0f} MB with {many.photos:,} photos, {few.peak[role] / MB:,.0f} MB "
        f"with {few.photos:,}"
        for role in ROLES
        if many.peak[role] > WITHIN * few.peak[role]
    ]
    if few.decoded <= limit:
        said.append(f"{few.photos:,} photos fit into the limit; make more of them, or say a lower --limit")
    if many.decoded < LEAST * limit:
        said.append(f"decoded, the photos take less than {LEAST} times the limit; make more of them")
    return said


def _table(runs: list[Measured]) -> Table:
    table = Table(title="The most that each process held, MB, and how long it took", title_justify="left")
    columns = ("run", "photos", "decoded", *ROLES, "s until training", "photos/s, 1st epoch", "2nd epoch")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    for run in runs:
        sizes = [f"{size / MB:,.0f}" for size in (run.decoded, *(run.peak[role] for role in ROLES))]
        rates = [f"{rate:,.0f}" for rate in run.rates]
        table.add_row(run.what, f"{run.photos:,}", *sizes, f"{run.load:.1f}", *rates)
    return table


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--photos", type=click.IntRange(min=2000), default=8000, show_default=True, help="How many to make.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="MB that photos may take in memory."
)
@click.option("--output", type=click.Path(path_type=Path), help="A JSON file for the figures; a table goes beside it.")
def main(photos: int, limit: int, output: Path | None) -> None:
    """Make photos, train on them, and say what the processes held."""
    most, began = limit * MB, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="photos-") as temporary:
        folder = Path(temporary)
        few = make_photos(folder / "few", photos // 4)
        many = make_photos(folder / "many", photos)
        runs = [
            measured(what, where, folder, most)
            for what, where in (("a-quarter", few), ("all-cold", many), ("all-warm", many))
        ]
    quarter, cold, warm = runs
    wrong = [*broken(quarter, cold, most), *broken(quarter, warm, most)]
    decoding = (cold.trained + cold.validated) / max(cold.load - warm.load, 1e-9)
    said = {
        "command": f"python benchmarks/photos.py --photos {photos} --limit {limit}",
        "machine": machine(),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "limit": most,
        "decoded": cold.decoded,
        "photos_decoded_a_second": round(decoding),
    }
    console = Console(width=130, record=True, highlight=False)
    console.print(f"Machine: {words(machine())}")
    console.print(
        f"{photos:,} photos of {SIDE}x{SIDE}, {cold.decoded / MB:,.0f} MB decoded without the test part; limit "
        f"{most / MB:,.0f} MB, which is {cold.decoded / most:.0f} times less"
    )
    console.print(_table(runs))
    rate = f"{decoding:,.0f}" if math.isfinite(decoding) and cold.load > warm.load else "-"
    console.print(f"Photos decoded into the cache a second, once (cold less warm): {rate}")
    for sentence in dict.fromkeys(wrong):
        console.print(f"Broken: {sentence}", markup=False, soft_wrap=True)
    if output is not None:
        figures = [{**asdict(run), "decoded": run.decoded, "rates": run.rates} for run in runs]
        _write(output, {**said, "broken": wrong, "runs": figures}, console.export_text())
    sys.exit(1 if wrong else 0)


def _write(output: Path, said: dict[str, Any], shown: str) -> None:
    """The figures as JSON, and the table for people beside them."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    text = (
        f"# Photos that do not fit into memory\n\nMade with `{said['command']}` in {said['minutes']:.0f} minutes.\n\n"
    )
    output.with_suffix(".md").write_text(f"{text}```\n{shown}```\n", encoding="utf-8")


if __name__ == "__main__":
    main()
