#!/bin/sh
# The figures of a GPU, part by part; each part ends within nine minutes on one H200, without a network:
#
#   benchmarks/gpu.sh                      every part
#   benchmarks/gpu.sh step trials          some of: step pack trials sweep memory
#   TINY=1 benchmarks/gpu.sh step          the same on a few images, to see that it works where there is no GPU
#
# A bare machine needs JAX for its GPU and what `python benchmarks/gpu.py prepare` put into .gpu/ beside the repository:
# wheels and data. Figures go to $OUTPUT, which is results/reference/gpu if not given. `sweep` goes on with the study that
# it finds in .gpu/sweep.tar, and leaves its own in $OUTPUT; carry it there for the next call.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUTPUT=${OUTPUT:-results/reference/gpu}
export KERAS_BACKEND=jax
export XLA_PYTHON_CLIENT_PREALLOCATE=false # the device is shared with processes that a part starts
export PYTHONPATH="$PWD/search${PYTHONPATH:+:$PYTHONPATH}"

if ! "$PYTHON" -c 'import keras, keras_tuner, optuna' 2>/dev/null && [ -d .gpu/wheels ]; then
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target .gpu/site .gpu/wheels/*.whl
  export PYTHONPATH="$PYTHONPATH:$PWD/.gpu/site"
fi
mkdir -p "$OUTPUT"
for part in ${*:-step pack trials sweep memory}; do
  echo "== $part"
  "$PYTHON" benchmarks/gpu.py "$part" --output "$OUTPUT" ${TINY:+--tiny}
done
