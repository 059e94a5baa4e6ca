"""Searches by the commands a user types, for benchmarks that take a space file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["SOURCE", "command", "copied", "given", "hpsearch", "shown"]

SOURCE = Path(__file__).resolve().parents[1] / "search"


def copied(space: Path, replaced: Sequence[Sequence[str]], folder: Path) -> Path:
    """A space file in a folder of its own, with texts in it replaced.

    Args:
        space: The space file.
        replaced: Pairs of a text that it holds once, and of what stands in its place. A space in the first one is any
            white space, so that a command that is written on one line finds what is on several.
        folder: Where to write.
    """
    text = space.read_text(encoding="utf-8")
    for old, new in replaced:
        found = list(re.finditer(r"\s+".join(map(re.escape, re.split(r"\s+", old))), text))
        if len(found) != 1:
            raise SystemExit(f"{space} holds {old!r} {len(found)} times, not once.")
        text = text[: found[0].start()] + new + text[found[0].end() :]
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / space.name
    copy.write_text(text, encoding="utf-8")
    return copy


def given(option: str, value: object) -> list[str]:
    """An option of a command, where it is given.

    Args:
        option: Its name.
        value: None is not given.
    """
    return [] if value is None else [option, str(value)]


def shown(arguments: Sequence[str], hidden: Mapping[str, str]) -> list[str]:
    """Arguments of a command without the paths of this machine.

    Args:
        arguments: They.
        hidden: What stands for the value of each option that takes a path.
    """
    pairs = zip(["", *arguments], arguments, strict=False)
    return [hidden.get(before, _within(each) if each.endswith(".py") else each) for before, each in pairs]


def _within(space: str) -> str:
    """The path of a space file within the repository; of one elsewhere its name."""
    path = Path(space).resolve()
    return str(path.relative_to(SOURCE.parent)) if path.is_relative_to(SOURCE.parent) else path.name


def command(*arguments: object, results: Path) -> list[str]:
    """The words that run a command of this tree, where `SOURCE` is looked in for modules.

    Args:
        arguments: Its name and what follows.
        results: The folder that holds the studies.
    """
    start = "from hpsearch.cli.main import main; main(prog_name='hpsearch')"
    return [sys.executable, "-c", start, *map(str, arguments), "--results", str(results)]


def hpsearch(*arguments: object, results: Path, read: bool = False) -> str:
    """Run a command.

    Args:
        arguments: Its name and what follows.
        results: The folder that holds the studies.
        read: Whether what it prints is wanted; else it goes to the terminal.
    """
    told = subprocess.run(
        command(*arguments, results=results),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])},
        check=True,
        text=True,
        stdout=subprocess.PIPE if read else sys.stderr,
    )
    return told.stdout or ""
