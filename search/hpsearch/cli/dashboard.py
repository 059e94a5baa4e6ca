"""``hpsearch dashboard``."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from hpsearch.cli.output import Duration, results_option, say, study_option
from hpsearch.errors import InputError, RunError, StudyError
from hpsearch.study.folder import open_study
from hpsearch.study.snapshot import Snapshot

__all__ = ["dashboard"]

HOST = "127.0.0.1"

_SERVE = (
    "import os, sys, threading\n"
    "from optuna_dashboard import run_server\n"
    # However this command ends, its end of the pipe is closed.
    "threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()\n"
    "run_server(f'sqlite:///{sys.argv[1]}', host=sys.argv[2], port=int(sys.argv[3]))"
)


@click.command(epilog="\b\nExample:\n  hpsearch dashboard\n  hpsearch dashboard --study digits --port 9000")
@study_option
@results_option
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, metavar="N", help="Where to serve."
)
@click.option(
    "--refresh",
    type=Duration(),
    default="10s",
    show_default=True,
    metavar="TIME",
    help="How often the copy is brought up to date while a run goes on.",
)
@click.option("--open", "opening", is_flag=True, help="Show it in the browser.")
def dashboard(study: str | None, results: Path, port: int, refresh: float, opening: bool) -> None:
    """Look at a study in optuna-dashboard, on this machine only.

    It is shown a copy of the study's database, which is brought up to date again and again: whatever it writes,
    deletes or breaks, the study and a run that goes on stay as they are. What is changed there is not kept.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise InputError("optuna-dashboard is not installed; install it with: pip install 'hpsearch[dashboard]'")
    folder = open_study(results, study)
    if not folder.database.exists():
        raise StudyError(f"Study {folder.name} has no database yet: {folder.database} is missing.")
    _check_free(port)
    with tempfile.TemporaryDirectory(prefix="hpsearch-dashboard-") as place:
        snapshot = Snapshot(folder.database, Path(place) / "study.db")
        snapshot.refresh()
        log = Path(place) / "log.txt"
        with _serving(snapshot.copy, port, log) as server:
            address = f"http://{HOST}:{port}/"
            say(f"Study {folder.name}: {address}   a copy that follows the study; Ctrl-C ends this, not a run.")
            if opening:
                click.launch(address)
            with contextlib.suppress(KeyboardInterrupt):
                _follow(snapshot, server, refresh, log)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(f"--port got {port}, which is taken ({error.strerror}); name another.") from error


@contextlib.contextmanager
def _serving(database: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server of the copy, in a process of its own, which ends with this one."""
    with open(log, "wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(database), HOST, str(port)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
        server.kill()
        server.wait()
        if server.stdin is not None:
            server.stdin.close()


def _follow(snapshot: Snapshot, server: subprocess.Popen[bytes], refresh: float, log: Path) -> None:
    """Bring the copy up to date until the server ends.

    Raises:
        RunError: It ended by itself.
    """
    while True:
        try:
            server.wait(timeout=refresh)
            break
        except subprocess.TimeoutExpired:
            try:
                snapshot.refresh()
            except StudyError as error:
                say(str(error))
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise RunError(f"optuna-dashboard ended: {said[-1] if said else f'exit code {server.returncode}'}")
