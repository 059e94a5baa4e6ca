"""``hpsearch predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.output import one_line, say

__all__ = ["predict"]


@click.command
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), metavar="K", default=3, show_default=True, help="Classes to print.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict(export: Path, files: tuple[Path, ...], top: int, as_json: bool) -> None:
    """Answer for photos, folders of photos, or rows of a CSV file.

    EXPORT is the folder that export-best wrote; no study is needed. Photos may have any size. Those that rows name are
    looked for beside their CSV file, in the folder= of the table that was trained on, if any. What cannot be read is
    said in a sentence, the others go on, and the exit code is 1.

    \b
    Example:
      hpsearch predict results/cats_dogs/export photo.jpg holiday/
      hpsearch predict results/houses/export rows.csv --json
    """
    from hpsearch.results.predictions import predictions

    found = []
    failed = False
    for said in predictions(export, files, top):
        failed = failed or "error" in said
        if as_json:
            found.append(said)
        elif "error" in said:
            click.echo(f"Error: {one_line(said.get('where', said['of']))}: {one_line(said['error'])}", err=True)
        else:
            say(_line(said))
    if as_json:
        say(json.dumps(found, indent=1))
    if failed:
        raise SystemExit(1)


def _line(said: dict[str, Any]) -> str:
    of = one_line(said["of"])
    if "probabilities" not in said:
        return f"{of}  {said['answer']:,.6g}"
    return "  ".join([of, *(f"{one_line(name)} {share:.4f}" for name, share in said["probabilities"].items())])
