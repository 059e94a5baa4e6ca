"""A function called in a fresh process that runs on TensorFlow, for what no other backend can do."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hpsearch.errors import RunError

__all__ = ["on_tensorflow"]

_START = """
import importlib, pickle, sys
module, name, arguments, answer = sys.argv[1:]
with open(arguments, "rb") as file:
    given = pickle.load(file)
found = getattr(importlib.import_module(module), name)(*given)
with open(answer, "wb") as file:
    pickle.dump(found, file)
"""


def on_tensorflow(function: Any, *arguments: Any) -> Any:
    """What a function gives when Keras runs on TensorFlow, on the processor alone.

    Args:
        function: A function of a module, by whose name it is found there.
        arguments: What it is called with; plain values that travel between processes.

    Raises:
        RunError: TensorFlow is not installed, or the process failed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise RunError("Texts are looked up by TensorFlow, which is not installed; pip install tensorflow.")
    source = Path(__file__).resolve().parents[2]
    known = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")])),
    }
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder, "given"), Path(folder, "answer")
        given.write_bytes(pickle.dumps(arguments))
        done = subprocess.run(
            [sys.executable, "-c", _START, function.__module__, function.__qualname__, str(given), str(answer)],
            env=known,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RunError(f"A process that runs on TensorFlow failed: {done.stderr.strip().splitlines()[-1]}")
        return pickle.loads(answer.read_bytes())  # written by the process above
