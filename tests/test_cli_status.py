"""``hpsearch status`` and ``hpsearch stop`` beside a process that holds a study as a coordinator does."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.cli import stop as stop_command
from hpsearch.cli.run import run
from hpsearch.hardware import HardwareOptions
from hpsearch.launch import Request
from hpsearch.limits import Limits, Target
from hpsearch.study.asked import write_asked
from hpsearch.study.live import Live, read_live, write_live
from hpsearch.study.lock import boot_id
from hpsearch.study.requests import enqueue, stops
from hpsearch.study.trial import Trial
from studies import begin

SOURCE = Path(__file__).resolve().parents[1] / "search"
RECIPE = "Recipe(model=Model(body=ConvNet(stages=(Stage(filters=32),))), training=Training(epochs=4, batch_size=64))"

COORDINATOR = '''
"""Holds a study, says that it trains trials 1 and 2, and answers those who ask for an end."""
import sys, time
from pathlib import Path
from hpsearch.study.folder import StudyFolder
from hpsearch.study.live import Live, LiveSlot, write_live
from hpsearch.study.lock import Holder
from hpsearch.study.requests import answer, stops

study = StudyFolder(Path(sys.argv[1]))
here = Holder.here()
slots = [
    LiveSlot("gpu 0", 4001, 1, "by_hand", 3, 20, 12, 45, here.since - 65, 0.9312),
    LiveSlot("gpu 1", 4002, 2, "2", 1, 4, None, None, here.since, None),
    LiveSlot("gpu 2"),
]

def say(state, note=""):
    since = (here.pid, here.host, here.boot, here.since, time.time())
    write_live(study, Live(*since, 7200.0, state, note, slots, 28800.0, 100))

with study.writing():
    if "silent" not in sys.argv:
        say("running")
    print("ready", flush=True)
    while True:
        if "slow" in sys.argv:
            say("running")
        for request in stops(study) if len(sys.argv) == 2 else ():
            if request.trial is None:
                slots.clear()
                say("ended", "stopped by hpsearch stop")
                answer(request)
                sys.exit()
            trial = study.trial(request.trial).read()
            trial.state, trial.epochs, trial.score = "PRUNED", 3, 0.9312
            study.trial(request.trial).write(trial)
            answer(request)
        time.sleep(0.01)
'''


@pytest.fixture
def study(tmp_path):
    folder = begin(tmp_path / "results", subset=500)
    for trial in (
        Trial(0, "COMPLETE", score=0.9731, hash="a"),
        Trial(1, "RUNNING", baseline="by_hand", recipe=RECIPE),
        Trial(2, "RUNNING"),
        Trial(3, "FAIL", failure="crashed"),
        Trial(4, "FAIL", failure="out_of_memory"),
        Trial(5, "FAIL", failure="out_of_memory"),
        Trial(6, "PRUNED", score=0.5),
        Trial(7, "FAIL", failure="duplicate"),
    ):
        folder.trial(trial.number).write(trial)
    return folder


@pytest.fixture
def coordinator(study):
    """Start a process that holds the study; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def start(*how):
            environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
            started = subprocess.Popen(
                [sys.executable, "-c", COORDINATOR, study.path, *how],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(started.communicate)
            stack.callback(started.kill)
            assert started.stdout.readline() == "ready\n"
            return started

        yield start


@pytest.fixture
def ask(cli, study):
    """Run a command on the results of the study."""

    def run(*arguments):
        return cli(*arguments, "--results", study.path.parent)

    return run


def lines(said):
    assert said.code == 0, said
    return said.out.splitlines()


def ended(study, state="ended", note="the budget of 100 trials is used up", **more):
    """The last word of a run that nobody holds any more."""
    values = {"pid": 2**22 + 1, "host": os.uname().nodename, "boot": boot_id(), "started": 1.0, **more}
    write_live(study, Live(**values, updated=time.time() - 7200, seconds=5400.0, state=state, note=note))


class TestStatus:
    def test_a_run_that_goes_on(self, study, coordinator, ask):
        running = coordinator()
        enqueue(study, "mine", RECIPE, (), "abc")
        said = lines(ask("status"))
        assert re.fullmatch(rf"Study digits is running; held by process {running.pid} on \S+ since \S+ \S+\.", said[0])
        assert said[1] == (
            "Trials: 1 complete; 3 failed: 2 out_of_memory, 1 crashed; 1 pruned; 2 running (by_hand, 2)."
        )
        assert said[2] == "Queued: mine."
        assert said[3] == "Time: 2h 00m of 8h 00m over all runs."
        assert said[4] == "Best so far (max val_accuracy): trial 0, 0.9731."
        assert said[6].split() == ["Device", "Trial", "Epoch", "Step", "Score", "Time", "Process", "Recipe"]
        slots = [line.split() for line in said[7:]]
        assert slots[0][:6] == ["gpu", "0", "by_hand", "3/20", "12/45", "0.9312"]
        assert slots[0][-5:] == ["4001", "ConvNet", "32,", "batch", "64"]
        assert slots[1][:5] == ["gpu", "1", "2", "1/4", "-"]
        assert slots[2][:3] == ["gpu", "2", "idle"]

    def test_somebody_who_holds_it_and_says_nothing(self, study, coordinator, ask):
        """An export, or a run in its first moment; what an earlier run said last is not its word."""
        ended(study, state="running")
        holder = coordinator("silent")
        said = lines(ask("status"))
        assert said[0].startswith(f"Study digits is held by process {holder.pid} on ")
        assert said[0].endswith(", which has not said that it trains: an export, say.")
        assert "Device" not in " ".join(said)
        assert json.loads(ask("status", "--json").out)["state"] == "busy"

    def test_a_run_that_has_not_been_heard_of_for_long(self, study, coordinator, ask):
        running = coordinator("deaf")
        live = read_live(study)
        live.updated -= 600
        write_live(study, live)
        assert lines(ask("status"))[1] == "It has not been heard of for 10m 00s; it may be stopped or hang."
        assert running.poll() is None

    def test_a_run_that_ended(self, study, ask):
        ended(study)
        said = lines(ask("status"))
        assert re.fullmatch(
            r"Study digits: nothing runs; the last run ended [\d-]+ [\d:]+ \(2h 00m ago\): "
            r"the budget of 100 trials is used up\.",
            said[0],
        )
        assert said[1].endswith("2 open (by_hand, 2).")
        assert said[-1] == f"Go on with: hpsearch run spaces/digits.py --subset 500 --results {study.path.parent}"

    def test_the_command_says_all_that_the_study_was_begun_with(self, study, ask):
        """Without it the run would be refused, or would not find the data."""
        info = replace(study.info(), deterministic=True, skip_bad_images=True, data_dir="my data", epochs=7)
        study.write_info(info)
        ended(study)
        assert (
            "--subset 500 --epochs 7 --deterministic --skip-bad-images --data-dir 'my data'" in lines(ask("status"))[-1]
        )

    @pytest.mark.parametrize(
        ("most", "note", "said"),
        [
            ({"most_trials": 6}, "the budget of 6 trials is used up; extend it with a higher --trials", "--trials 12"),
            ({"most_trials": 0}, "nothing but these; search with a higher --trials", "--trials 20"),
            ({"most_seconds": 90.0}, "the time of 90 s is used up; extend it with a longer --for", "--for 3m"),
            ({}, "3 trials in a row were no improvement; go on with a higher --patience", "--patience 6"),
            ({"most_trials": 6}, "stopped by hpsearch stop", "--trials 6"),
        ],
    )
    def test_a_budget_that_is_used_up_is_doubled(self, study, ask, most, note, said):
        ended(study, note=note)
        write_live(study, replace(read_live(study), **most))
        write_asked(study, {"patience": 3})
        words = lines(ask("status"))[-1]
        assert f" {said} " in words
        name = said.split()[0]
        assert words.count(name) == 1

    def test_a_recipe_in_the_queue_is_trained_without_a_higher_budget(self, study, ask):
        ended(study, note="the budget of 6 trials is used up; extend it with a higher --trials")
        write_live(study, replace(read_live(study), most_trials=6))
        enqueue(study, "mine", RECIPE, (), "abc")
        assert " --trials 6 " in lines(ask("status"))[-1]

    def test_the_command_says_all_that_the_last_run_was_asked_for(self, study, ask):
        """What it says reads back as the same request."""
        ended(study)
        request = Request(
            Path("spaces/digits.py"),
            study.path.parent,
            limits=Limits(baselines=False, until=Target("val_auc", ">=", 0.9), patience=7, per_trial=5400.0),
            hardware=HardwareOptions("0,1"),
            per_device=2,
            keep=0,
            checkpoint_every=30.0,
        )
        write_asked(study, request.asked)
        words = shlex.split(lines(ask("status"))[-1].removeprefix("Go on with: hpsearch run "))
        read = run.make_context("run", words).params
        assert read["no_baselines"] is True
        assert (read["until"], read["patience"], read["per_trial"]) == (Target("val_auc", ">=", 0.9), 7, 5400.0)
        assert (read["devices"], read["per_device"], read["keep"]) == ("0,1", 2, 0)
        assert (read["checkpoint_every"], read["hang_timeout"]) == (30.0, 600.0)

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"lanes": 4}, "--per-device 4"),
            ({"lanes": 4, "per-device": 2}, "--per-device 2"),
            ({"lanes": 4, "per-device": "auto"}, "--per-device auto"),
        ],
    )
    def test_what_was_trained_in_lanes_goes_on_in_processes(self, study, ask, asked, said):
        """Lanes are what an earlier version knew."""
        ended(study)
        (study.path / "asked.json").write_text(json.dumps(asked))
        line = lines(ask("status"))[-1]
        assert line.count("--per-device") == 1
        assert f" {said} " in line
        assert "--lanes" not in line

    def test_what_the_last_run_was_asked_for_may_be_unreadable(self, study, ask):
        ended(study)
        (study.path / "asked.json").write_text("[")
        assert lines(ask("status"))[-1].startswith("Go on with: hpsearch run spaces/digits.py --subset 500 --results ")

    def test_a_run_that_was_killed(self, study, coordinator, ask):
        """Its last word is that it runs, and its lock file names it; both are old."""
        running = coordinator()
        running.kill()
        running.wait()
        said = lines(ask("status"))
        last = f"process {running.pid} on {os.uname().nodename}"
        assert said[0].startswith(f"Study digits: nothing runs; the last run, {last}, was killed; last seen ")
        assert "--trials 100 --for 8h" in said[-1]
        assert json.loads(ask("status", "--json").out)["state"] == "killed"

    def test_a_machine_that_went_down(self, study, ask):
        ended(study, state="running", note="", boot="another")
        assert ", ended when the machine went down; last seen " in lines(ask("status"))[0]

    def test_a_study_of_which_nobody_said_anything(self, study, ask):
        assert lines(ask("status"))[0] == "Study digits: nothing runs, and no run has said how it ended."
        (study.path / "run.json").write_text("{")
        assert lines(ask("status"))[0] == "Study digits: nothing runs, and no run has said how it ended."

    def test_a_request_that_cannot_be_read_is_said(self, study, ask):
        bad = enqueue(study, "mine", RECIPE, (), "abc").path
        bad.write_text("{")
        assert lines(ask("status"))[2].startswith(f"{bad} is not a recipe that was enqueued (")
        assert json.loads(ask("status", "--json").out)["queued"] == []

    def test_as_json(self, study, coordinator, ask):
        running = coordinator()
        said = json.loads(ask("status", "--json").out)
        assert (said["state"], said["running"], said["pid"], said["go_on"]) == ("running", True, running.pid, None)
        assert said["slots"][0]["score"] == 0.9312
        assert said["trials"] == {"COMPLETE": 1, "PRUNED": 1, "FAIL": 3}
        assert said["failures"] == {"crashed": 1, "out_of_memory": 2}
        assert said["open"] == [1, 2]
        assert said["best"] == {"trial": "0", "number": 0, "score": 0.9731}
        assert said["seconds"] >= 7200

    def test_as_json_when_nothing_runs(self, study, ask):
        said = json.loads(ask("status", "--json").out)
        assert (said["state"], said["note"], said["pid"], said["seconds"]) == ("ended", "", None, None)
        ended(study)
        said = json.loads(ask("status", "--json").out)
        assert said["note"] == "the budget of 100 trials is used up"
        assert said["go_on"].startswith("hpsearch run spaces/digits.py")

    def test_it_starts_with_nothing_heavy(self):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "import hpsearch.cli.status, hpsearch.cli.stop, hpsearch.cli.clean, hpsearch.cli.enqueue\n"
            "print(*sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(SOURCE)], capture_output=True, text=True, check=True)
        assert not {"keras", "tensorflow", "optuna", "numpy", "pandas", "rich", "psutil"} & set(done.stdout.split())


