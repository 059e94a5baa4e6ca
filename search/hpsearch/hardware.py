"""What trains: backend, devices and compiler, decided before the first worker starts and said in a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hpsearch.errors import InputError
from hpsearch.executors.backend import CALLED, cuda_libraries, install_for_gpu, installed_version, use_backend
from hpsearch.executors.base import Slot
from hpsearch.executors.compiler import Compiler, compiler_of
from hpsearch.executors.devices import cores, slots_for
from hpsearch.executors.gpus import Gpu, driver_version, gpus, holders, memory_used, why_none
from hpsearch.executors.local import XLA_VARIABLE
from hpsearch.messages import Setup
from hpsearch.spacefile import frameworks_imported
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.wording import size

__all__ = [
    "Hardware",
    "HardwareOptions",
    "Xla",
    "choose_backend",
    "choose_hardware",
    "foreign_frameworks",
    "gpus_of",
]

Xla = Literal["auto", "yes", "no"]
Tell = Callable[[str], None]

_WORTH_TELLING = 0.05
"""The share of a GPU's memory that another process may hold without a word, as a desktop does."""
_LARGE = 0.25
"""The same where nobody says whose it is."""


@dataclass(frozen=True)
class HardwareOptions:
    """What the options of a command ask for; None is what the study says, or the default.

    Args:
        devices: ``cpu``, ``all``, numbers of GPUs, or ``auto``, which is ``all`` where the backend sees a GPU.
        backend: ``tensorflow``, ``jax`` or ``torch``.
        xla: Whether TensorFlow compiles with XLA.
    """

    devices: str | None = None
    backend: str | None = None
    xla: Xla | None = None


@dataclass(frozen=True)
class Hardware:
    """What trains.

    Args:
        backend: What Keras calculates with.
        devices: As `slots_for` takes them.
        xla: ``auto`` leaves it to Keras, ``yes`` and ``no`` overrule it.
    """

    backend: str
    devices: str | None
    xla: Xla

    def setup(self, setup: Setup) -> Setup:
        """What workers load, for the backend that was chosen.

        Args:
            setup: The rest of it.
        """
        return replace(setup, backend=self.backend)

    def recorded(self, folder: StudyFolder) -> StudyInfo:
        """What a study is, once it holds how networks are compiled.

        Args:
            folder: The study, held for writing.
        """
        info = folder.info()
        if info.xla != self.xla:
            info.xla = self.xla
            folder.write_info(info)
        return info


def choose_backend(options: HardwareOptions, info: StudyInfo | None, tell: Tell = lambda _: None) -> str:
    """Have all workers from here on use the backend, and XLA or not, that is asked for or that a study has.

    Args:
        options: What is asked for.
        info: The study that goes on; None begins one.
        tell: Told where ``KERAS_BACKEND`` says something else.

    Raises:
        InputError: There is no such backend, it is not installed, the study has another, or it knows no such XLA.
    """
    recorded = info.versions.get("backend") if info else None
    backend, note = use_backend(options.backend, recorded, info.name if info else "")
    if note:
        tell(note)
    if backend == "torch" and options.xla in ("yes", "no"):
        raise InputError("--xla is for TensorFlow; Keras on PyTorch does not compile, so leave it out.")
    if backend == "jax" and options.xla == "no":
        raise InputError(
            "--xla got no, but JAX compiles everything with XLA; leave it out, or say --backend tensorflow."
        )
    os.environ[XLA_VARIABLE] = options.xla or (info.xla if info else "auto")
    return backend


def choose_hardware(
    options: HardwareOptions,
    backend: str,
    info: StudyInfo | None,
    tell: Tell,
    tried: Callable[..., Compiler] = compiler_of,
) -> Hardware:
    """Decide where and how to train, and say so in a line; a GPU is tried first by a process that may die of it.

    Args:
        options: What is asked for.
        backend: What `choose_backend` gave.
        info: The study that goes on; None begins one.
        tell: Told what trains, and whatever is amiss.
        tried: Tells what the backend does on a GPU, as `compiler_of`.

    Raises:
        InputError: There is no such device, the backend does not see it, or cannot compile for it.
    """
    slots = slots_for(options.devices)
    xla: Xla = options.xla or (info.xla if info else "auto")
    chosen = gpus_of(slots)
    if not chosen:
        tell(_on_cpu(backend, options.devices))
        return Hardware(backend, None if options.devices == "auto" else options.devices, xla)

    def trying() -> None:
        tell(f"Trying {CALLED[backend]} on {_named(chosen)}, once for this driver; it may take minutes ...")

    each_card = {gpu.name: (gpu, _first_slot(slots, gpu)) for gpu in reversed(chosen)}
    cards = [
        tried(backend, slot.environment, gpu if xla == "auto" else None, trying) for gpu, slot in each_card.values()
    ]
    found = next((card for card in cards if card.gpu is None or card.fails or card.slow), cards[-1])
    if found.gpu is None:
        return Hardware(backend, _without_gpu(options.devices, backend, chosen, found, tell), xla)
    xla = _judged(backend, xla, found, tell)
    os.environ[XLA_VARIABLE] = xla
    for sentence in filter(None, map(_held, chosen)):
        tell(sentence)
    without = ", without XLA" if xla == "no" else ", with XLA" if xla == "yes" else ""
    tell(f"Training on {_named(chosen)} with {CALLED[backend]} {found.version}{without}.")
    return Hardware(backend, options.devices, xla)


