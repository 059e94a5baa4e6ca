"""What hpsearch does on a GPU with Keras on JAX, part by part; `gpu.sh` calls it.

Claims nothing beforehand. Goals on one H200: ten times the trials an hour of Keras Tuner's random search at equal
epochs; on CIFAR-10 94 % on the test part after ten minutes of search, 96 % after an hour in pieces.

    python benchmarks/gpu.py prepare --data cifar10.npz     wheels and data for a machine without a network, in .gpu/
    python benchmarks/gpu.py step --output results/reference/gpu
    python benchmarks/gpu.py sweep --finals --output results/reference/gpu

`step` is images a second by `fit` and by the device engine, against the device's matrix products; `pack` is the same of
several trainings at a time; `trials` is trials an hour beside Keras Tuner; `sweep` searches `spaces/cifar_fast.py`, and
goes on where the last call ended; `memory` lets networks that are too large fail. `--tiny` does all of it on a few
images, where there is no GPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SECONDS = 500.0
"""A part may take so long, of the nine minutes that a call has."""
TINY = 100.0


def main() -> None:
    """Do one part."""
    parser = argparse.ArgumentParser(description="Figures of a GPU.")
    parser.add_argument("part", choices=("prepare", "step", "pack", "trials", "sweep", "memory"))
    parser.add_argument("--output", type=Path, default=Path("results/reference/gpu"), help="a folder")
    parser.add_argument("--tiny", action="store_true", help="a few images only")
    parser.add_argument("--seconds", type=float, help="how long the part may take")
    parser.add_argument("--finals", action="store_true", help="of sweep: finals and the test part as well")
    parser.add_argument("--data", type=Path, help="of prepare: CIFAR-10 as an .npz")
    parser.add_argument("--python", default="3.12", help="of prepare: the Python of the machine with the GPU")
    options = parser.parse_args()
    if options.part == "prepare":
        from _gpu_data import prepare

        prepare(options.data, options.python)
        return
    from _gpu import Setting

    seconds = options.seconds or (TINY if options.tiny else SECONDS)
    setting = Setting(options.output, options.tiny, seconds)
    if options.part == "step":
        from _gpu_step import step

        step(setting)
    elif options.part == "pack":
        from _gpu_pack import pack

        pack(setting)
    elif options.part == "trials":
        from _gpu_trials import trials

        trials(setting)
    elif options.part == "sweep":
        from _gpu_sweep import sweep

        sweep(setting, options.finals)
    else:
        from _gpu_memory import memory

        memory(setting)


if __name__ == "__main__":
    main()
