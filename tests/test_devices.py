"""Which GPUs are found, with recorded answers of nvidia-smi, and the slots that come of them."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hpsearch.errors import InputError
from hpsearch.executors import gpus as module
from hpsearch.executors import nvidia
from hpsearch.executors.base import Slot
from hpsearch.executors.devices import EXPECTS_GPU, memory_of, slots_for
from hpsearch.executors.gpus import driver_version, gpus, holders, memory_used, why_none

FIRST, SECOND = "GPU-6b2f1c1e-3a57-8f7c-1b0e-0d9d1a6f0001", "GPU-6b2f1c1e-3a57-8f7c-1b0e-0d9d1a6f0002"
MIG = "MIG-2c1b9a7e-5f0d-5f7a-9a3e-7c3d2b1a0f00"
TWO = f"0, {FIRST}, NVIDIA A100-SXM4-40GB, 40960\n1, {SECOND}, NVIDIA A100-SXM4-40GB, 40960\n"
SHARED_MEMORY = f"0, {FIRST}, NVIDIA GB10, [N/A]\n"
LOST = (
    f"0, {FIRST}, NVIDIA GeForce RTX 3090, 24576\n"
    "Unable to determine the device handle for GPU0000:41:00.0: Unknown Error\n"
)
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA "
    "driver is installed and running.\n"
)
INFORMATION = f"""Model: \t\t NVIDIA H200
IRQ:   \t\t 412
GPU UUID: \t {FIRST}
Video BIOS: \t 96.00.ce.00.01
Bus Type: \t PCIe
Bus Location: \t 0000:19:00.0
Device Minor: \t 0
GPU Excluded:\t No
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without a GPU, on which nobody chose one."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(module, "_DRIVER", tmp_path / "driver")
    monkeypatch.setattr(nvidia, "_WINDOWS", str(tmp_path / "nvidia-smi"))


@pytest.fixture
def nvidia_smi(tmp_path):
    """Put an ``nvidia-smi`` on the path that answers as recorded: ``nvidia_smi(text)``, others by their query."""

    def put(text, code=0, **others):
        command = tmp_path / "bin" / "nvidia-smi"
        command.parent.mkdir(exist_ok=True)
        answers = {
            "index,uuid,name,memory.total": text,
            **{name.replace("__", ","): said for name, said in others.items()},
        }
        command.write_text(
            f"#!{sys.executable}\nimport sys\nasked = sys.argv[1].split('=')[-1]\n"
            f"assert sys.argv[2:] in ([], ['--format=csv,noheader,nounits'])\n"
            f"sys.stdout.write({answers!r}.get(asked, ''))\nsys.exit({code})\n"
        )
        command.chmod(0o755)

    return put


def visible(slot):
    return dict(slot.environment).get("CUDA_VISIBLE_DEVICES")


def refused(devices, per_device=1):
    with pytest.raises(InputError) as caught:
        slots_for(devices, per_device)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFound:
    def test_with_their_memory(self, nvidia_smi):
        nvidia_smi(TWO)
        first, second = gpus()
        assert (first.number, first.uuid, first.name) == (0, FIRST, "NVIDIA A100-SXM4-40GB")
        assert (second.number, second.memory) == (1, 40960 * 2**20)

    def test_where_the_memory_is_not_said(self, nvidia_smi):
        nvidia_smi(SHARED_MEMORY)
        assert [gpu.memory for gpu in gpus()] == [None]

    def test_those_that_work_where_one_is_lost(self, nvidia_smi):
        nvidia_smi(LOST, code=15)
        assert [gpu.name for gpu in gpus()] == ["NVIDIA GeForce RTX 3090"]

    @pytest.mark.parametrize(("text", "code"), [("No devices were found\n", 6), (NO_DRIVER, 9), ("", 0)])
    def test_none(self, nvidia_smi, text, code):
        nvidia_smi(text, code)
        assert gpus() == ()

    def test_those_that_only_the_driver_lists(self, nvidia_smi, tmp_path):
        """Then the backend cannot use them either, perhaps; the worker will say so."""
        for bus in ("0000:19:00.0", "0000:3b:00.0"):
            tmp_path.joinpath("driver", bus).mkdir(parents=True)
            tmp_path.joinpath("driver", bus, "information").write_text(INFORMATION)
        found = gpus()
        assert [(gpu.number, gpu.uuid, gpu.name) for gpu in found] == [
            (0, FIRST, "NVIDIA H200"),
            (1, FIRST, "NVIDIA H200"),
        ]
        nvidia_smi(NO_DRIVER, 9)
        assert gpus() == found

    def test_those_that_an_old_driver_lists_in_its_own_way(self, nvidia_smi):
        nvidia_smi("", **{"-L": f"GPU 0: Tesla K80 (UUID: {FIRST})\nGPU 1: Tesla K80 (UUID: {SECOND})\n"})
        assert [(gpu.number, gpu.uuid, gpu.name, gpu.memory) for gpu in gpus()] == [
            (0, FIRST, "Tesla K80", None),
            (1, SECOND, "Tesla K80", None),
        ]


