"""Pictures of recorded curves, of simulated searches, of the race and of a search on a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _curves import Curves

__all__ = ["draw_curves", "draw_race", "draw_regrets", "draw_sweep"]

_WIDTH, _HEIGHT = 4.2, 3.2
"""Inches of one space."""


def draw_curves(spaces: Sequence[Curves], path: Path) -> None:
    """The learning curves of each space, those of the best recipes in colour.

    Args:
        spaces: What was recorded.
        path: A .png.
    """
    figure, panes = _panes(len(spaces))
    for pane, space in zip(panes, spaces, strict=True):
        sign = 1 if space.maximize else -1
        ordered = sorted(space.curves, key=lambda curve: max(sign * np.array(curve.scores)))
        for curve in ordered[:-5]:
            pane.plot(np.arange(1, len(curve.scores) + 1), curve.scores, color="0.7", linewidth=0.5)
        for curve in ordered[-5:]:
            pane.plot(np.arange(1, len(curve.scores) + 1), curve.scores, linewidth=1.5)
        pane.set_title(f"{space.name}: {len(space.curves)} recipes, the best five in colour", fontsize=9)
        pane.set_xlabel("epoch")
    panes[0].set_ylabel("score")
    _save(figure, path)


def draw_regrets(shares: Sequence[float], found: Mapping[str, Mapping[str, list[list[float]]]], path: Path) -> None:
    """The mean regret of each contestant over the budget, a pane for each space.

    Args:
        shares: Of the budget.
        found: By space and contestant, the regret of each repeat after each share.
        path: A .png.
    """
    figure, panes = _panes(len(found))
    for pane, (space, contestants) in zip(panes, found.items(), strict=True):
        for name, regrets in contestants.items():
            style = {"color": "black", "linestyle": ":"} if name == "oracle" else {}
            pane.plot(np.array(shares) * 100, np.mean(regrets, axis=0), label=name, linewidth=1.3, **style)
        pane.set_yscale("symlog", linthresh=0.5)
        pane.set_title(space, fontsize=9)
        pane.set_xlabel("% of the budget")
    panes[0].set_ylabel("regret in points")
    panes[-1].legend(fontsize=6)
    _save(figure, path)


def draw_race(contestants: Mapping[str, Sequence[Mapping[str, Any]]], seconds: float, path: Path) -> None:
    """The best score so far of each contestant over the seconds: the mean of its seeds, and faintly each seed.

    Args:
        contestants: The runs of each, with a ``curve`` of pairs: when the best score rose, and to what.
        seconds: How long they had.
        path: A .png.
    """
    figure, (pane,) = _panes(1, 1.7)
    clock = np.arange(0, seconds + 1)
    for name, runs in contestants.items():
        ours = name.startswith("hpsearch")
        lines = [_best_so_far(run["curve"], clock) for run in runs]
        (mean,) = pane.plot(clock, np.mean(lines, axis=0), label=name, linewidth=2.2 if ours else 1.4)
        for line in lines:
            pane.plot(clock, line, color=mean.get_color(), linewidth=0.6, alpha=0.35)
    pane.set_xlabel("seconds")
    pane.set_ylabel("best validation accuracy so far")
    pane.set_xlim(0, seconds)
    pane.legend(fontsize=7, loc="lower right")
    _save(figure, path)


def draw_sweep(curve: Sequence[Sequence[float]], levels: Mapping[str, float], path: Path) -> None:
    """The best score so far of one search over the minutes, and scores that do not depend on them.

    Args:
        curve: Pairs: after how many minutes the best score rose, and to what.
        levels: Those others, by what they are called.
        path: A .png.
    """
    figure, (pane,) = _panes(1, 1.7)
    pane.step(*np.array(curve).T, where="post", marker="o", markersize=3, label="best validation accuracy so far")
    for place, (name, score) in enumerate(levels.items()):
        pane.axhline(score, color=f"C{place + 1}", linewidth=1, linestyle="--", label=f"{name}: {score:.4f}")
    pane.set_xlabel("minutes")
    pane.set_ylabel("accuracy")
    pane.legend(fontsize=7, loc="lower right")
    _save(figure, path)


def _best_so_far(curve: Sequence[Sequence[float]], clock: np.ndarray) -> np.ndarray:
    """The best score at each moment; NaN before the first."""
    when, scores = np.array(curve, dtype=float).reshape(-1, 2).T
    places = np.searchsorted(when, clock, side="right")
    return np.concatenate([[np.nan], scores])[places]


def _panes(count: int, size: float = 1.0) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure((size * _WIDTH * count, size * _HEIGHT), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, count, squeeze=False)))


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of the program that drew it the file is the same for the same content.
    figure.savefig(path, dpi=110, metadata={"Software": None})
