"""Compiles and runs something trivial with a backend, in a process of its own, and says line by line how far it came.

A compiler that does not know the device ends the whole process, or takes minutes. What is said, as JSON on standard
output: ``{"version": ...}`` once the backend is imported, ``{"gpu": ...}`` with the name of the first GPU that it sees
or null, ``{"first": seconds}`` and ``{"second": [seconds, ...]}`` for compilations, or ``{"error": ...}``.

    python -m hpsearch.training.smoke tensorflow yes
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["SLOW", "main"]

SLOW = 5.0
"""Seconds after which compiling something trivial is slow; to be believed, twice in a row."""

Compiled = Callable[[int], None]
"""Compiles a program of so many multiplications, none of which was compiled before, and runs it."""


def main(backend: str, compiles: bool) -> None:
    """Say what a backend does on this machine.

    Args:
        backend: ``tensorflow``, ``jax`` or ``torch``.
        compiles: Whether to try its compiler, too.
    """
    try:
        library = importlib.import_module(backend)
        _say(version=str(library.__version__))
        gpu, compiled = _STARTS[backend](library)
        _say(gpu=gpu)
        if compiles and gpu is not None:
            _say(first=_seconds(compiled, 1))
            seconds = [_seconds(compiled, 2)]
            if seconds[0] > SLOW:
                seconds.append(_seconds(compiled, 3))
            _say(second=seconds)
    except Exception as error:  # noqa: BLE001  # whatever a backend raises is what was asked for
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        _say(error=f"{type(error).__name__}: {lines[0] if lines else ''}"[:300])
        sys.exit(1)


def _say(**found: Any) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def _seconds(compiled: Compiled, times: int) -> float:
    began = time.perf_counter()
    compiled(times)
    return time.perf_counter() - began


def _tensorflow(library: Any) -> tuple[str | None, Compiled]:
    found = library.config.list_physical_devices("GPU")
    if not found:
        return None, lambda _: None

    def compiled(times: int) -> None:
        def program(x: Any) -> Any:
            for _ in range(times):
                x = library.nn.relu(library.matmul(x, x)) + 1.0
            return x

        library.function(program, jit_compile=True)(library.ones((8, 8))).numpy()

    library.ones((8, 8)).numpy()  # the device starts
    return str(library.config.experimental.get_device_details(found[0]).get("device_name", "GPU")), compiled


def _jax(library: Any) -> tuple[str | None, Compiled]:
    device = library.devices()[0]
    if device.platform not in ("gpu", "cuda", "rocm"):
        return None, lambda _: None

    def compiled(times: int) -> None:
        def program(x: Any) -> Any:
            for _ in range(times):
                x = library.nn.relu(x @ x) + 1.0
            return x

        library.jit(program)(library.numpy.ones((8, 8))).block_until_ready()

    library.numpy.ones((8, 8)).block_until_ready()
    return str(device.device_kind), compiled


def _torch(library: Any) -> tuple[str | None, Compiled]:
    if not library.cuda.is_available():
        return None, lambda _: None

    def calculated(times: int) -> None:
        """Keras on PyTorch compiles nothing; a build for other cards fails here."""
        x = library.ones((8, 8), device="cuda")
        for _ in range(times):
            x = library.relu(x @ x) + 1.0
        x.cpu()

    return str(library.cuda.get_device_name(0)), calculated


_STARTS: dict[str, Callable[[Any], tuple[str | None, Compiled]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "yes")
