"""Which NVIDIA GPUs there are and who holds their memory, without a backend to ask."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from hpsearch.executors.nvidia import ask, found_command

__all__ = ["VISIBLE", "Gpu", "Holder", "driver_version", "gpus", "holders", "memory_used", "why_none"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")
_PLAIN = "--format=csv,noheader,nounits"
_QUERY = ("--query-gpu=index,uuid,name,memory.total", _PLAIN)


@dataclass(frozen=True)
class Gpu:
    """A GPU that may be used.

    Args:
        number: As ``nvidia-smi`` counts.
        uuid: What the driver calls it, or empty.
        name: What people call it.
        memory: Bytes, or None where the driver does not say.
        token: What names it in ``CUDA_VISIBLE_DEVICES``.
    """

    number: int
    uuid: str
    name: str
    memory: int | None
    token: str


@dataclass(frozen=True)
class Holder:
    """A process that holds memory of a GPU.

    Args:
        pid: The process.
        name: Of its program.
        memory: Bytes, or None where the driver does not say.
    """

    pid: int
    name: str
    memory: int | None


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this machine, those only that ``CUDA_VISIBLE_DEVICES`` leaves where that is set."""
    visible = os.environ.get(VISIBLE)
    if visible is not None and not _tokens(visible):
        return ()
    found = _asked() or _listed()
    return found if visible is None else _left(found, _tokens(visible))


def why_none() -> str:
    """Why no GPU is counted on although there is an ``nvidia-smi``; empty where there is none, or where GPUs are."""
    if found_command() is None or gpus() or os.environ.get(VISIBLE) is not None:
        return ""
    return f"nvidia-smi {ask(*_QUERY).problem or 'lists no GPU'}"


def driver_version() -> str | None:
    """The version of NVIDIA's driver, such as ``580.65.06``; None where it does not answer."""
    if not _asked():
        return None
    found = re.search(r"^\d+(\.\d+)+$", ask("--query-gpu=driver_version", _PLAIN).text, re.MULTILINE)
    return found[0] if found else None


def memory_used(gpu: Gpu) -> int | None:
    """How many bytes of a GPU's memory are in use now; None where the driver does not say.

    Args:
        gpu: It.
    """
    rows = ask("--query-gpu=uuid,memory.used", _PLAIN, anew=True).text if gpu.memory else ""
    found = re.search(rf"^{re.escape(gpu.uuid)}, (\d+)$", rows, re.MULTILINE)
    return int(found[1]) * 2**20 if found else None


def holders(gpu: Gpu) -> tuple[Holder, ...]:
    """The processes that calculate on a GPU now, those of this user's containers only where it is in one.

    Args:
        gpu: It.
    """
    rows = ask("--query-compute-apps=gpu_uuid,pid,process_name,used_memory", _PLAIN, anew=True).text
    found = re.findall(rf"^{re.escape(gpu.uuid)}, (\d+), (.*), ([^,\n]+)$", rows, re.MULTILINE) if gpu.uuid else []
    return tuple(
        Holder(int(pid), _program(int(pid), name), int(used) * 2**20 if used.isdigit() else None)
        for pid, name, used in found
    )


def _program(pid: int, name: str) -> str:
    """What a process runs, in a word: of a Python the module or script, such as ``ipykernel_launcher``."""
    words: list[str] = []
    with contextlib.suppress(psutil.Error):
        words = psutil.Process(pid).cmdline()[1:]
    program = Path(name).name
    named = [word for word in words if word and not word.startswith("-")]
    return Path(named[0]).name if named and "-c" not in words and program.startswith("python") else program


def _asked() -> tuple[Gpu, ...]:
    """What ``nvidia-smi`` says; nothing where there is none or it fails."""
    said = ask(*_QUERY)
    rows = [re.fullmatch(r"(\d+), (GPU-[^,]+), (.*), ([^,]+)", line.strip()) for line in said.text.splitlines()]
    found = [
        Gpu(int(row[1]), row[2], row[3], int(row[4]) * 2**20 if row[4].isdigit() else None, row[1])
        for row in rows
        if row is not None
    ]
    if not found and (said.text or not said.problem):  # not where it hangs
        rows = [re.fullmatch(r"GPU (\d+): (.*) \(UUID: (GPU-.*)\)", line) for line in ask("-L").text.splitlines()]
        found = [Gpu(int(row[1]), row[3], row[2], None, row[1]) for row in rows if row is not None]
    return tuple(found)


def _listed() -> tuple[Gpu, ...]:
    """What the driver lists, for machines without ``nvidia-smi``, in the order of the bus as that would."""
    found: list[Gpu] = []
    for file in sorted(_DRIVER.glob("*/information")):
        try:
            lines = [line.partition(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        except OSError:
            continue
        said = {name.strip(): value.strip() for name, _, value in lines}
        number = len(found)
        found.append(Gpu(number, said.get("GPU UUID", ""), said.get("Model", "GPU"), None, str(number)))
    return tuple(found)


def _tokens(visible: str) -> list[str]:
    """The devices that a value of ``CUDA_VISIBLE_DEVICES`` names; what follows one that is not valid does not count."""
    tokens: list[str] = []
    for token in (part.strip() for part in visible.split(",")):
        if not re.fullmatch(r"\d+|GPU-[\w-]+|MIG-[\w/-]+", token):
            break
        tokens.append(token)
    return tokens


def _left(found: tuple[Gpu, ...], tokens: list[str]) -> tuple[Gpu, ...]:
    """Those of the GPUs that are named, in the words in which they are named."""
    left = []
    for place, token in enumerate(tokens):
        fitting = [gpu for gpu in found if token == str(gpu.number) or (gpu.uuid and gpu.uuid.startswith(token))]
        if fitting:
            left.append(Gpu(fitting[0].number, fitting[0].uuid, fitting[0].name, fitting[0].memory, token))
        elif token.startswith("MIG-") and found:
            left.append(Gpu(place, token, "part of a GPU", None, token))
    return tuple(left)
