"""What the commands share: how numbers and tables look, and how times and counts are read from the command line."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpsearch.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from hpsearch.limits import Target

    FloatType = click.ParamType[float]
    IntType = click.ParamType[int]
    TargetType = click.ParamType[Target]
else:  # click before 8.4 knows no type arguments when it runs
    FloatType = IntType = TargetType = click.ParamType

__all__ = [
    "Cell",
    "Column",
    "Duration",
    "PositiveWhole",
    "Until",
    "amount",
    "console",
    "count",
    "duration",
    "on_terminal",
    "one_line",
    "results_option",
    "say",
    "score",
    "signed",
    "size",
    "sparkline",
    "study_option",
    "table",
    "tell",
]

Command = TypeVar("Command", bound=Callable[..., Any])

NOTHING = "-"


# ---- where output goes


def on_terminal() -> bool:
    """Whether standard output is a terminal that can move its cursor and show colours."""
    import os

    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def console() -> Console:
    """A console for standard output that shows every text as it is: no markup, no emoji names, no guessed colours."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def say(text: str = "") -> None:
    """Print plain text; a character that the terminal cannot show becomes a question mark.

    Args:
        text: One or more lines.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def tell(text: str) -> None:
    """Print sentences: broken between words on a terminal, as they are elsewhere.

    Args:
        text: One or more lines.
    """
    if on_terminal():
        console().print(text)
    else:
        say(text)


# ---- how values look


def one_line(text: str) -> str:
    """A text from outside (an exception, a name) as one line, without control characters that move the cursor."""
    without_codes = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return " ".join("".join(c if c.isprintable() else " " for c in without_codes).split())


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
    if value == 0 or 0.001 <= abs(value) < 100:
        return f"{value:.4f}"
    return _large(value) if abs(value) >= 100 else f"{value:.1e}"


def _large(value: float) -> str:
    """``123.5``, ``431,254``, ``1.235e+16``."""
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    return f"{value:,.{max(3 - math.floor(math.log10(abs(value))), 0)}f}"


def signed(value: float | None) -> str:
    """A difference with its sign, as exact as the scores beside it."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:+.4f}" if abs(value) < 100 else f"{'+' if value > 0 else ''}{_large(value)}"


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


_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


def sparkline(
    values: Sequence[float], width: int | None = None, low: float | None = None, high: float | None = None
) -> str:
    """A curve as one line of bars; a value that is not finite is a dot.

    Args:
        values: One a bar.
        width: The most bars; longer curves are averaged down to it.
        low: The value of the lowest bar; the smallest value if not given. Two curves with the same bounds compare.
        high: The value of the highest bar; the largest value if not given.
    """
    bars = _averaged(values, width) if width is not None and len(values) > width else list(values)
    finite = [value for value in bars if math.isfinite(value)]
    if not finite:
        return _GAP * len(bars)
    bottom = min(finite) if low is None else low
    span = (max(finite) if high is None else high) - bottom
    return "".join(_bar(value, bottom, span) for value in bars)


def _bar(value: float, bottom: float, span: float) -> str:
    if not math.isfinite(value):
        return _GAP
    if not (math.isfinite(span) and span > 0):
        return _BARS[3]
    share = min(max((value - bottom) / span, 0.0), 1.0)
    return _BARS[round(share * (len(_BARS) - 1))]


def _averaged(values: Sequence[float], width: int) -> list[float]:
    if width <= 0:
        return []
    edges = [place * len(values) // width for place in range(width + 1)]
    buckets = [[v for v in values[a:b] if math.isfinite(v)] for a, b in pairwise(edges)]
    return [sum(bucket) / len(bucket) if bucket else math.nan for bucket in buckets]


# ---- tables


@dataclass(frozen=True)
class Cell:
    """A text in a table with its style, such as ``bold green``; the style is dropped where output is piped."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        title: Its heading.
        right: Whether it is aligned to the right, as numbers are.
        wraps: Whether its texts may be broken over lines where the terminal is narrow.
        drop: Which goes first where the terminal is too narrow: 1 before 2; 0 stays whatever happens.
    """

    title: str
    right: bool = False
    wraps: bool = False
    drop: int = 0


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None = None) -> None:
    """Print a table: coloured and fitted to the terminal, or plain aligned text, complete, where output is piped.

    Args:
        columns: The columns.
        rows: One cell a column each.
        width: The width to fit; None for the terminal's, or for no limit where output is piped.
    """
    if width is None and not on_terminal():
        _plain_table(columns, rows)
        return
    screen = console()
    if width is not None:
        screen.width = width
    _rich_table(screen, columns, rows)


