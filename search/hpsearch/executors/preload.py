"""Imported once by the fork server, so that every worker forked from it has these modules already."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from hpsearch.printing import printing_to

# Ctrl-C while Keras is being imported ends the coordinator, and with it this process, without a traceback of its own.
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

with printing_to(Path(os.devnull)):  # TensorFlow greets on standard error whatever it is told
    import hpsearch.training.fit  # noqa: F401  # brings Keras and its backend
