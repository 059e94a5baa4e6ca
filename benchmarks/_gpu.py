"""What the parts of `gpu.py` share: where to measure, and how figures are written."""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _machine import machine

__all__ = ["Setting", "device", "table", "write"]


@dataclass(frozen=True)
class Setting:
    """How a part is measured.

    Args:
        output: The folder for its figures.
        tiny: Whether a few images and steps are enough: to see that it works.
        seconds: How long a part may take.
        begun: When it began, on the monotonic clock.
    """

    output: Path
    tiny: bool
    seconds: float
    begun: float = field(default_factory=time.monotonic)

    def has(self, seconds: float) -> bool:
        """Whether so many seconds are left; a few images take next to none.

        Args:
            seconds: What the next figure may take.
        """
        return self.tiny or time.monotonic() - self.begun + seconds < self.seconds


def device() -> dict[str, Any]:
    """The machine and its accelerator."""
    import jax

    found = jax.devices()[0]
    return {
        **machine(),
        "device": found.device_kind,
        "platform": found.platform,
        "jax": importlib.metadata.version("jax"),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as Markdown.

    Args:
        header: Of the columns.
        rows: Cells, numbers or words.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write(setting: Setting, name: str, found: Mapping[str, Any], text: str) -> None:
    """Keep figures as JSON, and as a page for people.

    Args:
        setting: Where.
        name: Of the part.
        found: The figures.
        text: What the page says of them.
    """
    said = {**device(), **({"tiny": True} if setting.tiny else {}), **found}
    setting.output.mkdir(parents=True, exist_ok=True)
    (setting.output / f"{name}.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    where = f"{said['device']} ({said['platform']}), {said['cores']} cores; JAX {said['jax']}, Keras {said['keras']}"
    size = " A few images only, to see that it works: these are no figures." if setting.tiny else ""
    (setting.output / f"{name}.md").write_text(f"# {name}\n\n{where}.{size}\n\n{text}\n", encoding="utf-8")
    print(text)  # noqa: T201  # the page, on standard output as well
