"""``hpsearch check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import backend_option, data_dir_option, use_data_dir
from hpsearch.cli.output import Cell, Column, Duration, PositiveWhole, amount, count, duration, say, size, table, tell
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.describe import SpaceSummary
    from hpsearch.errands import Inspected

__all__ = ["check"]


@click.command()
@click.argument("space", type=click.Path(path_type=Path))
@click.option(
    "--samples",
    type=PositiveWhole(),
    default=5,
    show_default=True,
    metavar="N",
    help="How many recipes to draw and measure.",
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
@backend_option
@data_dir_option
def check(
    space: Path,
    samples: int,
    timed: bool,
    seconds: float,
    as_json: bool,
    backend: str | None,
    data_dir: Path | None,
) -> None:
    """Read a space file, measure every baseline and some draws, and say what is searched.

    Nothing is trained or allocated, however large, the data need not be there (but for --time), and no weights are
    downloaded. Where the data is there, a few of its images are opened. FLOPs are those of one image forward, memory is
    an estimate of what training takes at most. A baseline that cannot be built, or data that cannot be read, ends the
    command with exit code 2.

    With --time a few steps of each draw are trained. Where a whole body is frozen, the features that it makes of the
    images would be kept: then it says how long an epoch on them takes, and how long they take to compute, once.

    \b
    Example:
      hpsearch check spaces/cifar.py
      hpsearch check spaces/digits.py --time --for 1h
    """
    from hpsearch.errands import Inspect
    from hpsearch.launch import inspected

    request = Inspect(space.resolve(), space.parent.resolve(), use_data_dir(data_dir), samples, timed=timed)
    found = inspected(space, request, backend)
    if as_json:
        say(json.dumps(_record(found, seconds if timed else None), indent=1))
    else:
        _print(space, found, seconds if timed else None, request.data_dir)
    if found.data_problem:
        raise InputError(f"{space}: data: {found.data_problem}")
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
        "input_shape": list(next(iter(summary.inputs.values()))),
        "inputs": {name: list(shape) for name, shape in summary.inputs.items()},
        "class_names": list(summary.class_names),
        "data": {
            "declared": summary.data,
            "found": found.data_found,
            "where": found.data_where,
            "seen": found.data_seen,
            "problem": found.data_problem or None,
        },
        "at_most": {"parameters": summary.most_parameters, "flops": summary.most_flops, "memory": summary.most_memory},
        "rejected": sum(bool(sample["exceeds"]) for sample in found.samples) / len(found.samples),
        "baselines": list(found.baselines),
        "samples": list(found.samples),
        "notes": list(found.notes),
        "fits": None if seconds is None else _fits(found, seconds),
    }


def _fits(found: Inspected, seconds: float) -> int | None:
    """How many trials of the mean predicted length fit into a budget, once features that they share are computed."""
    predicted = [sample["seconds"] for sample in found.samples if sample["seconds"]]
    if not predicted:
        return None
    known = [sample["features"] for sample in found.samples if sample["features"]]
    once = {features["of"]: features["once_seconds"] for features in known}
    return int(max(seconds - sum(once.values()), 0.0) / (sum(predicted) / len(predicted)))


def _inputs(summary: SpaceSummary) -> str:
    """What networks see: ``images 32x32x3``, or each input by name."""
    names = {"image": "images"} if len(summary.inputs) == 1 else {}
    shapes = {name: "x".join(str(side) for side in shape if side) for name, shape in summary.inputs.items()}
    return ", ".join(f"{names.get(name, name)} {shape}".rstrip() for name, shape in shapes.items())


def _print(space: Path, found: Inspected, seconds: float | None, data_dir: Path | None) -> None:
    summary = found.summary
    told = f"{len(summary.class_names)} classes" if summary.class_names else "amounts"
    say(f"{space}: {summary.objective}, {_inputs(summary)}, {told}")
    more = " or more, as build(hp) goes" if summary.open_ended else ""
    say(f"Dimensions   {found.dimensions}{more}")
    say(f"Size         {_recipes(summary.size, summary.open_ended)}")
    but = ", but not as declared" if found.data_problem else ""
    say(f"Data         {summary.data}: {'found, ' if found.data_found else 'not found. '}{found.data_where}{but}")
    if found.data_seen is not None:
        say(f"             {_seen(**found.data_seen)}")
    for sentence in found.notes:
        tell(sentence)
    limits = _limits(summary)
    if limits:
        rejected = sum(bool(sample["exceeds"]) for sample in found.samples)
        share = f"{rejected} of {len(found.samples)} draws ({rejected / len(found.samples):.0%})"
        say(f"At most      {', '.join(limits.values())}; {share} would be rejected")
    if found.baselines:
        say()
        table(_columns("Baseline"), [_cells(baseline["name"], baseline, {}) for baseline in found.baselines])
        for one in summary.left_out:
            say(one.sentence(data_dir))
    say()
    named = [_cells(f"draw {number}", sample, limits) for number, sample in enumerate(found.samples, start=1)]
    table(_columns("Sample"), named)
    if seconds is not None:
        fits = _fits(found, seconds)
        say()
        say(
            f"About {fits:,} trials of this kind fit into {duration(seconds)} if none stops early."
            if fits is not None
            else "No draw could be timed."
        )


def _seen(rows: int, of: str, classes: int, photos: int, opened: int) -> str:
    """What a sample of the data holds: ``1,400 photos in 2 classes; 8 opened``."""
    there = f" with {photos:,} photos" if photos else ""
    return f"{rows:,} {of}{f' in {classes} classes' if classes else ''}{there}{f'; {opened} opened' if opened else ''}"


def _recipes(number: float, open_ended: bool) -> str:
    if open_ended:
        return "known to build(hp) only"
    if number == float("inf"):
        return "infinite (a continuous choice)"
    return f"{int(number):,} recipes" if number < 1e15 else f"about {number:.1e} recipes"


def _limits(summary: SpaceSummary) -> dict[str, str]:
    """The limits of a space in words, by name."""
    most = {
        "parameters": (summary.most_parameters, f"{count(summary.most_parameters)} parameters"),
        "flops": (summary.most_flops, f"{amount(summary.most_flops)} FLOPs"),
        "memory": (summary.most_memory, f"{size(summary.most_memory)} of memory"),
    }
    return {name: words for name, (limit, words) in most.items() if limit is not None}


def _columns(first: str) -> list[Column]:
    return [
        Column(first),
        Column("Parameters", right=True),
        Column("FLOPs", right=True),
        Column("Memory", right=True),
        Column("Time", right=True, drop=1),
        Column("Note", wraps=True),
    ]


def _cells(name: str, found: dict[str, Any], limits: dict[str, str]) -> list[Cell]:
    seconds = found.get("seconds")
    notes = [f"exceeds {limits[limit]}" for limit in found.get("exceeds", [])]
    if found.get("weights", "random") != "random":
        notes.append(f"weights {found['weights']}")
    if found.get("features"):
        epoch, once = (duration(found["features"][name]) for name in ("epoch_seconds", "once_seconds"))
        notes.append(f"an epoch {epoch} on features of the frozen body, which are computed once, in {once}")
    return [
        Cell(name),
        Cell(count(found["parameters"])),
        Cell(amount(found["flops"])),
        Cell(size(found["memory"])),
        Cell("-" if seconds is None else duration(seconds)),
        Cell(found["error"] or ", ".join(notes), "red" if found["error"] or found.get("exceeds") else ""),
    ]
