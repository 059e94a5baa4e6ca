"""What the parts of `gpu.sh` measured, as JSON and as a page: whole files at every moment, whatever is killed when."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _machine import machine

__all__ = ["Sheet"]

DATA = "CIFAR-10 (JPEG q75)"
TINY = "digits of scikit-learn, as large as the images of CIFAR-10"
NO_FIGURES = "A few images only, to see that it works: these are no figures."


class Sheet:
    """Takes what parts say, and writes it.

    Args:
        name: Of the script, and of the files.
        parts: What the table of each part holds, and how many seeds that is of.
        output: The folder for the files; it holds nothing else of this.
        work: The folder where parts say what they measured, in ``said.jsonl``, and leave a picture, as ``picture.png``.
        tiny: Whether it is but a trial.
    """

    def __init__(self, name: str, parts: Mapping[str, tuple[str, int]], output: Path, work: Path, tiny: bool) -> None:
        self._name, self._parts, self._output, self._work = name, parts, output, work
        self._found: dict[str, Any] = {
            "script": name,
            **({"tiny": NO_FIGURES} if tiny else {}),
            "data": TINY if tiny else DATA,
            "machine": machine(),
            "seconds": None,
            "parts": {},
        }
        self._read, self._part, self._began = 0, "", 0.0
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{name}.png").unlink(missing_ok=True)
        self._write()

    def begins(self, part: str, seconds: float) -> None:
        """A part begins.

        Args:
            part: Which.
            seconds: How long it may take.
        """
        print(f"== {part}, {max(seconds, 0.0):.0f} s", flush=True)  # noqa: T201  # whoever waits sees how far it is
        self._part, self._began = part, time.monotonic()
        begun = {"limit": seconds, "seconds": 0.0, "ended": "cut off", "seeds": self._parts[part][1]}
        self._found["parts"][part] = {**begun, "rows": {}, "notes": []}
        self._write()

    def ended(self, how: str) -> None:
        """The part ended.

        Args:
            how: ``whole``, ``out of time``, ``stopped``, or ``failed`` and why.
        """
        if self._part:
            print(f"   {how}", flush=True)  # noqa: T201
            self._found["parts"][self._part]["ended"] = how
            self._write()

    def over(self, seconds: float) -> None:
        """All parts ended.

        Args:
            seconds: What they took together.
        """
        self._found["seconds"] = seconds
        self._write()

    def rows(self, part: str) -> int:
        """How many rows of figures a part gave."""
        return len(self._found["parts"][part]["rows"])

    def failed(self, part: str) -> bool:
        """Whether a part did not come to its end."""
        return bool(self._found["parts"][part]["ended"] != "whole")

    def take(self) -> None:
        """Write what was said since this was last called."""
        file = self._work / "said.jsonl"
        text = file.read_bytes()[self._read :] if file.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._hear(json.loads(line))
        picture = self._work / "picture.png"
        if picture.exists():
            shutil.copyfile(picture, self._output / _NEW)
            (self._output / _NEW).replace(self._output / f"{self._name}.png")
            picture.unlink()
            self._found["parts"][self._part]["notes"].append(f"![{self._name}]({self._name}.png)")
            self._write()
        if whole:
            self._write()

    def _hear(self, said: Mapping[str, Any]) -> None:
        part = self._found["parts"][said["part"]]
        if "note" in said:
            part["notes"].append(said["note"])
        elif said["row"] == "machine":
            self._found["machine"] = said["figures"]
        else:
            part["rows"][said["row"]] = said["figures"]

    def _write(self) -> None:
        if self._part:
            self._found["parts"][self._part]["seconds"] = time.monotonic() - self._began
        for ending, text in (("json", json.dumps(self._found, indent=1)), ("md", self._page())):
            (self._output / _NEW).write_text(text + "\n", encoding="utf-8")
            (self._output / _NEW).replace(self._output / f"{self._name}.{ending}")

    def _page(self) -> str:
        found, known = self._found, dict(self._found["machine"])
        where = f"{known.pop('cores')} cores of {known.pop('processor')} ({known.pop('system')})"
        if "device" in known:
            where = f"{known.pop('device')} ({known.pop('platform')}); {where}"
        versions = ", ".join(f"{name} {version}" for name, version in known.items())
        head = f"{where}; {versions}. Data: {found['data']}."
        took = "" if found["seconds"] is None else f" It took {found['seconds']:.0f} s."
        size = f"\n\n{NO_FIGURES}" if "tiny" in found else ""
        parts = [self._section(name, part) for name, part in found["parts"].items()]
        return "\n\n".join([f"# {self._name}", f"{head}{took}{size}", *parts])

    def _section(self, name: str, part: Mapping[str, Any]) -> str:
        seeds = "" if not part["seeds"] else f" Seeds: {part['seeds']}."
        ended = f"{part['seconds']:.0f} s of {part['limit']:.0f} s; {part['ended'].rstrip('.')}."
        said = [f"## {name}", f"{self._parts[name][0]}{seeds} ({ended})", *part["notes"]]
        return "\n\n".join([*said, *([_table(part["rows"])] if part["rows"] else [])])


_NEW = ".new"
"""What a file is called until it is whole; one left by a kill is taken by the next."""


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name, cell in row.items() if not _long(cell)))
    head = ["", *(name.replace("_", " ") for name in names)]
    lines = [head, ["---"] * len(head)]
    lines += [[row, *(_said(figures.get(name)) for name in names)] for row, figures in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _long(cell: Any) -> bool:
    return isinstance(cell, Sequence) and not isinstance(cell, str)


def _said(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.4f}" if abs(cell) < 1 else f"{cell:,.1f}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return "" if cell is None else f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