def in_group(process, group):
    """Whether a process that runs belongs to a group; a dead one may not have been fetched by its new parent yet."""
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.Error):
        return False


@pytest.mark.hosts
class TestAmiss:
    """An ``nvidia-smi`` that is no help counts as none, in a sentence, and nobody waits for it for long."""

    def test_it_fails(self, nvidia_smi):
        nvidia_smi(NO_DRIVER, 9)
        assert (gpus(), driver_version()) == ((), None)
        assert why_none().startswith("nvidia-smi failed with exit code 9 (NVIDIA-SMI has failed because it couldn't")

    @pytest.mark.parametrize("text", ["", "No devices were found\n", "\x00\xff GPU 0\n", "0, GPU, name\n"])
    def test_it_says_something_else(self, nvidia_smi, text):
        nvidia_smi(text)
        assert (gpus(), why_none()) == ((), "nvidia-smi lists no GPU")

    def test_it_is_no_program(self, nvidia_smi, tmp_path):
        nvidia_smi(TWO)
        tmp_path.joinpath("bin", "nvidia-smi").write_bytes(b"\x7fELF\0")
        assert (gpus(), why_none()) == ((), "nvidia-smi cannot be started (Exec format error)")

    def test_it_hangs_with_what_it_started(self, nvidia_smi, tmp_path, monkeypatch):
        """It is asked once, killed with its child, and not waited for where even that does not end it."""
        command, asked = tmp_path / "bin" / "nvidia-smi", tmp_path / "asked"
        nvidia_smi(TWO)
        command.write_text(f"#!/bin/sh\necho $$ >> {asked}\ntrap '' TERM\n/bin/sleep 600\n/bin/sleep 600\n")
        monkeypatch.setattr(nvidia, "PATIENCE", 0.3)
        assert (gpus(), driver_version(), why_none()) == ((), None, "nvidia-smi gave no answer within 0.3 s")
        (pid,) = asked.read_text().split()
        assert not [each for each in psutil.process_iter(["status"]) if in_group(each, int(pid))]

    def test_there_is_none(self):
        assert (gpus(), why_none(), driver_version()) == ((), "", None)

    def test_no_longer_than_five_seconds(self):
        assert nvidia.PATIENCE < 5


class TestInUse:
    def test_who_holds_the_memory(self, nvidia_smi, tmp_path):
        script, gone = tmp_path / "notebook.py", 2**22 + 1
        script.write_text("input()")
        running = subprocess.Popen([sys.executable, "-u", script], stdin=subprocess.PIPE)
        mine = running.pid
        held = (
            f"{SECOND}, {mine}, /usr/bin/python3, 30000\n{SECOND}, {gone}, /opt/a, b/train, [N/A]\n{FIRST}, 7, x, 1\n"
        )
        nvidia_smi(
            TWO,
            driver_version="580.65.06\n",
            **{"uuid,memory.used": f"{FIRST}, 5\n{SECOND}, 33000\n", "gpu_uuid,pid,process_name,used_memory": held},
        )
        first, second = gpus()
        assert driver_version() == "580.65.06"
        assert (memory_used(first), memory_used(second)) == (5 * 2**20, 33000 * 2**20)
        python, other = holders(second)
        assert (python.pid, python.memory) == (mine, 30000 * 2**20)
        assert python.name == "notebook.py", "what Python runs says more than its own name"
        running.communicate(b"\n")
        assert (other.pid, other.name, other.memory) == (gone, "train", None)

    def test_where_nothing_is_said(self, nvidia_smi):
        nvidia_smi(SHARED_MEMORY)
        (gpu,) = gpus()
        assert (memory_used(gpu), holders(gpu), driver_version()) == (None, (), None)


class TestChosenBefore:
    """``CUDA_VISIBLE_DEVICES`` as the user or a batch system set it."""

    @pytest.mark.parametrize(
        ("value", "left"),
        [
            ("1", [(1, "1")]),
            ("1,0", [(1, "1"), (0, "0")]),
            (SECOND, [(1, SECOND)]),
            (FIRST[:40], [(0, FIRST[:40])]),
            ("0,-1,1", [(0, "0")]),
            ("0,7", [(0, "0")]),
            (MIG, [(0, MIG)]),
            ("", []),
            ("-1", []),
            ("NoDevFiles", []),
        ],
    )
    def test_leaves_those_in_its_own_words(self, nvidia_smi, monkeypatch, value, left):
        nvidia_smi(TWO)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert [(gpu.number, gpu.token) for gpu in gpus()] == left
        slots = slots_for(None)
        if left:
            assert [(slot.device, visible(slot)) for slot in slots] == [(f"gpu {n}", token) for n, token in left]
            assert all("CUDA_DEVICE_ORDER" not in dict(slot.environment) for slot in slots), (
                "counted as the user counts"
            )
        else:
            assert [slot.device for slot in slots] == ["cpu"]

    def test_is_named_where_it_is_in_the_way(self, nvidia_smi, monkeypatch):
        nvidia_smi(TWO)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert refused("0") == ("--devices got \"0\"; this machine has GPU 1, for CUDA_VISIBLE_DEVICES is set to '1'.")


