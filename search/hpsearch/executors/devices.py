"""The slots that ``--devices`` and ``--per-device`` give."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from hpsearch.errors import InputError
from hpsearch.executors.base import Slot
from hpsearch.executors.gpus import VISIBLE, Gpu, gpus
from hpsearch.executors.memory import available_memory

__all__ = ["EXPECTS_GPU", "cores", "memory_of", "slots_for"]

EXPECTS_GPU = "HPSEARCH_EXPECTS_GPU"
"""The variable that is ``1`` for a worker whose backend must see a GPU."""

USED = 0.92
"""The share of a GPU's memory for processes that use it together, on JAX; each has a context of its own besides."""

_ORDER = "CUDA_DEVICE_ORDER"


def slots_for(devices: str | None, per_device: int = 1) -> tuple[Slot, ...]:
    """The places where trials are trained.

    Args:
        devices: ``cpu``, ``all``, ``auto``, or numbers of GPUs such as ``0,1``; None is ``all``: every GPU, or else the
            CPU. Here ``auto`` is the same.
        per_device: How many processes that train on each device.

    Raises:
        InputError: There is no such device, or the number makes no sense.
    """
    if per_device < 1:
        raise InputError(f"--per-device got {per_device}; it takes a whole number from 1.")
    said = (devices or "all").strip().lower()
    if said == "cpu":
        return _cpu_slots(per_device, forced=True)
    found = gpus()
    chosen = found if said in ("all", "auto") else _chosen(said, found)
    if not chosen:
        return _cpu_slots(per_device, forced=False)
    several = [gpu for gpu in chosen for _ in range(per_device)]
    return tuple(
        Slot(number, f"gpu {gpu.number}", _gpu_environment(gpu, per_device), shared=per_device > 1)
        for number, gpu in enumerate(several)
    )


def memory_of(slot: Slot, slots: Sequence[Slot]) -> int | None:
    """The share of its device's memory that a slot has, in bytes; None where that is not known.

    Args:
        slot: The slot.
        slots: All slots.
    """
    sharing = sum(other.device == slot.device for other in slots) or 1
    token = dict(slot.environment).get(VISIBLE) if EXPECTS_GPU in dict(slot.environment) else None
    if token is None:
        return available_memory() // sharing
    memory = next((gpu.memory for gpu in gpus() if gpu.token == token), None)
    return None if memory is None else memory // sharing


def _gpu_environment(gpu: Gpu, sharing: int) -> tuple[tuple[str, str], ...]:
    # CUDA counts the fastest first unless it is told to count as nvidia-smi does; whoever chose by hand knows how.
    order = () if VISIBLE in os.environ else ((_ORDER, "PCI_BUS_ID"),)
    said = "XLA_CLIENT_MEM_FRACTION" in os.environ  # the newer name, beside which JAX refuses the older
    return (
        *order,
        (VISIBLE, gpu.token),
        ("TF_FORCE_GPU_ALLOW_GROWTH", "true"),
        ("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
        *((("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{USED / sharing:.3f}"),) if sharing > 1 and not said else ()),
        (EXPECTS_GPU, "1"),
    )


def _cpu_slots(count: int, *, forced: bool) -> tuple[Slot, ...]:
    """Slots on the CPU, each with its share of the cores; a single one has them all, and nothing to be told."""
    # Where the user did not ask for the CPU, what the backend finds by itself is used: there are others than NVIDIA.
    environment: tuple[tuple[str, str], ...] = ((VISIBLE, "-1"), ("JAX_PLATFORMS", "cpu")) if forced else ()
    if count > 1:
        threads = str(max(1, cores() // count))
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "PJRT_NPROC")
        environment += tuple((name, threads) for name in names)
    return tuple(Slot(number, "cpu", environment, shared=count > 1) for number in range(count))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chosen(said: str, found: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """The GPUs whose numbers were given.

    Raises:
        InputError: Something else was given, or there is no such GPU.
    """
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*", said):
        allowed = "say cpu, all, auto, or numbers of GPUs such as 0,1"
        raise InputError(f'--devices got "{said}"; {allowed}; {_what_there_is(found)}.')
    numbers = [int(number) for number in said.split(",")]
    if len(set(numbers)) < len(numbers):
        raise InputError(f'--devices got "{said}"; name each GPU once, and train several at once with --per-device.')
    by_number = {gpu.number: gpu for gpu in found}
    if not set(numbers) <= set(by_number):
        raise InputError(f'--devices got "{said}"; {_what_there_is(found)}.')
    return tuple(by_number[number] for number in numbers)


def _what_there_is(found: tuple[Gpu, ...]) -> str:
    visible = os.environ.get(VISIBLE)
    because = "" if visible is None else f", for CUDA_VISIBLE_DEVICES is set to {visible!r}"
    if not found:
        return f"no NVIDIA GPU is to be seen here{because}"
    *first, last = [str(gpu.number) for gpu in found]
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"this machine has GPU {listed}{because}"
