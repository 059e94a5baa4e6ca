"""The figures of a GPU, on a few images and without one: so that they can be had where one is."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize(
    ("part", "holds"),
    [
        ("step", lambda found: all(row["device"] > 0 and row["fit"] > 0 for row in found["rows"])),
        ("pack", lambda found: all(each["rate"] > 0 for each in [*found["lanes"], *found["processes"]])),
        ("trials", lambda found: found["found"]["hpsearch, random"]["trials"] > 0),
        ("sweep", lambda found: found["trials"] > 0),
        ("memory", lambda found: found["ended"]["COMPLETE"] > 0 and found["ended"]["out_of_memory"] > 0),
    ],
)
def test_a_part_ends_with_figures(part, holds, tmp_path):
    if part == "trials" and find_spec("tensorboard") is None:
        pytest.skip("Keras Tuner needs tensorboard")
    done = subprocess.run(
        ["sh", ROOT / "benchmarks" / "gpu.sh", part],
        env={**os.environ, "TINY": "1", "OUTPUT": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / f"{part}.json").read_text())
    assert found["tiny"]
    assert holds(found)
    assert "these are no figures" in (tmp_path / f"{part}.md").read_text()
