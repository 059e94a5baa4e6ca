"""``hpsearch devices``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import backend_option
from hpsearch.cli.output import console, on_terminal, results_option, say, size, tell

if TYPE_CHECKING:
    from hpsearch.executors.compiler import Compiler
    from hpsearch.survey import GpuInUse, Survey

__all__ = ["devices"]


@click.command(epilog="\b\nExample:\n  hpsearch devices\n  hpsearch devices --backend jax --results /mnt/share/results")
@click.option("--devices", "which", metavar="WHICH", help="As in hpsearch run: cpu, all, auto, or numbers of GPUs.")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="One object with full precision, nothing else.")
@results_option
def devices(which: str | None, backend: str | None, as_json: bool, results: Path) -> None:
    """Show what this machine has for training, and whether hpsearch run would start.

    The driver, the GPUs and who holds their memory, what each installed backend sees and whether it compiles for it,
    cores, memory, and whether the folder for results keeps a record safe. The exit code is 0 where hpsearch run would
    start with the same options, and 1 where not; then the last lines say what to do.
    """
    from hpsearch.hardware import HardwareOptions
    from hpsearch.survey import survey

    live = console().status("Looking ...") if on_terminal() and not as_json else None
    with live or nullcontext():
        found = survey(
            HardwareOptions(which, backend),
            results,
            lambda name: live.update(f"Asking {name} what it sees ...") if live else None,
        )
    if as_json:
        say(json.dumps(_record(found), indent=1))
    else:
        _print(found)
    if found.problems:
        raise SystemExit(1)


def _record(found: Survey) -> dict[str, Any]:
    return {
        "starts": not found.problems,
        "problems": list(found.problems),
        "trains_on": list(found.told),
        "driver": found.driver,
        "nvidia_smi": found.amiss or None,
        "gpus": [
            {
                "number": each.gpu.number,
                "name": each.gpu.name,
                "memory": each.gpu.memory,
                "used": each.used,
                "holders": [vars(holder) for holder in each.holders],
            }
            for each in found.gpus
        ],
        "backend": found.backend,
        "backends": {
            name: {
                "version": each.version or None,
                "gpu": each.gpu,
                "compiles": _compiles(each),
                "seconds": list(each.seconds),
                "problem": each.problem or None,
            }
            for name, each in found.backends.items()
        },
        "cores": found.cores,
        "memory": found.memory,
        "python": found.python,
        "results": {
            "folder": str(found.results.folder),
            "file_system": found.results.file_system.kind,
            "problem": found.results.sentence or None,
        },
    }


def _compiles(found: Compiler) -> str | None:
    """``yes``, ``no``, ``slow``; None where that was not tried."""
    return "no" if found.fails else "slow" if found.slow else "yes" if found.seconds else None


def _print(found: Survey) -> None:
    rows = [("driver", f"NVIDIA {found.driver}" if found.driver else found.amiss or "no NVIDIA driver answers")]
    rows += [(f"GPU {each.gpu.number}", _gpu(each)) for each in found.gpus]
    rows += [(name, _backend(each, name == found.backend)) for name, each in found.backends.items()]
    rows.append(("CPU", f"{found.cores} core{'' if found.cores == 1 else 's'}, {size(found.memory)} of memory"))
    rows.append(("Python", found.python))
    sound = "it cannot keep a record" if found.results.sentence else "locks, SQLite, rename and fsync work"
    rows.append(("results", f"{found.results.folder} on {found.results.file_system}: {sound}"))
    for name, text in rows:
        say(f"{name:<12}{text}")
    say()
    for sentence in found.told:
        tell(sentence)
    for problem in found.problems:
        tell(f"hpsearch run would not start: {problem}")


def _gpu(each: GpuInUse) -> str:
    parts = [each.gpu.name]
    if each.gpu.memory is not None:
        parts.append(f"{size(each.gpu.memory)} of memory")
    if each.used is not None:
        parts.append(f"{size(each.used)} in use")
    parts += [f"{holder.name} (process {holder.pid}) holds {size(holder.memory)}" for holder in each.holders]
    return ", ".join(parts)


def _backend(found: Compiler, taken: bool) -> str:
    if not found.version:
        return f"cannot be imported: {found.problem}"
    parts = [found.version, *([f"sees {found.gpu or 'no GPU'}"] if found.gpu != "" else [])]
    compiles = _compiles(found)
    if compiles is not None:
        took = f" ({', '.join(f'{seconds:.1f} s' for seconds in found.seconds)})" if found.seconds else ""
        words = {"yes": "compiles for it", "no": "cannot compile for it", "slow": "compiles slowly for it"}
        parts.append(f"{words[compiles]}{took}")
    problem = f": {found.problem}" if found.problem else ""
    return f"{', '.join(parts)}{problem}{'  <- hpsearch takes this one' if taken else ''}"
