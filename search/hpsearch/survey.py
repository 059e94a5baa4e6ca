"""What this machine has for training: GPUs, backends, cores, memory, a place for results; and whether a run starts."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import InputError, StudyError
from hpsearch.executors.backend import BACKENDS, installed_version
from hpsearch.executors.compiler import Compiler, compiler_of
from hpsearch.executors.devices import cores, slots_for
from hpsearch.executors.gpus import Gpu, Holder, driver_version, gpus, holders, memory_used, why_none
from hpsearch.executors.memory import available_memory
from hpsearch.hardware import HardwareOptions, choose_backend, choose_hardware, gpus_of
from hpsearch.study.mounts import file_system_of
from hpsearch.study.soundness import Soundness, try_folder

__all__ = ["GpuInUse", "Survey", "survey"]


@dataclass(frozen=True)
class GpuInUse:
    """A GPU and what is going on there.

    Args:
        gpu: It.
        used: Bytes of its memory that are in use, or None.
        holders: The processes that calculate there.
    """

    gpu: Gpu
    used: int | None
    holders: tuple[Holder, ...]


@dataclass(frozen=True)
class Survey:
    """What a machine has for training.

    Args:
        driver: The version of NVIDIA's driver, or None.
        amiss: Why no GPU is counted on although there is an ``nvidia-smi``; else empty.
        gpus: The GPUs that may be used.
        backend: What Keras would calculate with; None where that cannot be.
        backends: What each installed backend did.
        cores: How many this process may use.
        memory: Bytes that this process may use.
        python: Its version.
        results: The folder for results, as it was tried.
        told: What ``hpsearch run`` would say of what trains.
        problems: Why ``hpsearch run`` would not start; empty where it would.
    """

    driver: str | None
    amiss: str
    gpus: tuple[GpuInUse, ...]
    backend: str | None
    backends: dict[str, Compiler]
    cores: int
    memory: int
    python: str
    results: Soundness
    told: tuple[str, ...]
    problems: tuple[str, ...]


def survey(options: HardwareOptions, results: Path, asking: Callable[[str], None] = lambda _: None) -> Survey:
    """Look at this machine as ``hpsearch run`` would.

    Args:
        options: What that would be asked for.
        results: Its folder for results.
        asking: Told which backend is asked now, which takes some seconds.
    """
    told: list[str] = []
    problems: list[str] = []
    backend: str | None = None
    found: dict[str, Compiler] = {}
    try:
        slots = slots_for(options.devices)
        chosen = gpus_of(slots)
        for each in BACKENDS:
            if installed_version(each) is not None:
                asking(each)
                found[each] = compiler_of(each, slots[0].environment, chosen[0] if chosen else None)
        backend = choose_backend(options, None, told.append)
        choose_hardware(options, backend, None, told.append, lambda name, *_: found[name])
    except InputError as error:
        problems.append(str(error))
    try:
        sound = try_folder(results)
        problems += filter(None, [sound.sentence])
    except StudyError as error:
        sound = Soundness(results, file_system_of(results))
        problems.append(str(error))
    return Survey(
        driver=driver_version(),
        amiss=why_none(),
        gpus=tuple(GpuInUse(gpu, memory_used(gpu), holders(gpu)) for gpu in gpus()),
        backend=backend,
        backends=found,
        cores=cores(),
        memory=available_memory(),
        python=platform.python_version(),
        results=sound,
        told=tuple(told),
        problems=tuple(problems),
    )
