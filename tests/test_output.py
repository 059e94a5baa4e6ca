"""How numbers, times and tables look, and how the command line's values are read."""

import io
import math

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hpsearch.cli.curve import sparkline
from hpsearch.cli.output import (
    Cell,
    Column,
    Duration,
    PositiveWhole,
    Until,
    amount,
    complain,
    count,
    duration,
    grid,
    one_line,
    say,
    score,
    signed,
    size,
    table,
)
from hpsearch.errors import InputError
from hpsearch.limits import Target
from hpsearch.wording import all_signed, code_on_a_line, difference


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0s"),
        (0.42, "0.4s"),
        (0.99, "1s"),
        (42, "42s"),
        (59.7, "1m 00s"),
        (185, "3m 05s"),
        (3599.6, "1h 00m"),
        (3900, "1h 05m"),
        (86399, "23h 59m"),
        (97200, "1d 03h"),
    ],
)
def test_durations_read_well(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1h 30m", 5400), ("1.5H", 5400), ("2d", 172800)],
)
def test_durations_are_understood(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "8", "0s", "-1h", "h", "1m1h", "soon", "8 hours", "nan", "1e3s", "9" * 400 + "h"])
def test_nonsense_durations_are_one_sentence(text: str) -> None:
    option = click.Option(["--for", "-f"])
    with pytest.raises(InputError, match=r"^--for got .*; allowed: a time such as 8h, 90s, 30m or 1h30m\.$"):
        Duration().convert(text, option, None)


@given(st.integers(1, 10**7))
def test_a_duration_survives_being_written_down(seconds: int) -> None:
    hours, minutes = seconds // 3600, seconds // 60 % 60
    assert Duration().convert(f"{hours}h{minutes}m{seconds % 60}s", None, None) == seconds
    read = Duration().convert(duration(seconds), None, None)
    assert 0 <= seconds - read < (3600 if seconds >= 86400 else 60 if seconds >= 3600 else 1)


def test_positive_whole_reads_whole_numbers() -> None:
    assert PositiveWhole().convert("12", None, None) == 12
    with pytest.raises(InputError):
        PositiveWhole().convert("9" * 10_000, None, None)


def test_numbers_are_shown_readably() -> None:
    assert [score(value) for value in (0.5, 0.0, 123.456, 0.00012, None, math.nan)] == [
        "0.5000",
        "0.0000",
        "123.5",
        "1.2e-04",
        "-",
        "-",
    ]
    assert [score(value) for value in (999.96, 1234.6, 431_254.3, -5e7, 1e15)] == [
        "1,000.0",
        "1,235",
        "431,254",
        "-50,000,000",
        "1e+15",
    ]
    assert [signed(value) for value in (0.01, -0.5, 1234.6, -12_345.6)] == ["+0.0100", "-0.5000", "+1,235", "-12,346"]
    assert signed(-1e-9) == "+0.0000"
    assert difference(0.0046, -0.0006, 0.0099) == "+0.0046 (-0.0006 to +0.0099)"
    assert (difference(2e-5, None, None), difference(None, None, None)) == ("+2.0e-05", "-")
    assert all_signed(2e-5, -1e-5, -1e-12) == ["+2.0e-05", "-1.0e-05", "+0.0000"]
    assert (count(3_253_068), count(None)) == ("3,253,068", "-")
    assert one_line("a\x1b[31m red\n\tline\x07") == "a red line"
    source = 'Table(\n    "my  things.csv",\n    numeric=(\n        "a",\n        "b, )",\n    ),\n)'
    assert code_on_a_line(source) == 'Table("my  things.csv", numeric=("a", "b, )"))'
    assert code_on_a_line('Named("digits")') == 'Named("digits")'


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, math.nan, 2.0]) == "▁·█"
    assert sparkline([5, 5]) == "▄▄"
    assert sparkline([math.nan]) == "·"
    assert sparkline([]) == ""
    assert sparkline([0.5], low=0, high=0.5) == "█"
    assert sparkline(list(range(100)), width=8) == "▁▂▃▄▅▆▇█"


@given(st.lists(st.floats()), st.integers(0, 50))
def test_a_sparkline_is_as_wide_as_it_may_be(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)


def test_a_table_drops_columns_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column("name"), Column("first", drop=1), Column("second", drop=2)]
    rows = [[Cell("x" * 10), Cell("y" * 10), Cell("z" * 10)]]
    seen = []
    for width in (40, 25, 12):
        table(columns, rows, width)
        seen.append(capsys.readouterr().out.split("\n")[0].split())
    assert seen == [["name", "first", "second"], ["name", "second"], ["name"]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (650_400_000, "650 MB"),
        (12_000_000_000, "12.0 GB"),
        (999_999, "1.00 MB"),
        (99_960, "100 kB"),
        (5 * 10**15, "5000 TB"),
        (None, "-"),
    ],
)
def test_sizes_read_well(value: int | None, said: str) -> None:
    assert size(value) == said


def test_amounts_read_well() -> None:
    assert [amount(value) for value in (12, 1_234, 12_345_678, 3_210_000_000, None)] == [
        "12",
        "1.23 thousand",
        "12.3 million",
        "3.21 billion",
        "-",
    ]


@given(st.integers(1000, 10**14))
def test_a_size_keeps_three_digits(value: int) -> None:
    number, unit = size(value).split()
    powers = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    assert math.isclose(float(number) * powers[unit], value, rel_tol=0.0051)


@pytest.mark.parametrize("text", ["val_accuracy>=0.95", " val_loss < 1e-2 "])
def test_a_target_is_read_by_the_limits(text: str) -> None:
    assert Until().convert(text, None, None) == Target.parse(text)
    assert Until().convert(Target.parse(text), None, None) == Target.parse(text)


@pytest.mark.parametrize("text", ["", "0.95", "val_accuracy=0.95", "val_speed>0.5", "val_accuracy>=much"])
def test_a_nonsense_target_is_one_sentence(text: str) -> None:
    @click.command()
    @click.option("--until", type=Until())
    def command(until: Target) -> None:
        raise AssertionError(until)

    with pytest.raises(InputError, match=r"^--until got .*val_accuracy>=0\.95") as refused:
        CliRunner().invoke(command, ["--until", text], catch_exceptions=False)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


MOVING = ["\x1b", "\x07", "\x9b", "\r", "\u202e", "\udce9", "\u2067", "\x00", "\x7f"]


@pytest.mark.parametrize("moving", MOVING)
def test_nothing_from_outside_moves_the_cursor_or_turns_letters_round(
    moving: str, capsys: pytest.CaptureFixture
) -> None:
    say(f"a{moving}b\n\tc")
    complain(f"a{moving}b")
    assert capsys.readouterr() == ("a?b\n\tc\n", "a?b\n")
    shown = io.StringIO()
    Console(file=shown, width=40).print(grid([Column("name")], [[Cell(f"a{moving}b")]], 40))
    assert "a?b" in shown.getvalue()
