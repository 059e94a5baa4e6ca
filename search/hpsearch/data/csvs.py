"""CSV files as rows of text, each with its line in an editor; what is wrong with one is a sentence that says where."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hpsearch.errors import DataError, did_you_mean

__all__ = ["Sheet", "numbers", "read_csv", "required", "texts"]

_SEPARATORS = (",", ";", "\t")
_WORDS = ("nan", "na", "n/a", "null", "none", "?", "-", "inf", "-inf", "infinity", "-infinity")
_LARGEST = 1e18
"""Numbers are kept with 32 bits, in which the square of much larger ones is infinite."""


@dataclass(frozen=True)
class Sheet:
    """A CSV file.

    Args:
        path: The file.
        header: The names of its columns.
        rows: The cells of each row, without spaces around them, as many as there are columns.
        lines: The line of each row as an editor counts them, from 1; the header is the first.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Args:
            name: One of `header`.
        """
        place = self.header.index(name)
        return [row[place] for row in self.rows]

    def at(self, row: int, column: str) -> str:
        """How a sentence about a cell begins.

        Args:
            row: Its position in `rows`.
            column: Its column.
        """
        return f"{self.path}, line {self.lines[row]}, column {column!r}"


def read_csv(path: Path, columns: Sequence[str]) -> Sheet:
    """Read a CSV file, separated by commas, semicolons or tabs, whichever its first line holds most.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.
        columns: The columns that must be there.

    Raises:
        DataError: It cannot be read, a column is missing or named twice, or a row has more or fewer cells than columns.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _parsed(path, file, columns)
    except OSError as error:
        raise DataError(f"The table {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"The table {path} is not text in UTF-8 ({error.reason}); save it as CSV in UTF-8.") from error


def _parsed(path: Path, file: TextIO, columns: Sequence[str]) -> Sheet:
    first = file.readline()
    file.seek(0)
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
    records = _records(path, reader)
    _, header = next(records, (1, ()))
    if not header:
        raise DataError(f"The table {path} is empty; its first line must name the columns.")
    _check_header(path, header, columns)
    rows, lines = [], []
    for line, cells in records:
        if len(cells) != len(header):
            said = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
            raise DataError(
                f"{path}, line {line}: got {said}, but the first line names {len(header)} columns; put a text that "
                f"holds a {'tab' if separator == chr(9) else separator} into quotes, and leave no cell out."
            )
        rows.append(cells)
        lines.append(line)
    if not rows:
        raise DataError(f"The table {path} has no rows under its first line, which names the columns.")
    return Sheet(path, header, tuple(rows), tuple(lines))


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The records with the line that each begins on; empty lines are passed over."""
    while True:
        line = reader.line_num + 1  # type: ignore[attr-defined]  # a reader of csv
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: it cannot be read as CSV ({error}); check its quotes.") from error
        if any(cells):
            yield line, tuple(cell.strip() for cell in cells)


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    for name in header:
        if name and header.count(name) > 1:
            raise DataError(f"{path}, line 1: the column {name!r} is there twice; give each a name of its own.")
    for name in columns:
        if name not in header:
            there = ", ".join(header[:20]) + (", ..." if len(header) > 20 else "")
            raise DataError(f"{path} has no column {name!r}.{did_you_mean(name, header)} Its columns are {there}.")


def numbers(sheet: Sheet, column: str, missing: Sequence[str]) -> list[float]:
    """A column of numbers; NaN stands where one is missing.

    Args:
        sheet: The file.
        column: Its name.
        missing: Texts that stand for a missing value, beside the empty cell.

    Raises:
        DataError: A cell holds something else, with its line.
    """
    absent = {"", *missing}
    return [
        math.nan if cell in absent else _number(cell, sheet, row, column)
        for row, cell in enumerate(sheet.column(column))
    ]


def _number(cell: str, sheet: Sheet, row: int, column: str) -> float:
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        value = math.nan
    if math.isfinite(value) and abs(value) < _LARGEST:
        return value
    advice = "write a number, or leave the cell empty where it is missing"
    if cell.lower() in _WORDS:
        advice = f"leave the cell empty where a number is missing, or declare missing=({cell!r},)"
    elif "," in cell and _is_number(cell.replace(",", "" if "." in cell else ".")):
        advice = "write numbers with a point, and nothing between thousands"
    elif math.isfinite(value):
        advice = f"its size is limited to {_LARGEST:g}; say it in a larger unit"
    elif not any(character.isdigit() for character in cell):
        advice += "; a column of texts belongs into categorical="
    problem = "" if math.isfinite(value) else ", which is no number"
    raise DataError(f"{sheet.at(row, column)}: got {_short(cell)}{problem}; {advice}.")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def texts(sheet: Sheet, column: str, missing: Sequence[str]) -> list[str]:
    """A column of texts; the empty text stands where one is missing.

    Args:
        sheet: The file.
        column: Its name.
        missing: Texts that stand for a missing value.
    """
    absent = set(missing)
    return ["" if cell in absent else cell for cell in sheet.column(column)]


def required(sheet: Sheet, column: str, missing: Sequence[str]) -> list[str]:
    """A column in which nothing may be missing.

    Args:
        sheet: The file.
        column: Its name.
        missing: Texts that stand for a missing value.

    Raises:
        DataError: A cell is empty, with its line.
    """
    cells = texts(sheet, column, missing)
    for row, cell in enumerate(cells):
        if not cell:
            raise DataError(f"{sheet.at(row, column)}: got nothing; fill it in, or leave the row out.")
    return cells


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