class TestStop:
    def test_a_run(self, study, coordinator, ask):
        running = coordinator()
        said = lines(ask("stop"))
        assert said[-1] == (
            "Study digits has stopped: stopped by hpsearch stop. Open, to be gone on with: by_hand, 2. Go on with: "
            f"hpsearch run spaces/digits.py --trials 100 --for 8h --subset 500 --results {study.path.parent}"
        )
        assert running.wait() == 0
        assert stops(study) == []

    @pytest.mark.parametrize("name", ["1", "by_hand"])
    def test_a_trial(self, study, coordinator, ask, name):
        running = coordinator()
        said = lines(ask("stop", name))
        assert said[-1] == "Trial by_hand has ended after 3 epochs, score 0.9312."
        assert running.poll() is None
        assert study.held

    @pytest.mark.parametrize("name", ["0", "7", "by_hans"])
    def test_a_trial_that_does_not_run(self, study, coordinator, ask, name):
        coordinator()
        assert ask("stop", name).sentence == (
            f"Trial '{name}' of study digits does not run; those that do: by_hand (gpu 0), 2 (gpu 1)."
        )
        assert stops(study) == []

    def test_nothing_runs(self, study, ask):
        for arguments in (["stop"], ["stop", "1"]):
            assert ask(*arguments).sentence == ("Nothing runs on study digits; see: hpsearch status --study digits")
        assert stops(study) == []

    def test_a_run_that_does_not_answer(self, study, coordinator, ask, monkeypatch):
        monkeypatch.setattr(stop_command, "PATIENCE", 0.1)
        running = coordinator("deaf")
        said = ask("stop")
        assert said.code == 1
        assert said.err.strip().endswith(f"To end it at once: kill -9 {running.pid}")
        assert [request.trial for request in stops(study)] == [None]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "Study digits is stopping and takes its time; see: hpsearch status --study digits"),
            (["2"], "Trial 2 was told to stop and takes its time; see: hpsearch status --study digits"),
        ],
    )
    def test_a_run_that_is_heard_of_and_not_so_far(self, study, coordinator, ask, monkeypatch, arguments, sentence):
        monkeypatch.setattr(stop_command, "PATIENCE", 1.0)
        coordinator("slow")
        assert lines(ask("stop", *arguments))[-1] == sentence
        assert len(stops(study)) == 1

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "Study digits has stopped. Open, to be gone on with: by_hand, 2."),
            (["2"], "The run on study digits has ended; trial 2 is open."),
        ],
    )
    def test_a_run_that_is_killed_while_it_is_asked(self, study, coordinator, ask, monkeypatch, arguments, sentence):
        running = coordinator("deaf")
        asked = stop_command.request_stop

        def ask_and_kill(*arguments):
            path = asked(*arguments)
            running.kill()
            running.wait()
            return path

        monkeypatch.setattr(stop_command, "request_stop", ask_and_kill)
        assert lines(ask("stop", *arguments))[-1].startswith(sentence)
        assert stops(study) == []
