"""What Keras calculates with: said on the command line, by the study, by ``KERAS_BACKEND`` or by Keras's own file."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path

from hpsearch.errors import InputError, did_you_mean
from hpsearch.installing import how_to_install, how_to_install_extra

__all__ = [
    "BACKENDS",
    "CALLED",
    "VARIABLE",
    "backend_of_keras",
    "cuda_libraries",
    "install_for_gpu",
    "installed_version",
    "use_backend",
]

BACKENDS = ("tensorflow", "jax", "torch")
CALLED = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
VARIABLE = "KERAS_BACKEND"
_CUDA = {
    "tensorflow": ("nvidia-cudnn-cu12", "nvidia-cuda-runtime-cu12"),
    "jax": ("jax-cuda12-plugin", "jax-cuda13-plugin"),
    "torch": (),
}


def backend_of_keras() -> str:
    """The backend that Keras takes where nothing else is said: of ``KERAS_BACKEND``, or of ``keras.json``."""
    said = os.environ.get(VARIABLE)
    if said:
        return said
    home = os.environ.get("KERAS_HOME")
    file = (Path(home) if home else Path("~/.keras").expanduser()) / "keras.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def use_backend(asked: str | None, recorded: str | None = None, study: str = "") -> tuple[str, str]:
    """Have every process that is started from here on use a backend.

    Args:
        asked: What ``--backend`` says, or None.
        recorded: What the study was begun with; None where it is new, or where an early version did not say.
        study: Its name.

    Returns:
        The backend, and a sentence where ``KERAS_BACKEND`` says another; else an empty one.

    Raises:
        InputError: There is no such backend, it is not installed, or the study has another.
    """
    if asked is not None and recorded is not None and asked != recorded:
        raise InputError(
            f"Study {study} was begun with --backend {recorded}; leave --backend out, or give this run a name of its "
            f"own with --study {study}-2."
        )
    backend = asked or recorded or backend_of_keras()
    where = "--backend" if asked else f"study {study}, which" if recorded else VARIABLE
    if backend not in BACKENDS:
        raise InputError(f"{where} got {backend!r}; allowed: {', '.join(BACKENDS)}.{did_you_mean(backend, BACKENDS)}")
    if not _is_installed(backend):
        needs = f"study {study} was begun with" if recorded else f"{where} asks for"
        raise InputError(
            f"{needs[0].upper()}{needs[1:]} {CALLED[backend]}, which is not installed; install it with: "
            f"{_install(backend)}"
        )
    ambient = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    if recorded and asked is None and ambient and ambient != recorded:
        return backend, f"Study {study} goes on with {CALLED[backend]}, as it began, and not with {VARIABLE}={ambient}."
    return backend, ""


def installed_version(backend: str) -> str | None:
    """The version of a backend, which is not imported; None where it is not installed.

    Args:
        backend: One of `BACKENDS`.
    """
    if not _is_installed(backend):
        return None
    return _version(backend) or _version(f"{backend}-cpu") or ""


def cuda_libraries(backend: str) -> tuple[str, ...]:
    """The packages with which a backend sees NVIDIA's GPUs, with their versions, as far as they are installed.

    Args:
        backend: One of `BACKENDS`.
    """
    return tuple(f"{name} {version}" for name in _CUDA[backend] if (version := _version(name)))


def install_for_gpu(backend: str) -> str:
    """How a backend is made to see NVIDIA's GPUs, as the end of a sentence.

    Args:
        backend: One of `BACKENDS`.
    """
    if backend == "tensorflow":
        return how_to_install_extra("gpu")
    if backend == "jax":
        return how_to_install("jax[cuda12]")
    return "install the CUDA build of torch, as its web site says for this system"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_installed(backend: str) -> bool:
    found = importlib.util.find_spec(backend)
    return found is not None and found.origin is not None  # not a mere folder of that name


def _install(backend: str) -> str:
    return how_to_install("tensorflow") if backend == "tensorflow" else how_to_install_extra(backend)
