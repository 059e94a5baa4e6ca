"""A worker process: loads a space and its data once, then trains one trial after the other.

It never touches the record of the study: everything it finds goes over the pipe to the coordinator, which asks it to go
on, to drop a trial, to halt or to leave. All that it writes itself are the checkpoints and the log of a trial.
"""

from __future__ import annotations

import gc
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from hpsearch.errands import (
    Average,
    Averaged,
    Inspect,
    Inspected,
    Look,
    Looked,
    Rate,
    Rated,
    Score,
    Scored,
    Warm,
)
from hpsearch.messages import Setup
from hpsearch.printing import printing_to
from hpsearch.training.logs import log_of, logged
from hpsearch.training.pipe import Pipe, refusal
from hpsearch.training.trainer import Trainer

__all__ = ["main"]


def main(connection: Connection) -> None:
    """Serve a coordinator until it closes the pipe.

    Args:
        connection: The worker's end of the pipe.
    """
    pipe = Pipe(connection)
    # Ctrl-C and a closed terminal reach the whole process group; the coordinator decides what they mean. So does the
    # SIGTERM of a cluster that takes the machine back: the trial in progress is left in good order first.
    for kind in (signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pipe.terminate)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        _serve(pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        _exit()


def _exit() -> NoReturn:
    """The coordinator is gone: there is nobody left to tell, and no cleaning up that could matter."""
    os._exit(1)


def _serve(pipe: Pipe) -> None:
    first = pipe.connection.recv()
    if first.data_dir is not None:
        # Where a space file itself looks; the fork server may be older than what the command line said.
        os.environ["HPSEARCH_DATA_DIR"] = str(first.data_dir)
    try:
        with printing_to(Path(os.devnull)):
            from hpsearch.training.devices import XLA, set_xla

            set_xla(os.environ.get(XLA, "auto"))
            if not isinstance(first, Setup):
                pipe.send(_answer(first, pipe))
                return
            trainer = Trainer(first)
            ready = trainer.ready()
    except Exception as error:  # noqa: BLE001  # whatever it is, the coordinator is told
        pipe.send(refusal(error))
        return
    pipe.send(ready)
    gc.freeze()  # what is loaded now stays; to look through it at the start of every trial took longer than a proposal
    while True:
        task = pipe.task()
        with logged(log_of(task)):
            answer = trainer.perform(task, pipe)
        pipe.send(answer)
        pipe.done()


def _answer(
    request: Inspect | Score | Look | Average | Rate, pipe: Pipe
) -> Inspected | Scored | Looked | Averaged | Rated:
    """Requests that are no trials."""
    if isinstance(request, Rate):
        from hpsearch.training.rating import rate

        return rate(request, lambda: pipe.confirm(Warm()))
    if isinstance(request, Average):
        from hpsearch.training.averaging import average

        return average(request)
    if isinstance(request, Look):
        from hpsearch.training.looking import look

        trainer = Trainer(request.setup)
        return look(request, trainer.space.declaration, trainer.data, trainer.inputs, lambda: trainer.rebuilt(request))
    if isinstance(request, Inspect):
        from hpsearch.training.inspection import inspect_space

        return inspect_space(request)
    from hpsearch.training.scoring import score_exports

    return score_exports(request)
