"""What a search finds against the best hand-made network of the same space, both trained anew with several seeds.

Claims nothing beforehand: the table says what was found in the time that was given, and whether the difference is more
than luck. The search chose its recipe by one score on the validation part; so that this does not flatter it, both
recipes are trained again from scratch, with seeds of their own, on the same split. The validation part is still the
one that was searched on: a winner of many can keep a little of its luck. The test part stays sealed.

Everything is done by the commands a user types: one `hpsearch run` for the search, one for each seed, of a copy of the
space file whose only recipes are the two.

    python benchmarks/side_by_side.py spaces/table.py --for 5m --output OUT
    python benchmarks/side_by_side.py spaces/cifar.py --for 15m --subset 4000 --epochs 8 --data-dir DATA
    python benchmarks/side_by_side.py --table OUT...        the files of several, in one table

`--replace OLD NEW` changes the text of the space file first, such as the alpha of a backbone whose weights are not at
hand; the table says so. The studies stay in `--results`, and a call that was cut off goes on there.
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

from _machine import machine, words
from _searches import copied, given, hpsearch, shown

_HIDDEN = {"--data-dir": "DATA", "--results": "RESULTS", "--output": "OUT"}
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Two-sided 95 % points of Student's distribution, by the number of seeds."""

AGAIN = """

from dataclasses import replace as _replace

from hpsearch import *

space = _replace(space, baselines={{"by_hand": space.baselines[{baseline!r}], "found": {found}}})
"""


