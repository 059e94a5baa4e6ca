"""Named sets fetched through Keras, when there is no local copy. Keras is imported here and nowhere else."""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys

from hpsearch.data.declarations import Named
from hpsearch.errors import DataError

__all__ = ["TIMEOUT", "download"]

TIMEOUT = 20.0
"""Seconds without an answer after which a download is given up; a node without a network would wait for minutes."""


def download(data: Named, hint: str) -> None:
    """Let Keras fetch a named set into its cache; what it returns is thrown away, the files are read from there.

    Args:
        data: The set.
        hint: The sentence that says which file to put where.

    Raises:
        DataError: The set could not be fetched.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        # Keras prints its progress; standard output belongs to the command.
        with contextlib.redirect_stdout(sys.stderr):
            getattr(importlib.import_module("keras").datasets, data.name).load_data()
    except Exception as error:  # Keras raises bare Exception when the network fails
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{data.facts.title} is not on this machine and could not be downloaded ({reason}). {hint}"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
