"""The figures of a GPU, on a few images and without one: so that they can be had where one is."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
LATE = 3.0
"""A part is over so long after its seconds, on a busy machine too."""

RUN = """
import subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
from _gpu_run import Part, Plan, run

WORDS = {words!r}
PART = {part!r}

def start(setting):
    log = (setting.work / "log.txt").open("wb")
    words = [sys.executable, "-c", PART.replace("WORDS", WORDS[setting.part]), str(setting.work), setting.part]
    return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)

parts = tuple(Part(name, {seconds}, {seconds}, "Says it.") for name in WORDS)
sys.exit(run(Plan("stages", parts), Path({output!r}), tiny=0, begun=time.monotonic() + 4, start=start))
"""
PART = """
import json, os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
from _gpu_family import ending
def say(row, **figures):
    with Path(sys.argv[1], "said.jsonl").open("a") as file:
        print(json.dumps(dict(part=sys.argv[2], row=row, figures=figures)), file=file)
with ending(os.getppid(), time.monotonic() + 60, Path(sys.argv[1])):
    {words}
"""
SLEEP = str(500_000 + os.getpid())
FIGURE = "say('one', seconds=1.5)"
FAILS = "raise ValueError('it went wrong')"
HANGS = f"{FIGURE}; subprocess.Popen(['sleep', '{SLEEP}'], start_new_session=True); time.sleep(60)"


def started(tmp_path, seconds=1.0, **words):
    """A script with parts of its own, which says what they measured in ``tmp_path``."""
    places = {"benchmarks": str(BENCHMARKS), "output": str(tmp_path / "out")}
    program = RUN.format(**places, words=words, part=PART.format(**places, words="WORDS"), seconds=seconds)
    known = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, env=known)


def told(tmp_path, name="stages"):
    """What was written: the figures are whole JSON, and beside them stands a page."""
    assert (tmp_path / "out" / f"{name}.md").read_text().startswith(f"# {name}\n")
    return json.loads((tmp_path / "out" / f"{name}.json").read_text())


def sleepers():
    """The processes that the parts above leave hanging."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return found.count(f"sleep {SLEEP}")


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def wait_for(holds, seconds=10.0):
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.05)


class TestParts:
    def test_one_that_hangs_is_ended_with_its_children_and_the_next_runs(self, tmp_path):
        began = time.monotonic()
        assert started(tmp_path, hangs=HANGS, ends=FIGURE).wait(20) == 0
        assert time.monotonic() - began < 2 * 1.0 + LATE
        parts = told(tmp_path)["parts"]
        assert parts["hangs"]["ended"] == "out of time"
        assert parts["hangs"]["rows"] == parts["ends"]["rows"] == {"one": {"seconds": 1.5}}
        assert parts["ends"]["ended"] == "whole"
        assert sleepers() == 0
        assert left(tmp_path) == ["out"]
        assert left(tmp_path / "out") == ["stages.json", "stages.md"]

    def test_one_that_fails_stops_no_other_and_is_told(self, tmp_path):
        assert started(tmp_path, fails=FAILS, ends=FIGURE).wait(20) == 1
        parts = told(tmp_path)["parts"]
        assert parts["fails"]["ended"] == "failed: ValueError: it went wrong"
        assert parts["ends"]["rows"]
        assert "ValueError: it went wrong" in (tmp_path / "out" / "stages.md").read_text()

    def test_one_with_a_figure_that_fails_later_keeps_it(self, tmp_path):
        assert started(tmp_path, fails=f"{FIGURE}; {FAILS}").wait(20) == 0
        assert told(tmp_path)["parts"]["fails"]["rows"] == {"one": {"seconds": 1.5}}

    @pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_what_was_measured_before_a_kill_stays(self, tmp_path, kind):
        run = started(tmp_path, seconds=30.0, ends=FIGURE, hangs=HANGS)
        wait_for(lambda: sleepers() == 1)
        wait_for(lambda: told(tmp_path)["parts"]["hangs"]["rows"])
        run.send_signal(kind)
        assert run.wait(10) == (-kind if kind == signal.SIGKILL else 128 + kind)
        parts = told(tmp_path)["parts"]
        assert parts["ends"]["rows"] == parts["hangs"]["rows"] == {"one": {"seconds": 1.5}}
        assert parts["hangs"]["ended"] == ("cut off" if kind == signal.SIGKILL else "stopped")
        wait_for(lambda: not sleepers() and left(tmp_path) == ["out"])


