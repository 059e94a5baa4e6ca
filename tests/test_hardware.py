"""What trains is decided before the first worker: machines are simulated by what nvidia-smi and a backend answer."""

import json
import os
import sys
import textwrap

import pytest

from hpsearch.errors import InputError
from hpsearch.executors import compiler as module
from hpsearch.executors.backend import VARIABLE, backend_of_keras, use_backend
from hpsearch.executors.compiler import Compiler, compiler_of
from hpsearch.executors.gpus import gpus
from hpsearch.hardware import Hardware, HardwareOptions, choose_backend, choose_hardware
from hpsearch.spacefile import frameworks_imported
from studies import info_of

pytestmark = pytest.mark.hosts

UUID, OTHER = "GPU-6b2f1c1e-3a57-8f7c-1b0e-0d9d1a6f0001", "GPU-6b2f1c1e-3a57-8f7c-1b0e-0d9d1a6f0002"
ONE = f"0, {UUID}, NVIDIA GeForce RTX 5090, 32607\n"
TWO = f"{ONE}1, {OTHER}, NVIDIA GeForce RTX 4090, 24564\n"
PTX = "F0000 llvm_gpu_backend.cc: PTX version 8.5 does not support target 'sm_120a'."

TENSORFLOW = """
import os, sys, time
__version__ = "2.21.0"

class config:
    def list_physical_devices(kind):
        return {gpus}
    class experimental:
        def get_device_details(device):
            return {{"device_name": "NVIDIA GeForce RTX 5090"}}

class nn:
    relu = staticmethod(lambda x: x)

class Tensor:
    def numpy(self):
        return 1.0
    def __add__(self, other):
        return self

ones = lambda shape: Tensor()
matmul = lambda a, b: a

def function(program, jit_compile):
    with open(os.environ["COMPILED"], "a") as file:
        file.write("compiled\\n")
    {compiles}
    return program
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine of nobody's: no GPU, an empty cache, no wish in the environment."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", VARIABLE, "HPSEARCH_XLA"):
        monkeypatch.setenv(name, "")  # so that whatever is set is undone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HPSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("COMPILED", str(tmp_path / "compiled"))
    monkeypatch.setattr("hpsearch.executors.gpus._DRIVER", tmp_path / "driver")
    monkeypatch.setattr("hpsearch.executors.nvidia._WINDOWS", str(tmp_path / "nvidia-smi"))


@pytest.fixture
def driver(tmp_path):
    """Have a driver answer: ``driver(text)``, with its version and who holds memory."""

    def put(text=ONE, version="580.65.06", used="", apps=""):
        command = tmp_path / "bin" / "nvidia-smi"
        command.parent.mkdir(exist_ok=True)
        answers = {
            "index,uuid,name,memory.total": text,
            "driver_version": version + "\n",
            "uuid,memory.used": used,
            "gpu_uuid,pid,process_name,used_memory": apps,
        }
        command.write_text(
            f"#!{sys.executable}\nimport sys\nsys.stdout.write({answers!r}.get(sys.argv[1].split('=')[-1], ''))\n"
        )
        command.chmod(0o755)

    return put


@pytest.fixture
def tensorflow(tmp_path, monkeypatch):
    """Have a TensorFlow of a few lines see GPUs and compile: ``tensorflow(compiles, gpus)``."""

    def put(compiles="pass", gpus='["GPU"]'):
        folder = tmp_path / "installed"
        folder.mkdir(exist_ok=True)
        folder.joinpath("tensorflow.py").write_text(TENSORFLOW.format(gpus=gpus, compiles=compiles))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    return put


def times_compiled(tmp_path):
    file = tmp_path / "compiled"
    return file.read_text().count("compiled") if file.exists() else 0


def chosen(devices=None, backend="tensorflow", xla=None, info=None):
    """What is chosen, and what is said of it."""
    told = []
    found = choose_hardware(HardwareOptions(devices, xla=xla), backend, info, told.append)
    return found, told


class TestCompiler:
    def test_one_that_works_is_tried_once_for_a_driver_card_and_versions(self, driver, tensorflow, tmp_path):
        driver()
        tensorflow()
        (gpu,) = gpus()
        found = compiler_of("tensorflow", gpu=gpu)
        assert (found.version, found.gpu, found.problem) == ("2.21.0", "NVIDIA GeForce RTX 5090", "")
        assert (found.fails, found.slow, len(found.seconds)) == (False, False, 1)
        assert times_compiled(tmp_path) == 2, "the first does not count"
        assert compiler_of("tensorflow", gpu=gpu) == found
        assert times_compiled(tmp_path) == 2
        driver(version="590.10")
        compiler_of("tensorflow", gpu=gpu)
        assert times_compiled(tmp_path) == 4

    def test_one_that_ends_the_process(self, driver, tensorflow, tmp_path):
        driver()
        tensorflow(f"sys.stderr.write({PTX!r}); sys.stderr.flush(); os.abort()")
        (gpu,) = gpus()
        found = compiler_of("tensorflow", gpu=gpu)
        assert found.fails
        assert found.problem == f"ended by signal 6 ({PTX})"
        assert compiler_of("tensorflow", gpu=gpu) == found
        assert times_compiled(tmp_path) == 1

    def test_one_that_dies_before_it_can_say_what_it_sees(self, driver, tensorflow):
        """Whether there is a GPU the worker finds out; without the compiler it may live."""
        driver()
        tensorflow(gpus="os.abort()")
        found = compiler_of("tensorflow", gpu=gpus()[0])
        assert (found.gpu, found.fails, found.problem) == ("", True, "ended by signal 6")
        assert chosen()[0].xla == "no"

    def test_one_that_raises(self, driver, tensorflow):
        driver()
        tensorflow('raise RuntimeError("no kernel image is available\\nfor execution on the device")')
        found = compiler_of("tensorflow", gpu=gpus()[0])
        assert (found.fails, found.problem) == (True, "RuntimeError: no kernel image is available")

    def test_one_that_is_slow_twice_in_a_row_may_be_another_day_faster(self, driver, tensorflow, tmp_path, monkeypatch):
        driver()
        clock = "time.perf_counter = (lambda real: lambda: real() + 6 * {slow})(time.perf_counter)"
        tensorflow(clock.format(slow="True"))
        (gpu,) = gpus()
        found = compiler_of("tensorflow", gpu=gpu)
        assert found.slow
        assert [round(each) for each in found.seconds] == [6, 6]
        assert not found.fails
        tensorflow()
        assert not compiler_of("tensorflow", gpu=gpu).slow

    def test_one_that_is_slow_once_is_not_slow(self, driver, tensorflow):
        driver()
        late = "2 == open(os.environ['COMPILED']).read().count('compiled')"
        tensorflow(f"time.perf_counter = (lambda real, late: lambda: real() + 6 * late)(time.perf_counter, {late})")
        found = compiler_of("tensorflow", gpu=gpus()[0])
        assert [round(each) for each in found.seconds] == [6, 0]
        assert not found.slow

    def test_want_of_memory_is_no_fault_of_it_and_may_pass(self, driver, tensorflow, tmp_path):
        driver()
        tensorflow('raise MemoryError("RESOURCE_EXHAUSTED: Out of memory")')
        (gpu,) = gpus()
        assert not compiler_of("tensorflow", gpu=gpu).fails
        compiler_of("tensorflow", gpu=gpu)
        assert times_compiled(tmp_path) == 2

    def test_one_that_hangs_is_ended_with_what_it_said(self, driver, tensorflow, monkeypatch):
        driver()
        tensorflow("time.sleep(600)")
        monkeypatch.setattr(module, "LIMIT", 1.0)
        found = compiler_of("tensorflow", gpu=gpus()[0])
        assert (found.gpu, found.problem) == ("NVIDIA GeForce RTX 5090", "gave no answer within 1 s")
        assert found.fails

    def test_nothing_is_kept_where_no_gpu_is_seen(self, driver, tensorflow, tmp_path):
        driver()
        tensorflow(gpus="[]")
        (gpu,) = gpus()
        assert compiler_of("tensorflow", gpu=gpu) == Compiler("2.21.0")
        tensorflow()
        assert compiler_of("tensorflow", gpu=gpu).gpu

    def test_a_cache_that_cannot_be_written_is_done_without(self, driver, tensorflow, tmp_path):
        driver()
        tensorflow()
        tmp_path.joinpath("cache").write_text("a file")
        assert compiler_of("tensorflow", gpu=gpus()[0]).gpu

    def test_one_that_is_not_there(self, monkeypatch, tmp_path):
        empty = tmp_path / "jax.py"
        empty.write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        found = compiler_of("jax")
        assert (found.version, found.gpu) == ("", None)
        assert found.problem == "ImportError: libcudart.so.12: cannot open shared object file"


class TestHardware:
    def test_the_cpu(self):
        found, told = chosen()
        assert found == Hardware("tensorflow", None, "auto")
        (sentence,) = told
        assert sentence.startswith("Training on the CPU (")
        assert sentence.endswith(".")

    def test_the_cpu_though_there_is_an_nvidia_smi(self, driver):
        driver("garbage\n")
        (sentence,) = chosen()[1]
        assert sentence.endswith("; nvidia-smi lists no GPU, so no GPU is counted on.")

    def test_a_gpu(self, driver, tensorflow):
        driver()
        tensorflow()
        found, told = chosen()
        assert found == Hardware("tensorflow", None, "auto")
        assert told == [
            "Trying TensorFlow on GPU 0 (NVIDIA GeForce RTX 5090), once for this driver; it may take minutes ...",
            "Training on GPU 0 (NVIDIA GeForce RTX 5090) with TensorFlow 2.21.0.",
        ]
        assert chosen()[1] == told[1:]

    def test_a_gpu_that_the_backend_does_not_see_is_refused(self, driver, tensorflow):
        driver(TWO)
        tensorflow(gpus="[]")
        with pytest.raises(InputError) as caught:
            chosen()
        said = str(caught.value)
        assert said.startswith(
            "This machine has GPUs 0 and 1 (NVIDIA GeForce RTX 5090, NVIDIA GeForce RTX 4090), but TensorFlow sees no "
            "GPU; make it see one with: "
        )
        assert "-m pip install -e '.[gpu]' -c constraints.txt" in said
        assert said.endswith(", or train on the CPU with --devices cpu.")

    def test_where_its_libraries_are_there_already_the_driver_is_looked_at(self, driver, tensorflow, monkeypatch):
        driver()
        tensorflow(gpus="sys.stderr.write('E0000 x.cc:52] failed call to cuInit: CUDA error 303\\n') and []")
        monkeypatch.setattr("hpsearch.executors.backend._version", lambda name: "12.9")
        with pytest.raises(InputError) as caught:
            chosen()
        assert str(caught.value) == (
            "This machine has GPU 0 (NVIDIA GeForce RTX 5090), but TensorFlow sees no GPU (failed call to cuInit: CUDA "
            "error 303); its CUDA libraries are installed, so look at the driver (580.65.06) and who may use it: "
            "nvidia-smi, or train on the CPU with --devices cpu."
        )

    def test_where_that_is_allowed_the_cpu_takes_its_place(self, driver, tensorflow):
        driver()
        tensorflow(gpus="[]")
        found, told = chosen("auto")
        assert found == Hardware("tensorflow", "cpu", "auto")
        assert told[-1].startswith("Training on the CPU: this machine has GPU 0 (NVIDIA GeForce RTX 5090), but")

    def test_without_a_gpu_auto_leaves_the_backend_to_what_it_finds(self):
        assert chosen("auto")[0] == Hardware("tensorflow", None, "auto")

    def test_tensorflow_goes_on_without_a_compiler_that_fails(self, driver, tensorflow):
        driver()
        tensorflow("os.abort()")
        found, told = chosen()
        assert found == Hardware("tensorflow", None, "no")
        assert told[-2] == (
            "XLA cannot compile for this GPU (ended by signal 6): TensorFlow trains without it (jit_compile=False); "
            "--xla yes insists on it."
        )
        assert told[-1].endswith("with TensorFlow 2.21.0, without XLA.")
        assert os.environ["HPSEARCH_XLA"] == "no"

    def test_every_kind_of_card_is_tried(self, driver, tensorflow):
        driver(TWO)
        tensorflow("os.environ['CUDA_VISIBLE_DEVICES'] == '1' and os.abort()")
        assert chosen()[0].xla == "no"
        assert chosen("0")[0].xla == "auto"

    @pytest.mark.parametrize("xla", ["yes", "no"])
    def test_what_was_said_or_recorded_is_not_tried(self, driver, tensorflow, tmp_path, xla):
        driver()
        tensorflow("os.abort()")
        assert chosen(xla=xla)[0].xla == xla
        assert chosen(info=info_of(xla=xla))[0].xla == xla
        assert times_compiled(tmp_path) == 0
        assert chosen(xla="auto", info=info_of(xla=xla))[0].xla == "no"

    def test_jax_is_refused_where_it_fails(self, driver):
        driver()
        told = []
        failed = Compiler("0.11.0", "NVIDIA GeForce RTX 5090", (), "XlaRuntimeError: no PTX")
        with pytest.raises(
            InputError, match=r"^JAX cannot compile for this GPU: XlaRuntimeError: no PTX\. Try a newer"
        ):
            choose_hardware(HardwareOptions(), "jax", None, told.append, lambda *_: failed)

    def test_jax_is_warned_of_where_it_crawls(self, driver):
        driver()
        told = []
        slow = Compiler("0.11.0", "NVIDIA GeForce RTX 5090", (81.2, 127.0))
        assert choose_hardware(HardwareOptions(), "jax", None, told.append, lambda *_: slow).xla == "auto"
        assert told[0].startswith("JAX took 81 s to compile something trivial on this GPU, twice")

    def test_tensorflow_goes_on_without_a_compiler_that_crawls(self, driver):
        driver()
        told = []
        slow = Compiler("2.21.0", "NVIDIA GeForce RTX 5090", (81.2, 127.0))
        assert choose_hardware(HardwareOptions(), "tensorflow", None, told.append, lambda *_: slow).xla == "no"
        assert told[0].startswith("XLA took 81 s to compile something trivial for this GPU, twice: TensorFlow trains")

    def test_memory_that_a_notebook_holds_is_said_first(self, driver, tensorflow):
        driver(used=f"{UUID}, 21000\n", apps=f"{UUID}, 4194305, /opt/conda/bin/python3.12, 20480\n")
        tensorflow()
        assert chosen()[1][-2] == (
            "GPU 0: 22.0 GB of its 34.2 GB of memory are held by python3.12 (process 4194305), a notebook perhaps; end "
            "that, or choose another device with --devices."
        )

    @pytest.mark.parametrize(
        ("used", "apps", "who"),
        [
            (f"{UUID}, 700\n", "", None),
            (f"{UUID}, 700\n", f"{UUID}, 4194305, Xorg, 600\n", None),
            (f"{UUID}, 9000\n", "", "processes that are not shown"),
            ("garbage", "garbage", None),
        ],
    )
    def test_memory_that_others_hold(self, driver, tensorflow, used, apps, who):
        driver(used=used, apps=apps)
        tensorflow()
        told = [sentence for sentence in chosen()[1] if "are held by" in sentence]
        assert len(told) == (who is not None)
        assert who is None or who in told[0]


class TestBackend:
    def test_of_keras(self, monkeypatch, tmp_path):
        assert backend_of_keras() == "tensorflow"
        tmp_path.joinpath("keras").mkdir()
        tmp_path.joinpath("keras", "keras.json").write_text(json.dumps({"backend": "jax"}))
        assert backend_of_keras() == "jax"
        monkeypatch.setenv(VARIABLE, "torch")
        assert backend_of_keras() == "torch"

    def test_said_recorded_or_of_the_environment(self, monkeypatch):
        assert use_backend(None) == ("tensorflow", "")
        assert os.environ[VARIABLE] == "tensorflow", "so that workers, too, take it"
        assert use_backend("tensorflow", "tensorflow", "ants") == ("tensorflow", "")
        monkeypatch.setenv(VARIABLE, "jax")
        backend, note = use_backend(None, "tensorflow", "ants")
        assert (backend, os.environ[VARIABLE]) == ("tensorflow", "tensorflow")
        assert note == "Study ants goes on with TensorFlow, as it began, and not with KERAS_BACKEND=jax."

    @pytest.mark.parametrize(
        ("asked", "ambient", "sentence"),
        [
            ("tensorfow", None, "--backend got 'tensorfow'; allowed: tensorflow, jax, torch. Did you mean tensorflow?"),
            (None, "openvino", "KERAS_BACKEND got 'openvino'; allowed: tensorflow, jax, torch."),
        ],
    )
    def test_there_is_none_such(self, monkeypatch, asked, ambient, sentence):
        if ambient:
            monkeypatch.setenv(VARIABLE, ambient)
        with pytest.raises(InputError) as caught:
            use_backend(asked)
        assert str(caught.value) == sentence

    @pytest.mark.parametrize(("asked", "recorded"), [("torch", None), (None, "torch")])
    def test_it_is_not_installed(self, monkeypatch, asked, recorded):
        monkeypatch.setattr("hpsearch.executors.backend.importlib.util.find_spec", lambda name: None)
        with pytest.raises(InputError) as caught:
            use_backend(asked, recorded, "ants")
        who = "--backend asks for" if asked else "Study ants was begun with"
        assert str(caught.value).startswith(f"{who} PyTorch, which is not installed; install it with: ")
        assert str(caught.value).endswith("-m pip install -e '.[torch]' -c constraints.txt")

    def test_a_study_keeps_its_own(self):
        with pytest.raises(InputError, match=r"^Study ants was begun with --backend jax; leave --backend out, or give"):
            choose_backend(HardwareOptions(backend="tensorflow"), info_of("ants", versions={"backend": "jax"}))

    @pytest.mark.parametrize(("backend", "xla"), [("torch", "yes"), ("torch", "no"), ("jax", "no")])
    def test_xla_where_it_cannot_be_chosen(self, monkeypatch, backend, xla):
        monkeypatch.setattr("hpsearch.executors.backend._is_installed", lambda name: True)
        with pytest.raises(InputError, match=r"^--xla "):
            choose_backend(HardwareOptions(backend=backend, xla=xla), None)


def test_frameworks_that_a_space_file_brings(tmp_path):
    space = tmp_path / "ants.py"
    space.write_text(
        textwrap.dedent(
            """
            import helper
            def build(hp):
                from torch.nn import Linear
                import keras
            """
        )
    )
    tmp_path.joinpath("helper.py").write_text("import helper, broken\nimport jax.numpy as jnp\nimport missing\n")
    tmp_path.joinpath("broken.py").write_text("import (")
    helper = tmp_path / "helper.py"
    assert frameworks_imported(space) == {"torch": f"{space}, line 4", "jax": f"{helper}, line 2"}
