"""``hpsearch check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import data_dir_option, use_data_dir
from hpsearch.cli.output import Cell, Column, Duration, PositiveWhole, count, duration, say, table
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.messages import Inspected

__all__ = ["check"]


@click.command()
@click.argument("space", type=click.Path(path_type=Path))
@click.option(
    "--samples",
    type=PositiveWhole(),
    default=5,
    show_default=True,
    metavar="N",
    help="How many recipes to draw and build.",
)
@click.option(
    "--time", "timed", is_flag=True, help="Train a few steps of each draw and say how many trials fit into --for."
)
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default="8h",
    show_default=True,
    metavar="TIME",
    help="The budget that --time judges.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
def check(space: Path, samples: int, timed: bool, seconds: float, as_json: bool, data_dir: Path | None) -> None:
    """Read a space file, build every baseline and some draws, and say what is searched.

    Nothing is trained, the data need not be there (but for --time), and backbones get random weights. A baseline that
    cannot be built ends the command with exit code 2.

    \b
    Example:
      hpsearch check spaces/cifar.py
      hpsearch check spaces/digits.py --time --for 1h
    """
    from hpsearch.launch import inspected
    from hpsearch.messages import Inspect

    request = Inspect(space.resolve(), space.parent.resolve(), use_data_dir(data_dir), samples, timed=timed)
    found = inspected(space, request)
    if as_json:
        say(json.dumps(_record(found, seconds if timed else None), indent=1))
    else:
        _print(space, found, seconds if timed else None)
    wrong = [baseline for baseline in found.baselines if baseline["error"]]
    if all(sample["error"] for sample in found.samples):
        raise InputError(
            f"{space}: none of {len(found.samples)} draws can be built; the last: {found.samples[-1]['error']}"
        )
    if wrong:
        raise InputError(f"{space}: baselines[{wrong[0]['name']!r}].{wrong[0]['error']}")


def _record(found: Inspected, seconds: float | None) -> dict[str, Any]:
    summary = found.summary
    return {
        "dimensions": found.dimensions,
        "size": None if summary.size == float("inf") or summary.open_ended else summary.size,
        "objective": summary.objective,
        "input_shape": list(summary.input_shape),
        "class_names": list(summary.class_names),
        "data": {"declared": summary.data, "found": found.data_found, "where": found.data_where},
        "at_most": {"parameters": summary.most_parameters},
        "baselines": list(found.baselines),
        "samples": list(found.samples),
        "fits": None if seconds is None else _fits(found, seconds),
    }


def _fits(found: Inspected, seconds: float) -> int | None:
    """How many trials of the mean predicted length fit into a budget."""
    predicted = [sample["seconds"] for sample in found.samples if sample["seconds"]]
    return int(seconds / (sum(predicted) / len(predicted))) if predicted else None


def _print(space: Path, found: Inspected, seconds: float | None) -> None:
    summary = found.summary
    shape = "x".join(str(side) for side in summary.input_shape)
    say(f"{space}: {summary.objective}, images {shape}, {len(summary.class_names)} classes")
    more = " or more, as build(hp) goes" if summary.open_ended else ""
    say(f"Dimensions   {found.dimensions}{more}")
    say(f"Size         {_size(summary.size, summary.open_ended)}")
    say(f"Data         {summary.data}: {'found, ' if found.data_found else 'not found. '}{found.data_where}")
    if summary.most_parameters is not None:
        too_large = sum((sample["parameters"] or 0) > summary.most_parameters for sample in found.samples)
        say(f"Limit        {summary.most_parameters:,} parameters; {too_large} of {len(found.samples)} draws exceed it")
    if found.baselines:
        say()
        table(_columns("Baseline"), [_cells(baseline["name"], baseline) for baseline in found.baselines])
    say()
    named = [_cells(f"draw {number}", sample) for number, sample in enumerate(found.samples, start=1)]
    table(_columns("Sample"), named)
    if seconds is not None:
        fits = _fits(found, seconds)
        say()
        say(
            f"About {fits:,} trials of this kind fit into {duration(seconds)} if none stops early."
            if fits is not None
            else "No draw could be timed."
        )


def _size(size: float, open_ended: bool) -> str:
    if open_ended:
        return "known to build(hp) only"
    if size == float("inf"):
        return "infinite (a continuous choice)"
    return f"{int(size):,} recipes" if size < 1e15 else f"about {size:.1e} recipes"


def _columns(first: str) -> list[Column]:
    return [
        Column(first),
        Column("Parameters", right=True),
        Column("MFLOPs", right=True),
        Column("Time", right=True, drop=1),
        Column("Note", wraps=True),
    ]


def _cells(name: str, found: dict[str, Any]) -> list[Cell]:
    seconds = found.get("seconds")
    operations = found["multiply_adds"]
    note = found["error"] or ("" if found.get("weights", "random") == "random" else f"weights {found['weights']}")
    return [
        Cell(name),
        Cell(count(found["parameters"])),
        Cell("-" if operations is None else f"{2 * operations / 1e6:,.1f}"),
        Cell("-" if seconds is None else duration(seconds)),
        Cell(note, "red" if found["error"] else ""),
    ]