def test_a_folder_that_is_too_large_to_be_carried_is_refused(tmp_path):
    text = f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import _gpu_data, pathlib"
    folder = tmp_path / "packed" / "data"
    folder.mkdir(parents=True)
    with (folder / "images.npz").open("wb") as file:
        file.truncate(61 * 2**20)
    command = [sys.executable, "-c", f"{text}; _gpu_data.check_size(pathlib.Path({str(folder.parent)!r}))"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "packed/ holds 61.0 MiB, and 60 MiB are allowed; take out what is not needed.\n"
    (folder / "images.npz").unlink()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="class")
def figures(request, tmp_path_factory):
    """A whole script on a few images: its exit code, and what it wrote."""
    output = tmp_path_factory.mktemp("gpu") / "out"
    known = {**os.environ, "TINY": "3", "OUT": str(output), "PYTHON": sys.executable}
    done = subprocess.run(
        ["sh", BENCHMARKS / "gpu.sh", request.cls.script], env=known, capture_output=True, text=True, check=False
    )
    assert output.exists(), done.stdout + done.stderr
    assert sorted(path.suffix for path in output.iterdir()) == list(request.cls.files)
    found = json.loads((output / f"{request.cls.script}.json").read_text())
    page = (output / f"{request.cls.script}.md").read_text()
    for text in (found["tiny"], page):
        assert "these are no figures" in text
    assert found["machine"]["platform"] == "cpu"
    assert set(found["machine"]) > {"cores", "processor", "device", "python", "jax", "torch", "keras"}
    missing = {name for name, part in found["parts"].items() if not part["rows"]} - {"picture"}
    assert missing == {name for name, package in request.cls.needs.items() if find_spec(package) is None}
    assert done.returncode == (1 if missing else 0)
    return found["parts"]


@pytest.mark.slow
@pytest.mark.jax
class TestStages:
    script, files, needs = "stages", (".json", ".md"), dict[str, str]()

    def test_a_cold_trial_is_told_stage_by_stage(self, figures):
        rows = figures["cold"]["rows"]
        for stage in ("measure", "build", "make ready", "first epoch: training"):
            assert rows[f"record, mixed_bfloat16: {stage}"]["seconds"] > 0
        for stage in ("build", "make ready", "first epoch: training"):
            row = rows[f"record, mixed_bfloat16: {stage}"]
            assert row["compilations"] > 0
            assert 0 < row["seconds_of_these"] < row["seconds"]

    def test_operations_are_checked(self, figures):
        assert {"erf is right", "exp is right"} < set(figures["install"]["rows"])

    def test_trials_an_hour(self, figures):
        rows = {**figures["trials"]["rows"], **figures["peer"]["rows"]}
        assert "hpsearch, processes: 1" in rows
        for row in rows.values():
            assert row["trials"] > 0
            assert row["trials_an_hour"] > 0


@pytest.mark.slow
@pytest.mark.jax
class TestSweep:
    script, needs = "sweep", {"ceiling": "torch"}
    files = (".json", ".md", *((".png",) if find_spec("matplotlib") else ()))

    def test_networks_made_by_hand_come_first(self, figures):
        assert figures["search"]["rows"]["search"]["curve"]
        assert {"usual", "record"} & set(figures["search"]["rows"])

    def test_the_best_is_tested_once(self, figures):
        (row,) = figures["refit"]["rows"].values()
        assert row["test_images"] == 100
        assert row["low"] <= row["test_accuracy"] <= row["high"]

    def test_levels_of_autotuning(self, figures):
        assert all(row["seconds"] > 0 for row in figures["autotune"]["rows"].values())
