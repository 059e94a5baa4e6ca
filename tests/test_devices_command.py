"""``hpsearch devices``: what it shows, as text and JSON, and its exit code."""

import json
from pathlib import Path

import pytest

from hpsearch.executors.compiler import Compiler
from hpsearch.executors.gpus import Gpu, Holder
from hpsearch.study.mounts import FileSystem
from hpsearch.study.soundness import Failure, Soundness

pytestmark = pytest.mark.hosts

CARD = Gpu(0, "GPU-1", "NVIDIA GeForce RTX 5090", 32 * 10**9, "0")
SOUND = Soundness(Path("results"), FileSystem("ext4", "/"))
NO_LOCKS = Soundness(Path("results"), FileSystem("nfs4", "/mnt"), (Failure("lock", "taking a lock fails (No locks)"),))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Have the machine answer: ``machine(gpus, compilers, sound)``."""

    def put(gpus=(), compilers=None, sound=SOUND):
        known = compilers or {"tensorflow": Compiler("2.21.0")}
        for module in ("survey", "hardware", "executors.devices"):
            monkeypatch.setattr(f"hpsearch.{module}.gpus", lambda: tuple(gpus))
        for module in ("survey", "hardware"):
            monkeypatch.setattr(f"hpsearch.{module}.memory_used", lambda gpu: 22 * 10**9)
            monkeypatch.setattr(
                f"hpsearch.{module}.holders", lambda gpu: (Holder(77, "ipykernel_launcher", 21 * 10**9),)
            )
            monkeypatch.setattr(f"hpsearch.{module}.driver_version", lambda: "580.65.06" if gpus else None)
        monkeypatch.setattr(
            "hpsearch.survey.installed_version", lambda name: known[name].version if name in known else None
        )
        monkeypatch.setattr("hpsearch.survey.compiler_of", lambda name, *_: known[name])
        monkeypatch.setattr("hpsearch.survey.try_folder", lambda folder: sound)

    monkeypatch.chdir(tmp_path)
    return put


def test_a_machine_without_a_gpu(machine, cli):
    machine()
    said = cli("devices")
    assert said.code == 0, said
    lines = said.out.splitlines()
    assert lines[0] == "driver      no NVIDIA driver answers"
    assert lines[1] == "tensorflow  2.21.0, sees no GPU  <- hpsearch takes this one"
    assert lines[-3] == "results     results on ext4 (/): locks, SQLite, rename and fsync work"
    assert lines[-1].startswith("Training on the CPU (")


def test_a_gpu_and_who_holds_it(machine, cli, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    machine(
        [CARD], {"tensorflow": Compiler("2.21.0", CARD.name, (0.41,)), "jax": Compiler("", problem="ImportError: x")}
    )
    said = cli("devices")
    assert said.code == 0, said
    assert said.out.splitlines()[:4] == [
        "driver      NVIDIA 580.65.06",
        f"GPU 0       {CARD.name}, 32.0 GB of memory, 22.0 GB in use, ipykernel_launcher (process 77) holds 21.0 GB",
        "tensorflow  2.21.0, sees NVIDIA GeForce RTX 5090, compiles for it (0.4 s)  <- hpsearch takes this one",
        "jax         cannot be imported: ImportError: x",
    ]
    assert "GPU 0: 22.0 GB of its 32.0 GB of memory are held by ipykernel_launcher (process 77)" in said.out
    found = json.loads(cli("devices", "--json").out)
    assert (found["starts"], found["problems"], found["driver"]) == (True, [], "580.65.06")
    assert found["gpus"][0]["holders"] == [{"pid": 77, "name": "ipykernel_launcher", "memory": 21 * 10**9}]
    assert found["backends"]["tensorflow"]["compiles"] == "yes"


@pytest.mark.parametrize(
    ("compiler", "shown", "compiles"),
    [
        (Compiler("2.21.0", CARD.name, (), "ended by signal 6"), "cannot compile for it: ended by signal 6", "no"),
        (Compiler("2.21.0", CARD.name, (9.1, 8.2)), "compiles slowly for it (9.1 s, 8.2 s)", "slow"),
    ],
)
def test_a_compiler_that_fails_does_not_keep_a_run_from_starting(machine, cli, monkeypatch, compiler, shown, compiles):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    machine([CARD], {"tensorflow": compiler})
    said = cli("devices")
    assert said.code == 0, said
    assert shown in said.out
    assert "TensorFlow trains without it (jit_compile=False)" in said.out
    assert json.loads(cli("devices", "--json").out)["backends"]["tensorflow"]["compiles"] == compiles


@pytest.mark.parametrize(
    ("gpus", "sound", "options", "problem"),
    [
        (
            [CARD],
            SOUND,
            (),
            "This machine has GPU 0 (NVIDIA GeForce RTX 5090), but TensorFlow sees no GPU; make it see",
        ),
        ([], NO_LOCKS, (), "results lies on nfs4 (/mnt), where taking a lock fails (No locks), so that nothing would"),
        (
            [],
            SOUND,
            ("--devices", "gpu:1"),
            '--devices got "gpu:1"; say cpu, all, auto, or numbers of GPUs such as 0,1;',
        ),
        ([], SOUND, ("--backend", "jx"), "--backend got 'jx'; allowed: tensorflow, jax, torch. Did you mean jax?"),
    ],
)
def test_where_a_run_would_not_start_it_says_why(machine, cli, monkeypatch, gpus, sound, options, problem):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    machine(gpus, sound=sound)
    said = cli("devices", *options)
    assert said.code == 1, said
    assert said.out.splitlines()[-1].startswith(f"hpsearch run would not start: {problem}")
    found = json.loads(cli("devices", "--json", *options).out)
    assert found["starts"] is False
    assert found["problems"][0].startswith(problem)