def foreign_frameworks(space_file: Path, backend: str) -> Iterator[str]:
    """A sentence for each framework that a space file imports and Keras does not calculate with.

    Args:
        space_file: The space file.
        backend: What Keras calculates with.
    """
    for name, where in frameworks_imported(space_file).items():
        if name != backend:
            yield (
                f"{where}: imports {name}, but Keras calculates with {backend} here, and layers or losses made of "
                f"{name} cannot be trained with it; for those say --backend {name}."
            )


def gpus_of(slots: Sequence[Slot]) -> tuple[Gpu, ...]:
    """The GPUs that slots use.

    Args:
        slots: The slots.
    """
    used = {slot.device for slot in slots}
    return tuple(gpu for gpu in gpus() if f"gpu {gpu.number}" in used)


def _first_slot(slots: Sequence[Slot], gpu: Gpu) -> Slot:
    return next(slot for slot in slots if slot.device == f"gpu {gpu.number}")


def _held(gpu: Gpu) -> str:
    """A sentence about who holds the memory of a GPU; empty where next to nothing is held."""
    used, those = memory_used(gpu) or 0, holders(gpu)
    taken = max(used, sum(holder.memory or 0 for holder in those))
    if gpu.memory is None or taken < gpu.memory * (_WORTH_TELLING if those else _LARGE):
        return ""
    who = " and ".join(f"{holder.name} (process {holder.pid})" for holder in those) or "processes that are not shown"
    return (
        f"GPU {gpu.number}: {size(taken)} of its {size(gpu.memory)} of memory are held by {who}, a "
        "notebook perhaps; end that, or choose another device with --devices."
    )


def _unseen(backend: str, chosen: Sequence[Gpu], found: Compiler) -> str:
    """Why a backend does not train on a GPU that is there, and what to do, without a full stop."""
    why = f" ({found.problem})" if found.problem else ""
    there = f"this machine has {_named(chosen)}, but {CALLED[backend]} sees no GPU{why}"
    if cuda_libraries(backend):
        driver = f"driver ({driver_version()})" if driver_version() else "driver"
        return f"{there}; its CUDA libraries are installed, so look at the {driver} and who may use it: nvidia-smi"
    return f"{there}; make it see one with: {install_for_gpu(backend)}"


def _named(chosen: Sequence[Gpu]) -> str:
    """``GPU 0 (NVIDIA GeForce RTX 4090)``, ``GPUs 0 and 1 (NVIDIA H200)``."""
    *first, last = [str(gpu.number) for gpu in chosen]
    numbers = f"s {', '.join(first)} and {last}" if first else f" {last}"
    return f"GPU{numbers} ({', '.join(dict.fromkeys(gpu.name for gpu in chosen))})"


def _on_cpu(backend: str, devices: str | None) -> str:
    many = "1 core" if cores() == 1 else f"{cores()} cores"
    why = why_none() if devices != "cpu" else ""
    return (
        f"Training on the CPU ({many}) with {CALLED[backend]} {installed_version(backend)}"
        f"{f'; {why}, so no GPU is counted on' if why else ''}."
    )


def _without_gpu(devices: str | None, backend: str, chosen: Sequence[Gpu], found: Compiler, tell: Tell) -> str:
    """Train on the CPU where that was allowed."""
    why = _unseen(backend, chosen, found)
    if devices != "auto":
        raise InputError(f"{why[0].upper()}{why[1:]}, or train on the CPU with --devices cpu.")
    tell(f"Training on the CPU: {why}")
    return "cpu"


def _judged(backend: str, xla: Xla, found: Compiler, tell: Tell) -> Xla:
    """What becomes of XLA after what it did."""
    slow = f"took {min(found.seconds):.0f} s to compile something trivial" if found.slow else ""
    if backend == "jax" and found.fails:
        raise InputError(
            f"JAX cannot compile for this GPU: {found.problem}. Try a newer JAX and driver (the driver is "
            f"{driver_version() or 'unknown'}, JAX {found.version}; {install_for_gpu('jax')}), --backend tensorflow, "
            "or --devices cpu."
        )
    if backend == "jax" and slow:
        tell(f"JAX {slow} on this GPU, twice: every network will wait for it; a newer driver or JAX may help.")
    if backend == "torch" and found.fails:
        raise InputError(
            f"PyTorch cannot calculate on this GPU: {found.problem}. Install its build for this card, or say "
            "--devices cpu."
        )
    if backend != "tensorflow" or xla != "auto" or not (found.fails or slow):
        return xla
    why = f"cannot compile for this GPU ({found.problem})" if found.fails else f"{slow} for this GPU, twice"
    tell(f"XLA {why}: TensorFlow trains without it (jit_compile=False); --xla yes insists on it.")
    return "no"
