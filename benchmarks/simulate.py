"""Which strategy finds a good recipe soonest, replayed on recorded learning curves.

Claims nothing beforehand; what it says of the default is in `docs/design/strategies.md`. Nothing is trained: a strategy
of hpsearch proposes, stops and resumes as in a real run, and its epochs are those that `record.py` has seen, on a clock
that is only counted.

    python benchmarks/simulate.py                                   every recorded space
    python benchmarks/simulate.py CURVES.json.gz --contestants random adaptive --repeats 500
    python benchmarks/simulate.py --workers 16 --budget 40
    python benchmarks/simulate.py --without start near            only what was drawn at random

A table for each space gives the mean regret, which is the distance to the best recorded score in points, after shares
of the budget. The budget is the time that so many recipes take on average to their last epoch. `oracle` trains the best
recipe first. The last table ranks the contestants over all spaces; where more than one space was recorded, it also says
who is best on all others, and how that one does on the space that was left out.
"""

# ruff: noqa: T201  # tables on standard output are what this is for

from __future__ import annotations

import argparse
import json
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import numpy as np
from _contestants import CONTESTANTS, opened
from _curves import Curves, Nearest, read_curves
from _figures import draw_curves, draw_regrets
from _machine import machine, words
from _replay import Replay

from hpsearch.limits import TRIAL_SHARE

HERE = Path(__file__).resolve().parent
SHARES = (0.04, 0.1, 0.2, 0.5, 1.0)
FINE = tuple(round(0.02 * step, 2) for step in range(1, 51))
"""Of the budget, for plots."""
ORACLE = "oracle"
LEAST = 0.1
"""Points of regret below which contestants count as equal, so that the last image does not decide."""


