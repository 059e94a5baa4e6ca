"""How values look wherever a person reads them: scores, counts, sizes, times, and texts from outside."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "all_signed",
    "amount",
    "code_on_a_line",
    "count",
    "difference",
    "duration",
    "one_line",
    "printable",
    "score",
    "signed",
    "size",
]

_MOVING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and new line, and those that change the direction of what follows."""
NOTHING = "-"
"""Stands where a value is not known."""
_SMALL = 0.001
"""Of a number below this four decimals say little."""
_ROUNDING = 1e-9
"""A difference below this is what floating-point numbers leave of none."""


def printable(text: str) -> str:
    """A text as a terminal may be given it: what would move the cursor, colour or turn letters round is a ``?``.

    Args:
        text: One or more lines, with names from outside.
    """
    return _MOVING.sub("?", text)


def one_line(text: str) -> str:
    """A text from outside (an exception, a name) as one line, without control characters that move the cursor."""
    without_codes = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return " ".join("".join(c if c.isprintable() else " " for c in without_codes).split())


def code_on_a_line(source: str) -> str:
    """Source that spans lines as it stands on one; texts in it stay as they are."""
    source = re.sub(r"(?<=[(\[{])\s*\n\s*", "", source.strip())
    return re.sub(r"\s*\n\s*", " ", re.sub(r",?\s*\n\s*(?=[)\]}])", "", source))


def duration(seconds: float) -> str:
    """``0.4s``, ``42s``, ``3m 05s``, ``1h 05m``, ``2d 03h``."""
    if seconds < 0.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    hours = minutes // 60
    return f"{hours // 24}d {hours % 24:02d}h"


def score(value: float | None) -> str:
    """Four decimals, four digits where the number is large, such as an amount, or tiny; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0 or _SMALL <= abs(value) < 100:
        return f"{value:.4f}"
    return _large(value) if abs(value) >= 100 else f"{value:.1e}"


def _large(value: float) -> str:
    """``123.5``, ``431,254``, ``1.235e+16``."""
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    return f"{value:,.{max(3 - math.floor(math.log10(abs(value))), 0)}f}"


def signed(value: float | None) -> str:
    """A difference with its sign, as exact as the scores beside it; none has a plus."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{round(value, 4) + 0.0:+.4f}" if abs(value) < 100 else f"{'+' if value > 0 else ''}{_large(value)}"


def all_signed(*values: float) -> list[str]:
    """Differences with their signs, such as one and the ends of its interval, as exact as the largest of them needs."""
    if any(abs(value) >= _SMALL for value in values):
        return [signed(value) for value in values]
    sizes = [abs(value) if abs(value) > _ROUNDING else 0.0 for value in values]
    return [f"{'-' if value < 0 and size else '+'}{score(size)}" for value, size in zip(values, sizes, strict=True)]


def difference(middle: float | None, low: float | None, high: float | None) -> str:
    """``+0.0046 (-0.0006 to +0.0099)``, with its interval where that is known; a dash where there is no difference."""
    if middle is None or not math.isfinite(middle):
        return NOTHING
    if low is None or high is None:
        return all_signed(middle)[0]
    told = all_signed(middle, low, high)
    return f"{told[0]} ({told[1]} to {told[2]})"


def count(value: int | None) -> str:
    """``3,253,068``, or a dash where it is not known."""
    return NOTHING if value is None else f"{value:,}"


def amount(value: int | None) -> str:
    """``12.3 million``, three digits of a large number; a dash where it is not known."""
    return NOTHING if value is None else _scaled(value, ("", " thousand", " million", " billion", " trillion"))


def size(value: int | None) -> str:
    """``1.24 GB``, three digits of a number of bytes; GB are 10^9, as ``memory="12GB"`` in a space means them."""
    return NOTHING if value is None else _scaled(value, (" bytes", " kB", " MB", " GB", " TB"))


def _scaled(value: int, units: Sequence[str]) -> str:
    """Three digits and the unit of the thousand that they stand in."""
    if abs(value) < 1000:
        return f"{value}{units[0]}"
    # Rounded first, so that 999,999 is 1.00 million and not 1000 thousand.
    digits, _, exponent = f"{value:.2e}".partition("e")
    thousands = min(int(exponent) // 3, len(units) - 1)
    beyond = int(exponent) - 3 * thousands
    return f"{float(digits) * 10**beyond:.{max(2 - beyond, 0)}f}{units[thousands]}"
