"""A search in which some networks do not fit into the memory of the device: they fail, and it goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
from _gpu import Setting, table, write
from _searches import hpsearch

__all__ = ["memory"]

SPACE = """
from hpsearch import Dense, Model, Recipe, Space, Training, between, one_of, tied

wide = tied("wide", one_of(32, 64, {units}, {more}))

space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=None, dense=[Dense(units=wide), Dense(units=wide), Dense(units=one_of(16, 32, 48))]),
        training=Training(epochs=2, batch_size=64),
    ),
)
"""
"""The weights between two layers of ``units`` take twice the memory of the device."""


def memory(setting: Setting) -> None:
    """Search, and write ``memory.json`` and ``memory.md``.

    Args:
        setting: Where.
    """
    held = (jax.devices()[0].memory_stats() or {}).get("bytes_limit") or _memory_of_the_machine()
    units = round((2 * held / 4) ** 0.5)
    with TemporaryDirectory() as folder:
        space = Path(folder) / "memory.py"
        space.write_text(SPACE.format(units=units, more=2 * units), encoding="utf-8")
        options = ("--study", "memory", "--strategy", "random", "--engine", "device", "--trials", 8)
        hpsearch("run", space, *options, results=Path(folder))
        rows = json.loads(hpsearch("leaderboard", "--study", "memory", "--json", results=Path(folder), read=True))
    ended: dict[str, int] = {}
    for row in rows:
        kind = row["failure"] or row["state"]
        ended[kind] = ended.get(kind, 0) + 1
    if not ended.get("COMPLETE") or not ended.get("out_of_memory"):
        raise SystemExit(f"The search did not go on as it should: {ended}")
    text = (
        f"Networks with a layer of {units:,} x {units:,} weights, twice the {held / 1e9:.0f} GB there are, beside "
        "small ones, proposed at random; the search went on to its last trial.\n\n"
        + table(("ended as", "trials"), list(ended.items()))
    )
    write(setting, "memory", {"bytes": held, "units": units, "ended": ended}, text)


def _memory_of_the_machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
