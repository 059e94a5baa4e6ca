"""What hpsearch does on a GPU with Keras on JAX, on a clock; `gpu.sh` calls it.

Claims nothing beforehand. Goals on one H200: ten times the trials an hour of Keras Tuner's random search at equal
epochs; on CIFAR-10 94 % on the test part after some minutes of search.

    python benchmarks/gpu.py prepare --data cifar10.npz     wheels and images for a machine without a network, in .gpu/
    python benchmarks/gpu.py stages                         where the seconds of a trial go, and trials an hour
    python benchmarks/gpu.py sweep                          a search of `spaces/cifar_fast.py`, and its best, tested
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from _gpu import ROOT, Setting
from _gpu_family import age, ending
from _gpu_run import Part, Plan, run

INSTALL = "Seconds until what is missing was installed and the images were decoded; and whether JAX calculates rightly."
COLD = (
    "A trial in a new process that knows no compiled program, stage by stage: seconds, compilations by XLA, and "
    "seconds of these; some epochs, then reckoned for all of the recipe."
)
TRIALS = (
    "Random search of the space of the race, 12 epochs a trial, from the first trial's start to the last one's end."
)
PLANS = {
    "stages": Plan(
        "stages",
        (
            Part("install", 25, 8, INSTALL, seeds=0, first=True),
            Part("cold", 75, 40, COLD, grows=True),
            Part("trials", 70, 40, TRIALS),
            Part("peer", 70, 18, f"Keras Tuner's RandomSearch on JAX: same images, choices and epochs. {TRIALS}"),
        ),
    ),
    "sweep": Plan(
        "sweep",
        (
            Part("install", 20, 8, INSTALL, seeds=0, first=True),
            Part(
                "ceiling", 25, 10, "What these images allow: a network of airbench's kind, on the test part.", seeds=3
            ),
            Part("search", 245, 42, "Search of `spaces/cifar_fast.py`, the networks made by hand first.", grows=True),
            Part(
                "refit", 40, 34, "The best of the search, trained again on train and validation; the test part, once."
            ),
            Part("autotune", 25, 12, "A cold trial of two epochs by `--xla_gpu_autotune_level`, all at the same time."),
            Part("picture", 5, 4, "The best validation accuracy over the minutes.", seeds=0, wanted=False),
        ),
    ),
}
FUNCTIONS = {
    "install": "_gpu_install",
    "smoke": "_gpu_install",
    "cold": "_gpu_cold",
    "trial": "_gpu_cold",
    "autotune": "_gpu_cold",
    "trials": "_gpu_trials",
    "peer": "_gpu_trials",
    "ceiling": "_gpu_ceiling",
    "search": "_gpu_sweep",
    "refit": "_gpu_sweep",
    "picture": "_gpu_sweep",
}
"""The module of each part, and of what runs below one."""


def main() -> None:
    """Do what is asked."""
    begun = time.monotonic() - age()
    parser = argparse.ArgumentParser(description="Figures of a GPU.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in PLANS:
        commands.add_parser(name, help="figures, in $OUT or results/reference/gpu")
    prepare = commands.add_parser("prepare", help="wheels and images for a machine without a network")
    prepare.add_argument("--data", type=Path, help="CIFAR-10 as an .npz")
    prepare.add_argument("--python", default="3.12", help="the Python of the machine with the GPU")
    part = commands.add_parser("part", help="what the others start")
    part.add_argument("function", choices=FUNCTIONS)
    part.add_argument("setting")
    options = parser.parse_args()
    if options.command == "prepare":
        import_module("_gpu_data").prepare(options.data, options.python)
    elif options.command == "part":
        _part(options.function, json.loads(options.setting))
    else:
        output = Path(os.environ.get("OUT") or ROOT / "results" / "reference" / "gpu")
        sys.exit(run(PLANS[options.command], output, tiny=float(os.environ.get("TINY") or 0), begun=begun))


def _part(function: str, given: dict[str, object]) -> None:
    setting = Setting.heard(given)
    with ending(int(str(given["parent"])), setting.deadline, None if setting.job else setting.work):
        getattr(import_module(FUNCTIONS[function]), function)(setting)


if __name__ == "__main__":
    main()
