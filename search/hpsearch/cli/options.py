"""Options that several of the working commands take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hpsearch.errors import DataError

__all__ = ["backend_option", "data_dir_option", "skip_bad_images_option", "use_data_dir", "xla_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


def data_dir_option(command: Command) -> Command:
    """Add ``--data-dir``."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        envvar="HPSEARCH_DATA_DIR",
        show_envvar=True,
        metavar="FOLDER",
        help="Where data and pretrained weights are looked for first.",
    )(command)


def backend_option(command: Command) -> Command:
    """Add ``--backend``."""
    return click.option(
        "--backend",
        metavar="NAME",
        help="What Keras calculates with: tensorflow, jax or torch. A study goes on with its own; a new one takes "
        "KERAS_BACKEND, or TensorFlow.",
    )(command)


def xla_option(command: Command) -> Command:
    """Add ``--xla``."""
    return click.option(
        "--xla",
        type=click.Choice(("auto", "yes", "no")),
        help="Whether TensorFlow compiles with XLA. A study goes on as it began; a new one tries it on the GPU first.",
    )(command)


def skip_bad_images_option(command: Command) -> Command:
    """Add ``--skip-bad-images``."""
    return click.option(
        "--skip-bad-images", is_flag=True, help="Go on without images that cannot be read, and say how many."
    )(command)


def use_data_dir(data_dir: Path | None) -> Path | None:
    """The data directory as an absolute path, made known to the worker processes and to space files.

    Args:
        data_dir: What the command line says, or None.

    Raises:
        DataError: It is not a folder.
    """
    if data_dir is None:
        return None
    if not data_dir.is_dir():
        raise DataError(f"--data-dir got {data_dir}, which is not a folder.")
    os.environ["HPSEARCH_DATA_DIR"] = str(data_dir.resolve())
    return data_dir.resolve()
