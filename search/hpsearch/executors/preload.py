"""Imported once by the fork server, so that every worker forked from it has these modules already.

Whatever is set here, workers inherit: signals that are ignored, and variables that libraries read when they are loaded.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Ctrl-C, `kill` and a closed terminal reach the whole process group; the coordinator alone decides what they mean. They
# were held back while this process was started (see hpsearch.executors.server), and are forgotten from here on.
_KINDS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
for _kind in _KINDS:
    signal.signal(_kind, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, _KINDS)

from hpsearch.executors.process import end_with, name_server  # noqa: E402  # first the signals, then what takes longer

name_server()
end_with(int(os.environ.pop("HPSEARCH_COORDINATOR", "0")))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A GPU's memory is taken as it is needed, so that slots can share one and a killed worker's share is free at once.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# Threads that spin while they wait for work take the cores of other workers. OpenMP reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from hpsearch.printing import printing_to  # noqa: E402

with printing_to(Path(os.devnull)):  # TensorFlow greets on standard error whatever it is told
    import hpsearch.training.fit  # noqa: F401  # brings Keras and its backend
