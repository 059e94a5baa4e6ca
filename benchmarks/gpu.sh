#!/bin/sh
# The figures of a GPU with Keras on JAX, on a bare machine without a network:
#
#   benchmarks/gpu.sh stages          at most 240 s: a cold trial stage by stage, trials an hour beside Keras Tuner
#   benchmarks/gpu.sh sweep           at most 360 s: what the images allow, a search, its best on the test part
#   TINY=1 benchmarks/gpu.sh stages   the same on a few images, to see that it works where there is no GPU
#   TINY=3 benchmarks/gpu.sh stages   likewise, with three times the seconds, on a busy machine
#
# Files go to $OUT, which is results/reference/gpu if not set. `python benchmarks/gpu.py prepare` has to be run before, on
# a machine with a network; README.md beside this says what else the machine must have.
set -eu
case ${OUT:-/} in /*) ;; *) export OUT="$PWD/$OUT" ;; esac
cd "$(dirname "$0")/.."
export KERAS_BACKEND=jax
export XLA_PYTHON_CLIENT_PREALLOCATE=false # several processes share the device
unset XLA_CLIENT_MEM_FRACTION              # hpsearch says what share each has, in the older word for it
export PYTHONPATH="$PWD/search${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" benchmarks/gpu.py "$@" # in its place, so that a signal to this reaches all
