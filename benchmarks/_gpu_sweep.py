"""A search of `spaces/cifar_fast.py` with a time budget, in pieces, and finals; the test part is opened last, once."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from _gpu import Setting, table, write
from _gpu_data import PACKED, ROOT, cifar_folder
from _searches import copied, given, hpsearch

__all__ = ["sweep"]

STUDY = "sweep"
FINALS = 0.3
"""The share of a call's time that is left for finals, where they are asked for."""


def sweep(setting: Setting, finals: bool) -> None:
    """Search on, and write ``sweep.json`` and ``sweep.md``; the study goes into ``sweep.tar``.

    Args:
        setting: Where and how long.
        finals: Whether to train the best again with several seeds, and to open the test part.
    """
    folder = setting.output / "work" if setting.tiny else PACKED
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    carried = folder / "sweep.tar"
    if carried.exists() and not (results / STUDY).exists():
        with tarfile.open(carried) as archive:
            archive.extractall(results, filter="data")
    space = ROOT / "spaces" / "cifar_fast.py"
    changes = _with_digits(folder / "digits.npz") if setting.tiny else []
    space = copied(space, changes, folder / "spaces")
    limits = ["--epochs", "2"] if setting.tiny else []
    data = given("--data-dir", cifar_folder())
    spent = _spent(results)
    seconds = round(spent + setting.seconds * (1 - FINALS if finals else 1) - 20)
    hpsearch(
        *("run", space, "--study", STUDY, "--for", f"{seconds}s", "--checkpoint-every", "20s"),
        *(*limits, *data),
        results=results,
    )
    found: dict[str, Any] = {"seconds": _spent(results)}
    if finals:
        hpsearch("export-best", "--study", STUDY, "--seeds", "3", results=results)
        found["test"] = json.loads((results / STUDY / "export" / "metrics.json").read_text(encoding="utf-8"))
        found["finals"] = json.loads(hpsearch("finals", "--study", STUDY, "--json", results=results, read=True))
    rows = json.loads(hpsearch("leaderboard", "--study", STUDY, "--json", results=results, read=True))
    found |= {"trials": len(rows), "best": rows[:5]}
    setting.output.mkdir(parents=True, exist_ok=True)
    with tarfile.open(setting.output / "sweep.tar", "w") as archive:
        archive.add(results / STUDY, STUDY)
    board = hpsearch("leaderboard", "--study", STUDY, "--markdown", "--top", "10", results=results, read=True)
    text = f"{len(rows)} trials in {found['seconds'] / 60:.1f} minutes of search.\n\n{board}"
    write(setting, "sweep", found, text + _said(results))


def _with_digits(file: Path) -> list[list[str]]:
    """Write some digits, as large as the images of CIFAR-10, and say what to change in a space to have it read them."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    large = np.kron(digits.images[:300] * 15, np.ones((4, 4))).astype("uint8")
    images, labels = np.stack([large] * 3, axis=-1), digits.target[:300]
    np.savez(file, x_train=images[:250], y_train=labels[:250], x_test=images[250:], y_test=labels[250:])
    data = f"Arrays({str(file)!r}, input_shape=(32, 32, 3), classes=10, white=255, validation=0.2)"
    return [["    AdamW,\n    Augment,", "    AdamW,\n    Arrays,\n    Augment,"], ['data="cifar10"', f"data={data}"]]


def _spent(results: Path) -> float:
    if not (results / STUDY).exists():
        return 0.0
    told = json.loads(hpsearch("status", "--study", STUDY, "--json", results=results, read=True))
    return float(told["seconds"])


def _said(results: Path) -> str:
    """What the test part said of the exported network, where it was opened."""
    file = results / STUDY / "export" / "metrics.json"
    if not file.exists():
        return ""
    told = json.loads(file.read_text(encoding="utf-8"))
    rows = [
        (who, told[who]["name"], told[who]["accuracy"], told[who]["low"], told[who]["high"])
        for who in _TESTED
        if told[who]
    ]
    cells = [(who, name, *(f"{number:.4f}" for number in numbers)) for who, name, *numbers in rows]
    head = f"On the {told['test_images']:,} images of the test part, opened once, seed {told['seed']}:"
    return f"\n\n{head}\n\n" + table(("", "trial", "accuracy", "low", "high"), cells)


_TESTED = ("chosen", "baseline")