def _plain_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    lines = [[column.title for column in columns], *([cell.text for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(line, widths, columns, strict=True)
        )
        say("  ".join(padded).rstrip())


def _rich_table(screen: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.table import Table
    from rich.text import Text

    places, space = _fitting(columns, rows, screen.width)
    shown = Table(box=None, pad_edge=False, padding=(0, space, 0, 0), header_style="bold")
    for place in places:
        column = columns[place]
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
        )
    for row in rows:
        shown.add_row(*(Text(row[place].text, style=row[place].style) for place in places))
    screen.print(shown)


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> tuple[list[int], int]:
    """Which columns fit, and the space between them.

    Texts are broken first, then columns stand closer, and only then are columns left out.
    """
    from rich.cells import cell_len

    texts = [[column.title, *(row[place].text for row in rows)] for place, column in enumerate(columns)]
    full = [max(map(cell_len, column)) for column in texts]
    broken = [
        max(cell_len(word) for text in texts[place] for word in text.split() or [""]) if column.wraps else full[place]
        for place, column in enumerate(columns)
    ]
    places = list(range(len(columns)))
    leaving = sorted((place for place in places if columns[place].drop), key=lambda place: columns[place].drop)
    while True:
        for widths, space in ((full, 2), (broken, 2), (broken, 1)):
            if sum(widths[place] for place in places) + space * (len(places) - 1) <= width:
                return places, space
        if not leaving:
            return places, 1
        places.remove(leaving.pop(0))


# ---- what the command line is given


class Duration(FloatType):
    """A time such as ``8h``, ``90s``, ``30m`` or ``1h30m``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the time.

        Raises:
            InputError: It is none; the sentence says what it got and what is allowed.
        """
        if isinstance(value, int | float):
            return float(value)
        found = _DURATION.fullmatch(value.strip().lower())
        seconds = sum(float(found[unit] or 0) * _UNITS[unit] for unit in _UNITS) if found else 0.0
        if not (seconds > 0 and math.isfinite(seconds)):
            raise InputError(f"{_called(param)} got {value!r}; allowed: a time such as 8h, 90s, 30m or 1h30m.")
        return seconds


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"\s*".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?)\s*{unit})?" for unit in _UNITS))


class PositiveWhole(IntType):
    """A whole number, 1 or more."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number.

        Raises:
            InputError: It is none, or less than 1.
        """
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            raise InputError(f"{_called(param)} got {value!r}; allowed: a whole number, 1 or more.")
        return number


class Until(TargetType):
    """What the objective must reach for a study to end, such as ``val_accuracy>=0.95``."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """Read the target.

        Raises:
            InputError: It is none; the sentence says what it got and what is allowed.
        """
        from hpsearch.limits import Target

        return value if isinstance(value, Target) else Target.parse(value)


def _called(param: click.Parameter | None) -> str:
    """What people call a parameter: ``--for``, ``TRIAL``."""
    if param is None:
        return "It"
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def study_option(command: Command) -> Command:
    """Add ``--study`` to a command that reads one."""
    return click.option("--study", metavar="NAME", help="The study to read; the latest if not given.")(command)


def results_option(command: Command) -> Command:
    """Add ``--results``, the folder that holds the studies."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path),
        default="results",
        envvar="HPSEARCH_RESULTS",
        show_default=True,
        show_envvar=True,
        metavar="FOLDER",
        help="The folder that holds the studies.",
    )(command)
