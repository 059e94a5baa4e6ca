"""What a race prints."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from _machine import words

__all__ = ["tables"]


def tables(found: dict[str, Any], peers: Sequence[str], shares: Sequence[float]) -> str:
    """The best accuracy after shares of the time, and how much sooner the best peer's last score was reached.

    Args:
        found: The machine, the data and the runs of all contestants.
        peers: Who of them is a peer.
        shares: At which shares of the time the best score so far is told.
    """
    seconds, contestants = found["seconds"], found["contestants"]
    marks = [round(seconds * share) for share in shares]
    seeds = len(next(iter(contestants.values())))
    blocks = "as Keras does it" if found["blocks"] == "keras" else "with the statistics of hpsearch"
    lines = [
        words(found["machine"]),
        (
            f"{found['data']}: {found['train']} images to train on, {found['validation']} to validate on; {seconds} s "
            f"each; the peers' batch normalisation {blocks}; means over {seeds} seed{'s' * (seeds > 1)}"
        ),
        "",
        f"| best accuracy after | {' | '.join(f'{mark} s' for mark in marks)} | trials | epochs | unseen images |",
        f"| --- |{' --- |' * (len(marks) + 3)}",
    ]
    for who, runs in contestants.items():
        cells = [f"{_mean(_at(run['curve'], mark) for run in runs):.3f}" for mark in marks]
        cells += [f"{_mean(run[name] for run in runs):.0f}" for name in ("trials", "epochs")]
        unseen = [score for run in runs for score in run["unseen"]] if all(run["unseen"] for run in runs) else []
        spread = f" ± {statistics.stdev(unseen):.3f}" if len(unseen) > 1 else ""
        lines.append(f"| {who} | {' | '.join(cells)} | {f'{_mean(unseen):.3f}{spread}' if unseen else '-'} |")
    return "\n".join([*lines, "", *_said(found, peers)])


def _at(curve: list[list[float]], seconds: float) -> float:
    return max((score for when, score in curve if when <= seconds), default=0.0)


def _when(curve: list[list[float]], score: float) -> float | None:
    return next((when for when, reached in curve if reached >= score), None)


def _said(found: dict[str, Any], known: Sequence[str]) -> list[str]:
    """How much sooner the best peer's last score was reached, seed by seed."""
    peers = {who: runs for who, runs in found["contestants"].items() if who in known}
    ours = {who: runs for who, runs in found["contestants"].items() if who not in known}
    if not peers or not ours:
        return []
    best = max(peers, key=lambda who: _mean(run["best"] for run in peers[who]))
    goal = _mean(run["best"] for run in peers[best])
    said = [f"The best peer at the end is {best} with {goal:.3f}."]
    for who, runs in ours.items():
        when = [_when(run["curve"], goal) for run in runs]
        reached = [each for each in when if each is not None]
        above = 100 * (_mean(run["best"] for run in runs) - goal)
        share = f", 1/{found['seconds'] / _mean(reached):.1f} of the time" if len(reached) == len(when) else ""
        times = ", ".join("never" if each is None else f"{each:.0f} s" for each in when)
        said.append(f"{who} has it after {times}{share}; it ends {above:+.1f} points from it.")
    return said


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