class TestSlots:
    @pytest.mark.parametrize("devices", [None, "all", "auto"])
    def test_every_gpu(self, nvidia_smi, devices):
        nvidia_smi(TWO)
        slots = slots_for(devices)
        assert [(slot.number, slot.device, slot.shared) for slot in slots] == [(0, "gpu 0", False), (1, "gpu 1", False)]
        assert dict(slots[1].environment) == {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": "1",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            EXPECTS_GPU: "1",
        }

    def test_those_that_were_named(self, nvidia_smi):
        nvidia_smi(TWO)
        assert [visible(slot) for slot in slots_for("1")] == ["1"]
        assert [visible(slot) for slot in slots_for(" 1, 0 ")] == ["1", "0"]

    def test_several_on_each(self, nvidia_smi):
        nvidia_smi(TWO)
        slots = slots_for("all", 2)
        assert [(slot.number, visible(slot)) for slot in slots] == [(0, "0"), (1, "0"), (2, "1"), (3, "1")]
        assert all(slot.shared for slot in slots)
        assert {dict(slot.environment)["XLA_PYTHON_CLIENT_MEM_FRACTION"] for slot in slots} == {"0.460"}

    def test_the_cpu_where_there_is_no_gpu(self):
        """The backend may still find what is not NVIDIA's, so that nothing is hidden from it."""
        assert slots_for(None) == slots_for("all") == (Slot(0, "cpu"),)

    def test_the_cpu_though_there_are_gpus(self, nvidia_smi):
        nvidia_smi(TWO)
        (slot,) = slots_for("CPU")
        assert slot == Slot(0, "cpu", (("CUDA_VISIBLE_DEVICES", "-1"), ("JAX_PLATFORMS", "cpu")))

    @pytest.mark.parametrize("count", [2, 3, 1000])
    def test_several_on_the_cpu_share_its_cores(self, count):
        slots = slots_for("cpu", count)
        assert [slot.number for slot in slots] == list(range(count))
        assert all(slot.device == "cpu" and slot.shared for slot in slots)
        share = str(max(1, len(psutil.Process().cpu_affinity()) // count))
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "PJRT_NPROC"):
            assert {dict(slot.environment)[name] for slot in slots} == {share}

    def test_what_there_is_not(self, nvidia_smi):
        assert refused("0") == '--devices got "0"; no NVIDIA GPU is to be seen here.'
        nvidia_smi(TWO)
        assert refused("3") == '--devices got "3"; this machine has GPU 0 and 1.'
        assert refused("0,2") == '--devices got "0,2"; this machine has GPU 0 and 1.'
        nvidia_smi(SHARED_MEMORY)
        assert refused("1") == '--devices got "1"; this machine has GPU 0.'

    @pytest.mark.parametrize("said", ["gpu", "gpu 0", "gpu:1", "cuda:0", "0,", "cpu,0", "-1", "0;1"])
    def test_what_cannot_be_understood(self, nvidia_smi, said):
        nvidia_smi(TWO)
        assert refused(said) == (
            f'--devices got "{said}"; say cpu, all, auto, or numbers of GPUs such as 0,1; this machine has GPU 0 and 1.'
        )

    def test_one_twice(self, nvidia_smi):
        nvidia_smi(TWO)
        assert "train several at once with --per-device" in refused("0,0")

    @pytest.mark.parametrize("count", [0, -1])
    def test_none_at_all(self, count):
        assert refused(None, count) == f"--per-device got {count}; it takes a whole number from 1."


class TestMemory:
    def test_of_a_gpu(self, nvidia_smi):
        nvidia_smi(TWO)
        assert [memory_of(slot, slots_for("0")) for slot in slots_for("0")] == [40960 * 2**20]
        slots = slots_for("all", 2)
        assert [memory_of(slot, slots) for slot in slots] == [20480 * 2**20] * 4
        nvidia_smi(SHARED_MEMORY)
        assert memory_of(slots[0], slots) is None

    def test_of_the_cpu(self):
        one, three = slots_for("cpu"), slots_for("cpu", 3)
        whole = memory_of(one[0], one)
        assert 0 < whole <= psutil.virtual_memory().total
        assert memory_of(three[2], three) == whole // 3


def test_no_backend_is_asked():
    """The coordinator knows its devices before Keras is loaded, which it never is in it."""
    code = (
        "import sys; import hpsearch.executors.devices; print(*(set(sys.modules) & {'keras', 'tensorflow', 'numpy'}))"
    )
    source = Path(__file__).resolve().parents[1] / "search"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
