"""What the commands share: how numbers and tables look, and how times and counts are read from the command line."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpsearch.errors import InputError, OutputError
from hpsearch.wording import amount, count, duration, one_line, printable, score, signed, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
    "PerDeviceType",
    "PositiveWhole",
    "Until",
    "amount",
    "complain",
    "console",
    "count",
    "duration",
    "grid",
    "on_terminal",
    "one_line",
    "printable",
    "results_option",
    "say",
    "score",
    "signed",
    "size",
    "study_option",
    "table",
    "tell",
    "telling",
]

Command = TypeVar("Command", bound=Callable[..., Any])

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

    Raises:
        OutputError: It cannot be written.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        click.echo(printable(text).encode(encoding, "replace").decode(encoding))
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # who reads has seen enough
            raise
        raise OutputError(f"Standard output cannot be written: {error.strerror}.") from error


def tell(text: str) -> None:
    """Print sentences: broken between words on a terminal, as they are elsewhere.

    Args:
        text: One or more lines.
    """
    if on_terminal():
        console().print(printable(text))
    else:
        say(text)


def complain(text: str) -> None:
    """Print sentences on the error stream.

    Args:
        text: One or more lines.
    """
    click.echo(printable(text), err=True)


def telling(as_json: bool) -> Callable[[str], None]:
    """Tells sentences that come while a command works, each once: beside the answer where that is JSON.

    Args:
        as_json: Whether standard output is for JSON.
    """
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            complain(text) if as_json else tell(text)

    return once


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
    screen.print(grid(columns, rows, screen.width))


def grid(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> Table:
    """The table that `table` prints, fitted to a width, for a screen that is drawn again and again."""
    from rich.table import Table
    from rich.text import Text

    places, space, widths = _fitting(columns, rows, width)
    shown = Table(box=None, pad_edge=False, padding=(0, space, 0, 0), header_style="bold")
    for place in places:
        column = columns[place]
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            width=widths[place] if widths else None,
        )
    for row in rows:
        shown.add_row(*(Text(printable(row[place].text), style=row[place].style) for place in places))
    return shown


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int
) -> tuple[list[int], int, list[int] | None]:
    """Which columns fit, the space between them, and the widths of all; None where not even the last ones fit.

    Texts are broken first, then columns stand closer, and only then are columns left out.
    """
    from rich.cells import cell_len

    texts = [[column.title, *(row[place].text for row in rows)] for place, column in enumerate(columns)]
    full = [max(map(cell_len, column)) for column in texts]
    broken = [
        max(cell_len(word) for text in texts[place] for word in _words(text)) if column.wraps else full[place]
        for place, column in enumerate(columns)
    ]
    places = list(range(len(columns)))
    leaving = sorted((place for place in places if columns[place].drop), key=lambda place: columns[place].drop)
    while True:
        for widths, space in ((full, 2), (broken, 2), (broken, 1)):
            room = width - sum(widths[place] for place in places) - space * (len(places) - 1)
            if room >= 0:
                return places, space, _widened(widths, full, places, room)
        if not leaving:
            return places, 1, None
        places.remove(leaving.pop(0))


def _words(text: str) -> list[str]:
    """Where a text may be broken; a mark behind a name stays with it."""
    return re.split(r"\s+(?!\*$)", text.strip())


def _widened(widths: Sequence[int], full: Sequence[int], places: Sequence[int], room: int) -> list[int]:
    """The widths, those of columns with broken texts made larger where there is room."""
    wider = list(widths)
    for place in places:
        more = min(full[place] - wider[place], room)
        wider[place] += more
        room -= more
    return wider


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


class PerDeviceType(PositiveWhole):
    """How many processes train on a device: a whole number, or ``auto``."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the number.

        Raises:
            InputError: It is neither.
        """
        if str(value).strip().lower() == "auto":
            return "auto"
        try:
            return super().convert(value, param, ctx)
        except InputError as error:
            raise InputError(f"{_called(param)} got {value!r}; allowed: auto, or a whole number, 1 or more.") from error


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
