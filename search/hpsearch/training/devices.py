"""What a worker trains on, and training that gives the same weights for the same seed."""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

import keras

from hpsearch.data.cache import cached
from hpsearch.errors import DataError, InputError

__all__ = [
    "EXPECTS_GPU",
    "XLA",
    "MissingGpuError",
    "be_deterministic",
    "check_backend",
    "check_device",
    "device_name",
    "forget_programs",
    "remember_programs",
    "set_xla",
    "xla_said",
]

EXPECTS_GPU = "HPSEARCH_EXPECTS_GPU"
"""Set to ``1`` for a worker whose slot is a GPU."""
XLA = "HPSEARCH_XLA"
"""Set to ``yes`` or ``no`` where it is not left to Keras whether networks are compiled with XLA."""


class MissingGpuError(InputError):
    """A GPU is there, but what Keras calculates with does not see it."""


def check_device() -> None:
    """Refuse to train on the CPU in the place of a GPU.

    Raises:
        MissingGpuError: The slot of this worker is a GPU, and the backend sees none.
    """
    if os.environ.get(EXPECTS_GPU) != "1" or _gpu() is not None:
        return
    number = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    raise MissingGpuError(
        f"GPU {number or '?'} of this machine is to train, but {keras.config.backend()} sees no GPU; hpsearch devices "
        "says what to do about it. Or train on the CPU with --devices cpu."
    )


def check_backend(wanted: str | None) -> None:
    """Refuse to train with another backend than the one that was asked for.

    Args:
        wanted: ``tensorflow``, ``jax``, ``torch``, or None for whatever there is.

    Raises:
        InputError: Keras was loaded with another one before, by this Python.
    """
    backend = keras.config.backend()
    if wanted not in (None, backend):
        raise InputError(f"Keras is loaded with {backend} here already; start a Python of its own for {wanted}.")


def xla_said() -> bool | None:
    """Whether networks are compiled with XLA here, where that is not left to Keras."""
    return {"yes": True, "no": False}.get(os.environ.get(XLA, "auto"))


def set_xla(choice: str) -> None:
    """Have every network of this process compiled with XLA, or none, whoever compiles it.

    Networks that are not compiled by anybody, but asked for features, would be compiled with XLA on a GPU, too. Keras
    has no switch for all of them, so the property that it asks stands for one.

    Args:
        choice: ``yes``, ``no``, or ``auto``, which leaves it to Keras and to ``build(hp)``.
    """
    if "jit_compile" in vars(keras.Model):
        del keras.Model.jit_compile
    if choice == "auto":
        return
    usual = keras.Model.jit_compile

    def get(model: Any) -> bool:
        if choice == "yes":
            usual.fset(model, True)  # Keras refuses it where a layer does not support it
        return choice == "yes" and bool(usual.fget(model))

    keras.Model.jit_compile = property(get, lambda *_: None)


def device_name() -> str:
    """What Keras trains on: ``cpu``, or the name of a GPU."""
    return _gpu() or "cpu"


def be_deterministic() -> None:
    """Have the same seed give the same weights, bit by bit; before the backend calculates anything."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        importlib.import_module("tensorflow").config.experimental.enable_op_determinism()
    elif backend == "jax":
        # Read when the backend starts, which is at the first calculation and not at the import.
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    elif backend == "torch":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch: Any = importlib.import_module("torch")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


def remember_programs() -> None:
    """Have JAX keep what it compiled, so that no network is compiled twice on this machine, whoever trains it.

    A user who says where, with ``JAX_COMPILATION_CACHE_DIR``, is left alone. Where the cache cannot be written,
    programs are compiled each time.
    """
    if keras.config.backend() != "jax" or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    jax: Any = importlib.import_module("jax")
    with contextlib.suppress(DataError):
        folder = cached("programs", f"jax{jax.__version__}", 0, lambda _: None)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def forget_programs() -> None:
    """Have JAX compile everything, whatever was compiled before, and keep none of it."""
    if keras.config.backend() == "jax":
        importlib.import_module("jax").config.update("jax_enable_compilation_cache", False)


def _gpu() -> str | None:
    """The name of the GPU that the backend uses, or None."""
    backend = keras.config.backend()
    library: Any = importlib.import_module(str(backend))
    if backend == "tensorflow":
        found = library.config.list_physical_devices("GPU")
        if not found:
            return None
        return str(library.config.experimental.get_device_details(found[0]).get("device_name", "gpu"))
    if backend == "jax":
        device = library.devices()[0]
        return str(device.device_kind) if device.platform in ("gpu", "cuda", "rocm") else None
    if backend == "torch":
        return str(library.cuda.get_device_name(0)) if library.cuda.is_available() else None
    return None
