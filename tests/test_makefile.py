"""The Makefile on machines simulated by what is on their PATH: which Python makes .venv, and what is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NVIDIA = Path("search/hpsearch/executors/nvidia.py")
LISTED = "echo 'GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-6b2f)'"

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]


class Machine:
    """A folder with the Makefile and what it reads, and a PATH of nothing but what is put on it."""

    def __init__(self, folder):
        self.folder, self.bin, self.log = folder / "clone", folder / "bin", folder / "pip.log"
        self.folder.joinpath(NVIDIA.parent).mkdir(parents=True)
        self.bin.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt", NVIDIA):
            shutil.copy(ROOT / name, self.folder / name)
        for tool in ("sh", "cat", "sed", "rm", "touch", "test", "uname", "mkdir", "chmod"):
            if shutil.which(tool):
                self.bin.joinpath(tool).symlink_to(shutil.which(tool))

    def put(self, name, script):
        """Put a program on the PATH."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def python(self, name="python3", version=(3, 12), venv=True):
        """Put a Python on the PATH that makes environments whose pip only notes what it is to install."""
        pip = f'case "$*" in *pip*) echo "$*" >> {self.log}; exit $PIP_FAILS;; esac'
        inside = f'#!/bin/sh\n{pip}\nexec {sys.executable} "$@"\n'
        made = f"mkdir -p .venv/bin; cat > .venv/bin/python <<'END'\n{inside}END\nchmod +x .venv/bin/python"
        in_range = (3, 11) <= version <= (3, 13)
        self.put(
            name,
            f'case "$*" in\n*sys.exit*) exit {int(not in_range)};;\n*ensurepip*) exit {int(not venv)};;\n'
            f'--version) echo Python {".".join(map(str, version))};;\n"-m venv --clear .venv") {made};;\nesac',
        )

    def uv(self, code=0):
        """Put a uv on the PATH, which notes how it is called."""
        noting = f"printf '#!/bin/sh\\necho \"$*\" >> {self.log}\\n' > .venv/bin/python"
        made = f"mkdir -p .venv/bin; {noting}; chmod +x .venv/bin/python"
        self.put("uv", f'echo "uv $*" >> {self.log}; {made}; exit {code}')

    def make(self, *options, **environment):
        """Make the environment."""
        known = {"PATH": str(self.bin), "HOME": str(self.folder), "PIP_FAILS": "0", **environment}
        return subprocess.run(
            [shutil.which("make"), ".venv/.installed", *options],
            cwd=self.folder,
            env=known,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installed(self):
        """What pip was asked for, a word a call."""
        return [line.split()[-1] for line in self.log.read_text().splitlines() if "pip install" in line]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


linux = pytest.mark.skipif(os.uname().sysname != "Linux", reason="CUDA is installed on Linux alone")


@linux
class TestCuda:
    def test_is_installed_where_a_driver_answers_and_its_size_is_said(self, machine):
        machine.python()
        machine.put("nvidia-smi", f'test "$*" = -L && {LISTED}')
        done = machine.make()
        assert done.returncode == 0, done
        assert machine.installed == [".[gpu]"]
        assert "GB to download" in done.stdout
        assert "make demo GPU=no leaves it out" in done.stdout

    def test_is_left_out_where_that_was_said(self, machine):
        machine.python()
        machine.put("nvidia-smi", LISTED)
        assert machine.make("GPU=no").returncode == 0
        assert machine.installed == ["."]

    def test_is_left_out_where_there_is_no_nvidia_smi(self, machine):
        machine.python()
        done = machine.make()
        assert (done.returncode, machine.installed, done.stderr) == (0, ["."], "")

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("echo NVIDIA-SMI has failed; exit 9", "failed with exit code 9 (NVIDIA-SMI has failed)"),
            ("echo hello", "lists no GPU"),
            ("exit 0", "lists no GPU"),
        ],
    )
    def test_is_left_out_where_the_driver_is_no_help(self, machine, script, why):
        machine.python()
        machine.put("nvidia-smi", script)
        done = machine.make()
        assert (done.returncode, machine.installed) == (0, ["."])
        assert done.stderr == f"nvidia-smi {why}: installing TensorFlow without CUDA.\n"

    def test_nobody_waits_for_a_driver_that_hangs(self, machine):
        machine.python()
        machine.put("nvidia-smi", "trap '' TERM; /bin/sleep 600")
        source = machine.folder / NVIDIA
        source.write_text(source.read_text().replace("PATIENCE = 4.0", "PATIENCE = 0.2"))
        done = machine.make()
        assert (done.returncode, machine.installed) == (0, ["."])
        assert done.stderr == "nvidia-smi gave no answer within 0.2 s: installing TensorFlow without CUDA.\n"

    def test_is_done_without_where_it_cannot_be_installed(self, machine):
        machine.python()
        machine.put("nvidia-smi", LISTED)
        done = machine.make(PIP_FAILS="1")
        assert machine.installed == [".[gpu]", "."]
        assert "TensorFlow with CUDA cannot be installed here; going on without it." in done.stderr
        assert done.returncode == 2, "the second failed, too"
        assert not machine.folder.joinpath(".venv", ".installed").exists()


class TestPython:
    def test_one_in_range_is_taken_although_there_is_uv(self, machine):
        machine.python("python3", (3, 14))
        machine.python("python3.12")
        machine.uv()
        done = machine.make()
        assert done.returncode == 0, done
        assert done.stdout.startswith("Making .venv with Python 3.12;")
        assert "uv" not in machine.log.read_text()

    def test_without_one_uv_fetches_it(self, machine):
        machine.python("python3", (3, 14))
        machine.uv()
        done = machine.make("GPU=no")
        assert done.returncode == 0, done
        assert done.stdout.startswith("Making .venv with uv and Python 3.13;")
        called, pip = machine.log.read_text().splitlines()
        assert called == "uv venv --quiet --seed --python 3.13 .venv"
        assert pip.startswith("-m pip install ")
        assert machine.make("GPU=no").stdout == "make: '.venv/.installed' is up to date.\n"

    def test_one_that_lacks_venv_is_given_to_uv(self, machine):
        machine.python("python3.13", (3, 13), venv=False)
        machine.uv()
        assert machine.make("GPU=no").returncode == 0
        assert machine.log.read_text().startswith("uv venv --quiet --seed --python python3.13 .venv\n")

    def test_one_that_was_named_wins(self, machine):
        machine.python("python3", (3, 14))
        machine.uv()
        done = machine.make("PYTHON=python3")
        assert done.returncode == 2
        assert "hpsearch needs Python 3.11, 3.12 or 3.13, and found none that runs among python3" in done.stderr
        assert not machine.log.exists(), "uv was not asked"

    @pytest.mark.parametrize("uv", [True, False])
    def test_without_either_both_ways_are_said(self, machine, uv):
        machine.python("python3", (3, 14))
        if uv:
            machine.uv(code=2)
        done = machine.make()
        assert done.returncode == 2
        (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert sentence.endswith("install one, or uv, which fetches it, or name one with make PYTHON=/path/to/python.")
        assert not machine.folder.joinpath(".venv").exists()

    def test_the_way_without_venv_and_uv_is_said(self, machine):
        machine.python(venv=False)
        done = machine.make()
        assert done.returncode == 2
        assert (
            "Error: python3 has no venv module: install it (Debian and Ubuntu: package python3-venv), or" in done.stderr
        )