def main() -> int:
    """Search, train both again, and write the table."""
    options = _options()
    if options.table:
        print(_table([json.loads(path.read_text(encoding="utf-8")) for path in options.table]))
        return 0
    found = _side_by_side(options)
    print(_table([found]))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        options.output.with_suffix(".py").write_text(found["recipe"], encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The best found recipe beside the best hand-made one, with seeds.")
    parser.add_argument("space", type=Path, nargs="?", help="a space file with baselines")
    parser.add_argument("--for", dest="time", default="10m", help="how long to search: 10m, 2h")
    parser.add_argument("--subset", type=int, help="as of hpsearch run")
    parser.add_argument("--epochs", type=int, help="as of hpsearch run")
    parser.add_argument("--seeds", type=int, default=3, choices=sorted(T_95), help="how often both are trained again")
    parser.add_argument("--replace", nargs=2, action="append", default=[], metavar=("OLD", "NEW"), help="a text in it")
    parser.add_argument("--data-dir", type=Path, help="as of hpsearch run")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the studies are written")
    parser.add_argument("--output", type=Path, help="where to write the figures (.json) and the found recipe (.py)")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of these .json files, no more")
    options = parser.parse_args()
    if not options.table and not options.space:
        parser.error("name a space file")
    return options


def _side_by_side(options: argparse.Namespace) -> dict[str, Any]:
    name = options.space.stem
    space = copied(options.space, options.replace, options.results / "searched")
    limits = [*given("--subset", options.subset), *given("--epochs", options.epochs)]
    _hpsearch(options, "run", space, "--study", name, "--for", options.time, *limits)
    rows = json.loads(_hpsearch(options, "leaderboard", "--study", name, "--json", read=True))
    ranked = [row for row in rows if row["rank"] is not None]
    best = next(row for row in ranked if row["baseline"] is None)
    by_hand = next(row for row in ranked if row["baseline"] is not None)
    recipe = (options.results / name / "trials" / f"{best['number']:05}" / "recipe.py").read_text(encoding="utf-8")
    again = space.with_name(f"{name}_again.py")
    added = AGAIN.format(baseline=by_hand["baseline"], found=recipe.strip())
    again.write_text(space.read_text(encoding="utf-8") + added, encoding="utf-8")
    scores: dict[str, list[float]] = {"by_hand": [], "found": []}
    for seed in range(1, options.seeds + 1):
        study = f"{name}_seed_{seed}"
        _hpsearch(options, "run", again, "--study", study, "--trials", "0", "--seed", str(seed), *limits)
        told = json.loads(_hpsearch(options, "leaderboard", "--study", study, "--json", read=True))
        for row in told:
            scores[row["baseline"]].append(row["validation"])
    study = json.loads((options.results / name / "study.json").read_text(encoding="utf-8"))
    run = f"hpsearch run spaces/{options.space.name} --for {options.time} {' '.join(limits)}".strip()
    return {
        "machine": machine(),
        "load": os.getloadavg()[1],
        "space": name,
        "run": run,
        "command": shlex.join(["python", "benchmarks/side_by_side.py", *shown(sys.argv[1:], _HIDDEN)]),
        "replaced": options.replace,
        "objective": study["objective"],
        "validation": study["validation_images"],
        "trials": len(rows),
        "ended": len(ranked),
        "found": {"trial": best["number"], "searched": best["validation"], "parameters": best["parameters"]},
        "by_hand": {
            "name": by_hand["baseline"],
            "searched": by_hand["validation"],
            "parameters": by_hand["parameters"],
        },
        "seeds": scores,
        "recipe": recipe,
    }


def _hpsearch(options: argparse.Namespace, *arguments: object, read: bool = False) -> str:
    data = given("--data-dir", options.data_dir) if arguments[0] in ("run", "finals") else []
    return hpsearch(*arguments, *data, results=options.results, read=read)


def _table(every: list[dict[str, Any]]) -> str:
    lines = [
        "| space | search | trials | by hand | found | difference, 95 % |  |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *[_row(found) for found in every],
        "",
        (
            "Means over seeds of the best epoch's validation accuracy; the interval of the difference holds the spread "
            "between seeds and the sampling error of the validation part."
        ),
    ]
    loads = [found["load"] for found in every]
    machines = sorted({words(found["machine"]) for found in every})
    machines.append(f"Other work ran beside it: load {min(loads):.1f} to {max(loads):.1f} at the end of each.")
    notes = [
        f"- `{found['space']}`: `{_line(old)}` was replaced by `{_line(new)}`"
        for found in every
        for old, new in found["replaced"]
    ]
    commands = [f"    {_line(found['command'])}" for found in every]
    return "\n".join([*lines, "", *machines, "", *notes, *([""] if notes else []), *commands])


def _row(found: dict[str, Any]) -> str:
    by_hand, best = found["seeds"]["by_hand"], found["seeds"]["found"]
    low, high = _interval(by_hand, best, found["validation"])
    sign = 1 if found["objective"].startswith("max") else -1
    verdict = "tie" if low <= 0 <= high else "found is better" if low * sign > 0 else "by hand is better"
    return (
        f"| {found['space']} | `{found['run']}` | {found['trials']} "
        f"| {found['by_hand']['name']} {_mean(by_hand)}, {found['by_hand']['parameters']:,} parameters "
        f"| trial {found['found']['trial']} {_mean(best)}, {found['found']['parameters']:,} parameters "
        f"| {low:+.3f} to {high:+.3f} | {verdict}, n = {len(best)} |"
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _mean(scores: list[float]) -> str:
    return f"{statistics.mean(scores):.3f}"


def _interval(by_hand: list[float], best: list[float], examples: int) -> tuple[float, float]:
    """Of the mean difference: the spread between seeds by Student's distribution, and the sampling error of accuracies.

    The latter takes the two for independent; as they mostly err on the same examples, it is rather too large.
    """
    differences = [b - a for a, b in zip(by_hand, best, strict=True)]
    mean = statistics.mean(differences)
    seeds = T_95[len(differences)] * statistics.stdev(differences) / math.sqrt(len(differences))
    shares = [min(max(statistics.mean(scores), 0.0), 1.0) for scores in (by_hand, best)]
    sampling = 1.96 * math.sqrt(sum(share * (1 - share) for share in shares) / examples)
    half = math.hypot(seeds, sampling)
    return mean - half, mean + half


if __name__ == "__main__":
    raise SystemExit(main())
