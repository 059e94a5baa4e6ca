"""The command ``hpsearch``: its subcommands, imported when they are called, and errors as one sentence."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from hpsearch.errors import HpsearchError
from hpsearch.wording import printable

__all__ = ["main"]

_COMMANDS = {
    "devices": ("hpsearch.cli.devices", "devices", "Show what this machine trains on, and whether a run would start."),
    "check": ("hpsearch.cli.check", "check", "Read a space file and build what it declares, without searching."),
    "run": ("hpsearch.cli.run", "run", "Search a space; the same command again resumes the study."),
    "status": ("hpsearch.cli.status", "status", "Show what a study does at this moment, from any terminal."),
    "stop": ("hpsearch.cli.stop", "stop", "End a run or one trial in good order, from any terminal."),
    "enqueue": ("hpsearch.cli.enqueue", "enqueue", "Add a recipe of your own to a study."),
    "leaderboard": ("hpsearch.cli.leaderboard", "leaderboard", "Rank the trials of a study."),
    "show": ("hpsearch.cli.reading", "show", "Show one trial: its recipe as Python, its scores, its curve."),
    "compare": ("hpsearch.cli.compare", "compare", "Set two trials side by side."),
    "studies": ("hpsearch.cli.reading", "studies", "List the studies."),
    "save": ("hpsearch.cli.save", "save", "Save the network of one trial as it was trained in the search."),
    "report": ("hpsearch.cli.report", "report", "Write what a study found as one HTML file."),
    "dashboard": ("hpsearch.cli.dashboard", "dashboard", "Look at a study in optuna-dashboard."),
    "finals": ("hpsearch.cli.finals", "finals", "Train the best again with several seeds, to see what was luck."),
    "export-best": ("hpsearch.cli.export", "export_best", "Hold finals, retrain the best, test it once, export it."),
    "predict": ("hpsearch.cli.predict", "predict", "Answer for photos or rows with an exported model."),
    "clean": ("hpsearch.cli.clean", "clean", "Delete what a study no longer needs on the disk."),
}


class _Commands(click.Group):
    """Imports a command when it is called, and shows errors meant for people without a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _open_streams()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Whatever a command does not tell in words of its own: which file, and what is wrong with it.
            where = f"{error.filename} cannot be used" if error.filename else "A file or standard output cannot be used"
            with suppress(OSError):
                click.echo(printable(f"Error: {where}: {error.strerror or error}."), err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, _, said) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from hpsearch.errors import InputError, did_you_mean

            near = did_you_mean(args[0], _COMMANDS)
            if args[0].startswith("-"):
                raise
            raise InputError(f"There is no command {args[0]!r}.{near} See: hpsearch --help") from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            click.echo(printable(f"Error: {error.format_message()} See: {command} --help"), err=True)
            ctx.exit(error.exit_code)
        except HpsearchError as error:
            click.echo(printable(f"Error: {error}"), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(130)


def _open_streams() -> None:
    """Give standard streams that are closed to the null device: the first file that is opened would take the place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


@contextmanager
def _installed_modules_first() -> Iterator[None]:
    """Let the processes of Python that a command starts look for modules where these are installed.

    A ``random.py`` or ``keras.py`` in the working folder would be taken for Python's or Keras's own.
    """
    if "PYTHONSAFEPATH" in os.environ:
        yield
        return
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTHONSAFEPATH"]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hpsearch", prog_name="hpsearch")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Search Keras image classifiers: declare a space, search it overnight, trust and ship what was found.

    \b
    Example:
      hpsearch check spaces/digits.py
      hpsearch run spaces/digits.py --trials 20
      hpsearch leaderboard
      hpsearch export-best
    """
    ctx.with_resource(_installed_modules_first())
