"""`spaces/cifar_fast.py`, with narrow networks where a few images are enough."""

from __future__ import annotations

from pathlib import Path

from _gpu import ROOT, Setting
from _searches import copied

__all__ = ["fast_space"]

NARROW = (
    ("one_of(32, 64, 128)", "one_of(4, 8)"),
    ("one_of(64, 128, 256, 384)", "one_of(4, 8)"),
    ("one_of(128, 256, 384, 512)", "one_of(4, 8)"),
    ("one_of(10, 20, 40)", "one_of(2, 3)"),
    ("plain(64, 128, 256), activation", "plain(4, 8, 8), activation"),
    ("plain(64, 256, 256), epochs=20", "plain(4, 8, 8), epochs=3"),
    ("residual(128, 384, 512), epochs=40", "residual(4, 8, 8), epochs=3"),
    ("epochs=20, batch_size=128", "epochs=3, batch_size=128"),
)
"""What stands there, and what takes its place."""


def fast_space(setting: Setting) -> Path:
    """The space file.

    Args:
        setting: Whether it is to be tiny.
    """
    space = ROOT / "spaces" / "cifar_fast.py"
    return copied(space, NARROW, setting.work / "spaces") if setting.tiny else space