def main() -> int:
    """Replay, and print the tables."""
    options = _options()
    names = [name for name in CONTESTANTS if any(fnmatch(name, wanted) for wanted in options.contestants)]
    paths = options.curves or sorted((HERE / "curves").glob("*.json.gz"))
    began = time.monotonic()
    fine: dict[str, dict[str, list[list[float]]]] = {}
    found: dict[str, dict[str, list[list[float]]]] = {}
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for path in paths:
            without = tuple(options.without)
            curves = _read(path, without)
            settings = without, options.budget, options.workers, options.share
            jobs = [(path, name, seed, *settings) for name in names for seed in range(options.repeats)]
            regrets = list(pool.map(_regrets, *zip(*jobs, strict=True), chunksize=max(1, options.repeats // 8)))
            fine[curves.name] = {ORACLE: [_oracle(curves, options.budget)]}
            for (_, name, *_), regret in zip(jobs, regrets, strict=True):
                fine[curves.name].setdefault(name, []).append(regret)
            found[curves.name] = {name: [_at_shares(each) for each in many] for name, many in fine[curves.name].items()}
            print(_table(curves, found[curves.name], options), end="\n\n")
    print(_ranking(found), end="\n\n")
    repeats = options.repeats * len(names) * len(paths)
    print(f"{repeats} searches in {time.monotonic() - began:.0f} s. {words(machine())}")
    if options.output:
        options.output.write_text(json.dumps({"shares": FINE, "regrets": fine}) + "\n", encoding="utf-8")
    if options.figures:
        draw_curves([_read(path, tuple(options.without)) for path in paths], options.figures / "curves.png")
        draw_regrets(FINE, fine, options.figures / "regrets.png")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Strategies on recorded learning curves.")
    parser.add_argument("curves", type=Path, nargs="*", help="files that record.py wrote")
    parser.add_argument("--contestants", nargs="+", default=["*"], help="names, or patterns of them such as 'rungs *'")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--budget", type=float, default=15, help="in recipes trained to their last epoch")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--without", nargs="+", default=[], help="kinds of recipes to leave out: start, near")
    parser.add_argument(
        "--share", type=float, default=TRIAL_SHARE, help="of the budget that a trial may be about to take"
    )
    parser.add_argument("--output", type=Path, help="a .json with every regret")
    parser.add_argument("--figures", type=Path, help="a folder for pictures; needs: pip install matplotlib")
    return parser.parse_args()


@cache
def _read(path: Path, without: tuple[str, ...]) -> Curves:
    curves = read_curves(path)
    return replace(curves, curves=tuple(curve for curve in curves.curves if curve.name not in without))


@cache
def _nearest(path: Path, without: tuple[str, ...]) -> Nearest:
    return Nearest(_read(path, without))


def _seconds(curves: Curves, budget: float) -> float:
    return budget * float(np.mean([curve.total for curve in curves.curves]))


def _regrets(
    path: Path, name: str, seed: int, without: tuple[str, ...], budget: float, workers: int, share: float
) -> list[float]:
    """The regret of one search after each share of the budget, in points of 100."""
    curves = _read(path, without)
    seconds = _seconds(curves, budget) / workers
    with closing(opened(name, curves.maximize, seed, curves.epochs)) as strategy:
        replay = Replay(curves, _nearest(path, without), strategy, seconds, workers, share)
        replay.run()
    return [_regret(curves, replay.at(share * seconds)) for share in FINE]


def _at_shares(fine: list[float]) -> list[float]:
    """The regrets that the tables show: the last one at or before each share."""
    return [fine[sum(at <= share for at in FINE) - 1] for share in SHARES]


def _regret(curves: Curves, score: float) -> float:
    """The distance to the best; before the first score that of the worst recipe."""
    if math.isnan(score):
        worst = min if curves.maximize else max
        score = worst(curve.scores[0] for curve in curves.curves)
    return 100 * abs(curves.best - score)


def _oracle(curves: Curves, budget: float) -> list[float]:
    """What whoever knows the answer would have: the best recipe alone."""
    better = max if curves.maximize else min
    best = better(curves.curves, key=lambda curve: better(curve.scores))
    ends = np.cumsum(best.seconds) + best.overhead
    regrets = []
    for share in FINE:
        done = int((ends <= share * _seconds(curves, budget)).sum())
        regrets.append(_regret(curves, better(best.scores[:done]) if done else math.nan))
    return regrets


def _table(curves: Curves, regrets: dict[str, list[list[float]]], options: argparse.Namespace) -> str:
    lines = [
        (
            f"{curves.name}: {len(curves.curves)} recipes of at most {curves.epochs} epochs, best {curves.best:.4f}; "
            f"budget {_seconds(curves, options.budget):.0f} s, {options.workers} at a time, {options.repeats} repeats"
        ),
        "",
        f"| regret in points after | {' | '.join(f'{share:.0%}' for share in SHARES)} |",
        f"| --- |{' --- |' * len(SHARES)}",
    ]
    ordered = sorted(regrets.items(), key=lambda pair: float(np.mean(pair[1])))
    lines += [
        f"| {name} | {' | '.join(_cell(regrets, at) for at in range(len(SHARES)))} |" for name, regrets in ordered
    ]
    return "\n".join(lines)


def _cell(regrets: list[list[float]], at: int) -> str:
    values = [regret[at] for regret in regrets]
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.2f} ± {error:.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def _ranking(found: dict[str, dict[str, list[list[float]]]]) -> str:
    """Contestants by their regret relative to random search, all shares and spaces alike."""
    names = [name for name in next(iter(found.values())) if name != ORACLE]
    baseline = "random" if "random" in names else names[0]
    relative = {name: {space: _relative(found[space], name, baseline) for space in found} for name in names}
    means = {name: float(np.mean(list(relative[name].values()))) for name in names}
    lines = [
        f"| regret as a share of that of {baseline} | {' | '.join(found)} | all |",
        f"| --- |{' --- |' * (len(found) + 1)}",
    ]
    for name in sorted(names, key=means.__getitem__):
        cells = [f"{relative[name][space]:.2f}" for space in found]
        lines.append(f"| {name} | {' | '.join(cells)} | {means[name]:.2f} |")
    if len(found) > 1:
        lines.append("")
    for space in found if len(found) > 1 else ():
        others = {name: float(np.mean([relative[name][other] for other in found if other != space])) for name in names}
        winner = min(others, key=others.__getitem__)
        rank = 1 + sum(relative[name][space] < relative[winner][space] for name in names)
        lines.append(f"Without {space}, {winner} is best; on it, it is number {rank} of {len(names)}.")
    return "\n".join(lines)


def _relative(regrets: dict[str, list[list[float]]], name: str, baseline: str) -> float:
    mine, its = (np.mean(regrets[each], axis=0) for each in (name, baseline))
    return float(np.mean(np.maximum(mine, LEAST) / np.maximum(its, LEAST)))


if __name__ == "__main__":
    raise SystemExit(main())
