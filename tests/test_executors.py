"""What the coordinator may rely on, whatever runs the workers; then what holds for processes of this machine."""

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hpsearch import messages
from hpsearch.executors.base import Died, Health, Slot, WorkerDied
from hpsearch.executors.devices import slots_for
from hpsearch.executors.local import LocalExecutor, LocalWorker
from hpsearch.executors.memory import OutOfMemoryKills, available_memory

SOURCE = Path(__file__).resolve().parents[1] / "search"
PATIENCE = 120
"""Seconds after which a test gives up; nothing is ever expected to take that long."""

OBEDIENT = '''
"""A worker that repeats what it hears first, and then runs whatever text it is sent."""

import ctypes
import os
import signal
import subprocess
import sys
import time


def serve(connection):
    try:
        connection.send(connection.recv())
        while True:
            exec(connection.recv(), {**globals(), "connection": connection})
    except (EOFError, BrokenPipeError):
        pass
'''

HALF = "os.write(connection.fileno(), (1000).to_bytes(4, 'big') + b'the first of a thousand bytes')"
STOP = "os.kill(os.getpid(), signal.SIGSTOP)"
STUCK = "ctypes.PyDLL(None).sleep(100_000)"
"""In C code that does not let go of Python's lock: no thread of the worker runs any more."""


@pytest.fixture(scope="module")
def obedient(nothing_from_outside, tmp_path_factory):
    """What an obedient worker does, in a module that workers can import too."""
    folder = tmp_path_factory.mktemp("obedient")
    (folder / "obedient_worker.py").write_text(OBEDIENT)
    with pytest.MonkeyPatch.context() as changes:
        changes.syspath_prepend(folder)
        import obedient_worker

        yield obedient_worker.serve


class Conversation:
    """An executor, with what tests ask of it."""

    def __init__(self, executor):
        self.executor = executor
        self.unread = {slot.number: [] for slot in executor.slots}

    def next(self, slot):
        """The next message from a slot; what other slots say meanwhile is kept for later."""
        limit = time.monotonic() + PATIENCE
        while not self.unread[slot]:
            assert time.monotonic() < limit, f"slot {slot} says nothing"
            for heard in self.executor.listen(PATIENCE):
                self.unread[heard.slot].append(heard.message)
        return self.unread[slot].pop(0)

    def start(self, slot):
        """Start a worker and hear its first message."""
        self.executor.start(slot)
        return self.next(slot)

    def ask(self, slot, expression):
        """What an expression gives in the worker of a slot."""
        self.executor.send(slot, f"connection.send({expression})")
        return self.next(slot)

    def pid(self, slot):
        return self.executor.health(slot).pid


@pytest.fixture(params=["local"])
def opened(request, obedient):
    """Open an executor: ``opened(setup, slots)``; its workers are obedient unless told otherwise. Closed in the end."""
    kinds = {"local": LocalExecutor}
    executors = []

    def open_(setup="what to load", slots=2, serve=obedient):
        places = [Slot(number, "cpu") for number in range(slots)] if isinstance(slots, int) else slots
        executors.append(kinds[request.param](setup, places, serve))
        return Conversation(executors[-1])

    yield open_
    for executor in executors:
        executor.close()


def gone(pid):
    """Whether a process has ended, or has only not been cleared away yet by whoever started it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class TestStart:
    def test_the_first_message_answers_the_setup(self, opened):
        talk = opened(("anything", 1))
        assert talk.start(1) == ("anything", 1)
        assert talk.start(0) == ("anything", 1)
        assert talk.pid(0) != talk.pid(1)

    def test_a_worker_has_the_variables_of_its_slot_only(self, opened):
        slots = [Slot(number, "gpu", (("MINE", f"device {number}"), (f"OF_{number}", "1"))) for number in range(2)]
        talk = opened(slots=slots)
        assert talk.executor.slots == tuple(slots)
        for slot in slots:
            talk.start(slot.number)
        mine = "[os.environ.get(name) for name in ('MINE', 'OF_0', 'OF_1')]"
        assert talk.ask(0, mine) == ["device 0", "1", None]
        assert talk.ask(1, mine) == ["device 1", None, "1"]
        assert "MINE" not in os.environ

    def test_in_place_of_another(self, opened):
        talk = opened()
        talk.start(0)
        before = talk.pid(0)
        talk.executor.send(0, "connection.send('from the first')")
        assert talk.start(0) == "what to load"
        assert gone(before)
        assert talk.pid(0) not in (before, None)
        assert talk.executor.listen(0) == []

    def test_keras_is_there_already(self, opened):
        talk = opened()
        talk.start(0)
        assert talk.ask(0, "'keras' in sys.modules")


class TestListen:
    def test_only_looks(self, opened):
        talk = opened()
        assert talk.executor.listen(0) == []
        talk.start(0)
        assert talk.executor.listen(0) == []
        assert talk.executor.listen(-1) == []

    @pytest.mark.parametrize("size", [0, 20_000, 5_000_000])
    def test_messages_of_any_size_both_ways(self, opened, size):
        talk = opened()
        talk.start(0)
        assert talk.ask(0, repr("x" * size)) == "x" * size

    def test_in_order_for_each_slot(self, opened):
        talk = opened()
        for slot in (0, 1):
            talk.start(slot)
        for slot in (0, 1):
            talk.executor.send(slot, "for number in range(100): connection.send(number)")
        for slot in (0, 1):
            assert [talk.next(slot) for _ in range(100)] == list(range(100))

    def test_is_woken_by_a_signal_that_comes_while_it_waits(self, opened):
        talk = opened()
        talk.start(0)
        before = signal.signal(signal.SIGUSR1, lambda *_: talk.executor.wake())
        sender = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        try:
            sender.start()
            assert talk.executor.listen(PATIENCE) == []
            assert talk.executor.listen(0) == []
        finally:
            sender.join()
            signal.signal(signal.SIGUSR1, before)

    def test_is_woken_beforehand_and_never_waits_for_that(self, opened):
        talk = opened()
        for _ in range(100_000):
            talk.executor.wake()
        assert talk.executor.listen(PATIENCE) == []
        talk.executor.close()
        talk.executor.wake()


class TestDeath:
    @pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
    def test_by_a_signal(self, opened, kind):
        talk = opened()
        for slot in (0, 1):
            talk.start(slot)
        os.kill(talk.pid(0), kind)
        died = talk.next(0)
        assert died.signal == kind
        assert died.sentence.startswith(f"the worker process was ended by signal {kind:d}")
        assert not died.out_of_memory
        assert talk.executor.health(0) == Health(None, alive=False, stopped=False, memory=0)
        assert talk.executor.listen(0) == [], "it is said once"
        assert talk.ask(1, "'the other lives on'") == "the other lives on"
        assert talk.start(0) == "what to load"

    def test_by_itself(self, opened):
        talk = opened()
        talk.start(0)
        talk.executor.send(0, "os._exit(3)")
        assert talk.next(0) == Died("the worker process ended with exit code 3.")

    def test_after_its_last_words(self, opened):
        talk = opened()
        talk.start(0)
        talk.executor.send(0, "connection.send('x' * 100_000); connection.send('last'); os.kill(os.getpid(), 9)")
        assert [talk.next(0)[:4], talk.next(0), talk.next(0).signal] == ["xxxx", "last", 9]

    def test_in_the_middle_of_a_word(self, opened):
        talk = opened()
        talk.start(0)
        talk.executor.send(0, f"connection.send('whole'); {HALF}; os.kill(os.getpid(), 9)")
        assert talk.next(0) == "whole"
        assert talk.next(0).signal == 9

    @pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\x00 is no length", b"\0\0\0\3abc"])
    def test_of_one_that_talks_nonsense(self, opened, nonsense):
        talk = opened()
        talk.start(0)
        pid = talk.pid(0)
        nonsense_said = f"os.write(connection.fileno(), {nonsense!r})"
        talk.executor.send(0, f"connection.send('sense'); {nonsense_said}; time.sleep(1000)")
        assert talk.next(0) == "sense"
        assert "said what cannot be understood" in talk.next(0).sentence
        assert gone(pid)

    def test_that_leaves_the_pipe_to_a_process_of_its_own(self, opened):
        talk = opened()
        talk.start(0)
        heir = talk.ask(0, "subprocess.Popen(['sleep', '1000'], pass_fds=[connection.fileno()]).pid")
        try:
            os.kill(talk.pid(0), signal.SIGKILL)
            assert talk.next(0).signal == 9
        finally:
            os.kill(heir, signal.SIGKILL)

    def test_what_is_said_to_the_dead_is_lost(self, opened):
        talk = opened()
        talk.executor.send(1, "to a slot that never had a worker")
        talk.start(0)
        os.kill(talk.pid(0), signal.SIGKILL)
        for _ in range(100):
            talk.executor.send(0, "nobody hears this " * 100)
        assert talk.next(0).signal == 9
        talk.executor.send(0, "nor this")
        assert talk.executor.listen(0) == []


class TestStopped:
    def test_health_says_so(self, opened, wait_for):
        talk = opened()
        talk.start(0)
        health = talk.executor.health(0)
        assert (health.alive, health.stopped) == (True, False)
        assert health.memory > 2**20
        os.kill(health.pid, signal.SIGSTOP)
        wait_for(lambda: talk.executor.health(0).stopped, "the worker to stop")
        assert talk.executor.health(0).alive
        os.kill(health.pid, signal.SIGCONT)
        assert talk.ask(0, "'goes on'") == "goes on"
        assert not talk.executor.health(0).stopped

    def test_what_is_said_meanwhile_is_heard_later(self, opened, wait_for):
        """Much more than the pipe holds; and the other worker does not have to wait."""
        talk = opened()
        for slot in (0, 1):
            talk.start(slot)
        pid = talk.pid(0)
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: talk.executor.health(0).stopped, "the worker to stop")
        for number in range(30):
            talk.executor.send(0, f"connection.send({number})  # {'x' * 100_000}")
        assert talk.ask(1, "'meanwhile'") == "meanwhile"
        os.kill(pid, signal.SIGCONT)
        assert [talk.next(0) for _ in range(30)] == list(range(30))

    def test_in_the_middle_of_a_word(self, opened, wait_for):
        talk = opened()
        for slot in (0, 1):
            talk.start(slot)
        talk.executor.send(0, f"{HALF}; {STOP}")
        wait_for(lambda: talk.executor.health(0).stopped, "the worker to stop")
        assert talk.ask(1, "'meanwhile'") == "meanwhile"
        assert talk.executor.listen(0) == []


class TestKill:
    @pytest.mark.parametrize("doing", ["time.sleep(1000)", STOP, STUCK, "while True: connection.send('and on')"])
    def test_whatever_it_does(self, opened, doing):
        talk = opened()
        for slot in (0, 1):
            talk.start(slot)
        pid = talk.pid(0)
        talk.executor.send(0, doing)
        talk.executor.kill(0)
        assert gone(pid)
        assert talk.executor.listen(0) == []
        assert talk.pid(0) is None
        talk.executor.kill(0)
        assert talk.start(0) == "what to load"
        assert talk.ask(1, "'lives on'") == "lives on"

    def test_takes_along_what_the_worker_started(self, opened, wait_for):
        talk = opened()
        talk.start(0)
        child = talk.ask(0, "subprocess.Popen(['sleep', '1000']).pid")
        talk.executor.kill(0)
        wait_for(lambda: gone(child), "the end of the worker's own process")

    def test_of_one_that_has_just_died(self, opened):
        talk = opened()
        talk.start(0)
        os.kill(talk.pid(0), signal.SIGKILL)
        talk.executor.kill(0)
        assert talk.executor.listen(0) == []


def test_closing_ends_all_whatever_they_do(opened):
    talk = opened(slots=4)
    for slot in range(4):
        talk.start(slot)
    pids = [talk.pid(slot) for slot in range(4)]
    for slot, doing in enumerate([STOP, STUCK, "time.sleep(1000)"]):
        talk.executor.send(slot, doing)
    talk.executor.close()
    assert [gone(pid) for pid in pids] == [True] * 4
    assert talk.executor.listen(PATIENCE) == []
    talk.executor.close()


# ---- trials

SPACE = """
space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=between(2, 4))]), pooling=one_of("flatten", "average")),
        training=Training(epochs=2, batch_size=64, optimizer=Adam(learning_rate=0.01)),
    ),
)
"""


def reply(message):
    """What a coordinator answers that wants everything: the first label, the lowest number, and always to go on."""
    if isinstance(message, messages.Suggest):
        domain = message.parameter.domain
        return messages.Chosen(domain.labels[0] if hasattr(domain, "labels") else domain.low)
    asks = (messages.Resolved, messages.Measured, messages.Continued, messages.EpochDone)
    return messages.Go() if isinstance(message, asks) else None


class TestTrials:
    """Real training in two slots at once."""

    @pytest.fixture
    def talk(self, opened, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", SPACE)
        talk = opened(messages.Setup(space, tmp_path, subset=200), slots=slots_for("cpu", 2), serve=None)
        for slot in (0, 1):
            talk.executor.start(slot)
        ready = [talk.next(slot) for slot in (0, 1)]
        assert [type(message) for message in ready] == [messages.Ready] * 2
        assert ready[0] == ready[1]
        return talk

    def train(self, talk, slot, folder, **options):
        folder.mkdir(exist_ok=True)
        talk.executor.send(slot, messages.Train(1, folder, **options))

    def until(self, talk, slot, kind):
        """Answer what a worker says up to the first message of a kind; returns all of it."""
        heard = []
        while not heard or not isinstance(heard[-1], kind):
            heard.append(talk.next(slot))
            if not isinstance(heard[-1], kind) and (answer := reply(heard[-1])):
                talk.executor.send(slot, answer)
        return heard

    def test_two_at_once(self, talk, tmp_path):
        for slot in (0, 1):
            self.train(talk, slot, tmp_path / f"{slot}")
        heard = [self.until(talk, slot, messages.Trained | messages.Failed) for slot in (0, 1)]
        for each in heard:
            kinds = [type(message).__name__ for message in each if not isinstance(message, messages.Beat)]
            assert kinds == ["Suggest", "Suggest", "Resolved", "Measured", "EpochDone", "EpochDone", "Trained"]
        assert heard[0][-1] == heard[1][-1], "the same seed and choices"

    def test_one_is_killed_in_the_middle_and_another_worker_goes_on_with_its_trial(self, talk, tmp_path):
        for slot in (0, 1):
            self.train(talk, slot, tmp_path / f"{slot}", epochs=4)
        self.until(talk, 0, messages.EpochDone)
        talk.executor.send(0, messages.Go())
        talk.executor.kill(0)
        assert self.until(talk, 1, messages.Trained | messages.Failed)
        assert isinstance(talk.start(0), messages.Ready)
        self.train(talk, 0, tmp_path / "0", epochs=4)
        heard = self.until(talk, 0, messages.Trained | messages.Failed)
        assert any(isinstance(message, messages.Continued) for message in heard)
        assert isinstance(heard[-1], messages.Trained)

    def test_one_is_killed_from_outside(self, talk, tmp_path):
        self.train(talk, 1, tmp_path / "1", epochs=100_000)
        self.until(talk, 1, messages.EpochDone)
        talk.executor.send(1, messages.Go())
        os.kill(talk.pid(1), signal.SIGKILL)
        died = self.until(talk, 1, Died)[-1]
        assert died.signal == signal.SIGKILL
        self.train(talk, 0, tmp_path / "0", epochs=1)
        assert isinstance(self.until(talk, 0, messages.Trained | messages.Failed)[-1], messages.Trained)


def test_the_data_is_read_once_for_all_workers(opened, tmp_path, write_space):
    """One that starts after its file is gone has it nevertheless; what all have lies where it is gone in the end."""
    numbers = np.random.default_rng(0)
    file = tmp_path / "dots.npz"
    np.savez(file, x=numbers.integers(0, 256, (80, 8, 8, 1), np.uint8), y=np.arange(80) % 2)
    declared = f"Arrays({str(file)!r}, input_shape=(8, 8, 1), classes=2, test=0.2)"
    space = write_space(tmp_path / "mine.py", SPACE.replace('"digits"', declared))
    talk = opened(messages.Setup(space, tmp_path), serve=None)
    first = talk.start(0)
    file.unlink()
    assert talk.start(1) == first
    folder = next(Path(tempfile.gettempdir()).glob(f"hpsearch-worker-{os.getpid()}-*/*.arrays")).parent
    talk.executor.close()
    assert not folder.exists()


def test_a_gpu_that_the_backend_does_not_see_is_refused(opened, tmp_path, write_space, monkeypatch):
    """The driver lists a GPU, but there is no number 99 here, or no GPU at all."""
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!{sys.executable}\nprint('99, GPU-0a1b2c3d-0000, NVIDIA H200, 143771')\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    space = write_space(tmp_path / "mine.py", SPACE)
    refused = opened(messages.Setup(space, tmp_path, subset=200), slots=slots_for("all"), serve=None).start(0)
    assert isinstance(refused, messages.Refused)
    assert refused.exit_code == 2
    assert "GPU 99 of this machine is to train, but" in refused.sentence


# ---- processes of this machine

DRIVER = """
import json
import os
import signal
import sys

from hpsearch.executors.base import Died, Slot
from hpsearch.executors.local import LocalExecutor
from obedient_worker import serve


unread = []


def hear():
    while not unread:
        unread.extend(executor.listen(1000))
    return unread.pop(0).message


def say(what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda *_: None)
    executor = LocalExecutor("setup", [Slot(number, "cpu") for number in range(3)], serve)
    say("begins")
    exec(sys.argv[1])
"""
"""A coordinator as a process group of its own, which does what its argument says."""

START = "for slot in executor.slots: executor.start(slot.number)\nfor slot in executor.slots: hear()\n"


class Driver:
    def __init__(self, folder, text):
        self.folder = folder
        folder.joinpath("driver.py").write_text(DRIVER)
        self.process = subprocess.Popen(
            [sys.executable, folder / "driver.py", text],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(folder)])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self.listen, daemon=True).start()
        assert self.hears() == "begins"

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def hears(self):
        try:
            line = self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("the coordinator says nothing") from None
        assert line, self.process.stderr.read()
        return json.loads(line)

    def gone(self):
        """Whether nothing of the group runs any more."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=PATIENCE)


@pytest.fixture
def driver(obedient):
    """Start a coordinator that does what a text says: ``driver(text)``."""
    folder = Path(sys.modules["obedient_worker"].__file__).parent
    started = []

    def start(text):
        started.append(Driver(folder, text))
        return started[-1]

    yield start
    for each in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait(timeout=PATIENCE)
        each.process.stderr.close()


ALL_AT = (
    "for slot, doing in enumerate({doing}):\n"
    "    executor.send(slot, 'connection.send(os.getpid()); ' + doing)\n"
    "say([hear() for slot in executor.slots])\n"
)
"""Each worker says its process and then does what it is told."""


class TestNothingIsLeft:
    def test_when_the_coordinator_is_killed(self, driver, wait_for):
        """Whatever the workers do; and even the fork server may be stopped. Then a lock that it held is free."""
        steps = "import fcntl; lock = open('LOCK', 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n" + START
        coordinator = driver(steps + ALL_AT.format(doing=["time.sleep(1000)", STOP, STUCK]) + "hear()")
        lock = coordinator.folder / "LOCK"
        pids = coordinator.hears()
        server = psutil.Process(pids[0]).ppid()
        for stopped in (pids[1], server):
            os.kill(stopped, signal.SIGSTOP)
            wait_for(lambda pid=stopped: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "a process to stop")
        assert {child.pid for child in coordinator.children()} > {*pids, server}
        with open(lock) as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        coordinator.kill()
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        wait_for(coordinator.gone, "the end of all that the coordinator had started")

    def test_when_the_coordinator_is_killed_while_keras_is_loaded(self, driver, wait_for):
        coordinator = driver(START)
        wait_for(lambda: len(coordinator.children()) == 2, "the fork server")
        coordinator.kill()
        wait_for(coordinator.gone, "the end of the fork server")

    def test_when_the_coordinator_ends_without_closing(self, driver, wait_for):
        doing = ["signal.signal(signal.SIGTERM, signal.SIG_IGN)", STOP, STUCK]
        coordinator = driver(START + ALL_AT.format(doing=doing))
        coordinator.hears()
        assert coordinator.process.wait(timeout=PATIENCE) == 0
        wait_for(coordinator.gone, "the end of all that the coordinator had started")


class TestForkServer:
    def test_signals_to_the_group_end_neither_it_nor_workers(self, driver):
        """They come all the time from the first moment on; the coordinator alone decides what they mean."""
        coordinator = driver(START + "say('started'); executor.send(0, 'connection.send(1)'); say(hear())")
        over = threading.Event()

        def send():
            while not over.wait(0.002):
                for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(coordinator.process.pid, kind)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            assert coordinator.hears() == "started"
            assert coordinator.hears() == 1
        finally:
            over.set()
            sender.join()
        assert coordinator.process.stderr.read() == ""

    def test_when_it_is_killed_its_workers_end_and_new_ones_can_be_started(self, driver, wait_for):
        steps = (
            "executor.send(0, 'connection.send((os.getppid(), os.getpid()))'); say(hear())",
            "say([hear().sentence for slot in executor.slots])",
            "executor.start(0); say(hear()); executor.close(); say('closed')",
        )
        coordinator = driver(START + "\n".join(steps))
        server, worker = coordinator.hears()
        os.kill(server, signal.SIGKILL)
        sentence = "the worker process ended with the process that starts workers, which was ended from outside."
        assert coordinator.hears() == [sentence] * 3
        assert gone(worker)
        assert coordinator.hears() == "setup"
        assert coordinator.hears() == "closed"

    def test_it_and_its_workers_hold_nothing_that_is_not_theirs(self, driver, tmp_path):
        """Neither the lock of a study, which would seem held after the coordinator's end, nor the pipes of others."""
        lock = tmp_path / "lock"
        files = "connection.send([os.readlink(e) for e in os.scandir(f'/proc/{PID}/fd') if os.path.islink(e)])"
        asked = [files.replace("PID", pid) for pid in ("os.getpid()", "os.getppid()")]
        look = [f"executor.send(1, {text!r}); say(hear())" for text in asked]
        again = "executor.kill(0); executor.start(0); hear()"
        steps = [f"lock = open({str(lock)!r}, 'w')", START, *look, *[again] * 3, *look]
        coordinator = driver("\n".join(steps))
        worker, server, worker_later, server_later = (coordinator.hears() for _ in range(4))
        for files in (worker, server, worker_later, server_later):
            assert str(lock) not in files
        assert sum(file.startswith("socket:") for file in worker) == 1, "its own end of its own pipe"
        assert len(worker_later) == len(worker)
        assert len(server_later) == len(server)


def test_a_share_of_the_cores_is_heeded_by_a_tensorflow_that_was_loaded_before(opened):
    """The fork server has imported it; its threads are started when the first tensor is made, in the worker."""
    pytest.importorskip("tensorflow")

    def slot(number, threads):
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        return Slot(number, "cpu", tuple((name, str(threads)) for name in names))

    talk = opened(slots=[slot(0, 1), slot(1, 7)])
    multiply = "import tensorflow as tf; tf.linalg.matmul(tf.ones((300, 300)), tf.ones((300, 300)))"
    counts = []
    for number in (0, 1):
        talk.start(number)
        talk.executor.send(number, multiply)
        counts.append(talk.ask(number, "len(os.listdir('/proc/self/task'))"))
    assert counts[1] - counts[0] == 2 * (7 - 1)


@pytest.mark.usefixtures("nothing_from_outside")
class TestOneWorkerAlone:
    """`LocalWorker`, for whoever asks one worker for one thing."""

    def test_says_and_hears(self, obedient):
        worker = LocalWorker((("MINE", "yes"),), obedient)
        worker.send("first")
        assert worker.receive() == "first"
        worker.send("connection.send(os.environ['MINE']); connection.send(2)")
        assert [worker.receive(), worker.receive()] == ["yes", 2]
        worker.close()
        assert not worker.alive

    def test_hears_what_was_said_before_the_end_and_then_of_it(self, obedient):
        worker = LocalWorker(serve=obedient)
        worker.send("first")
        worker.send("connection.send('last'); os._exit(7)")
        assert [worker.receive(), worker.receive()] == ["first", "last"]
        for _ in range(2):
            with pytest.raises(WorkerDied, match="ended with exit code 7"):
                worker.receive()
        with pytest.raises(WorkerDied, match="ended with exit code 7"):
            worker.send("anything")
        worker.close()

    def test_is_not_waited_for_once_it_is_closed(self, obedient):
        worker = LocalWorker(serve=obedient)
        worker.close()
        with pytest.raises(WorkerDied):
            worker.receive()


# ---- memory

EVENTS = "low 0\nhigh 0\nmax 3\noom 1\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
CGROUP = {"v2": "0::/user.slice/run.scope\n", "v1": "12:cpuset:/\n9:memory,other:/docker/abc\n0::/\n"}
"""What ``/proc/PID/cgroup`` says on a machine with control groups of version 2, and in a container with version 1."""


@pytest.fixture
def system(tmp_path):
    """A made-up ``/`` whose files are recorded ones: ``system(path, text)``."""

    def write(path, text):
        tmp_path.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(path).write_text(text)
        return tmp_path

    return write


class TestOutOfMemory:
    @pytest.mark.parametrize(
        ("version", "file", "text"),
        [
            ("v2", "sys/fs/cgroup/user.slice/run.scope/memory.events", EVENTS),
            ("v2", "sys/fs/cgroup/memory.events", EVENTS),
            ("v1", "sys/fs/cgroup/memory/docker/abc/memory.oom_control", CONTROL),
            ("v1", "sys/fs/cgroup/memory/memory.oom_control", CONTROL),
            ("v2", "proc/vmstat", "nr_free_pages 5\noom_kill {}\nnuma_hit 7\n"),
        ],
    )
    def test_a_kill_explains_one_death(self, system, version, file, text):
        system("proc/77/cgroup", CGROUP[version])
        kills = OutOfMemoryKills(system(file, text.format(4)))
        first, second = kills.begin(77), kills.begin(77)
        assert not kills.explain(first)
        system(file, text.format(5))
        assert kills.explain(first)
        assert not kills.explain(second), "the second was killed by somebody else"
        third = kills.begin(77)
        assert not kills.explain(third), "what was before it does not explain its end"
        system(file, text.format(7))
        assert kills.explain(second)
        assert kills.explain(third)
        assert not kills.explain(kills.begin(77))

    def test_the_own_group_comes_before_the_machine(self, system):
        system("proc/77/cgroup", CGROUP["v2"])
        system("proc/vmstat", "oom_kill 1\n")
        kills = OutOfMemoryKills(system("sys/fs/cgroup/user.slice/run.scope/memory.events", EVENTS.format(0)))
        begun = kills.begin(77)
        system("proc/vmstat", "oom_kill 2\n")
        assert not kills.explain(begun), "another container's"

    def test_where_the_system_says_nothing(self, tmp_path):
        kills = OutOfMemoryKills(tmp_path)
        assert kills.begin(77) is None
        assert not kills.explain(None)

    def test_limits(self, system):
        total = psutil.virtual_memory().total
        system("proc/77/cgroup", CGROUP["v2"])
        root = system("sys/fs/cgroup/user.slice/run.scope/memory.max", "max\n")
        assert available_memory(77, root) == total
        system("sys/fs/cgroup/user.slice/memory.max", "500000000\n")
        assert available_memory(77, root) == 500_000_000
        system("sys/fs/cgroup/user.slice/run.scope/memory.max", "300000000\n")
        assert available_memory(77, root) == 300_000_000
        system("proc/78/cgroup", CGROUP["v1"])
        system("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n")
        assert available_memory(78, root) == total
        assert available_memory(79, root) == total, "no such process"


@pytest.mark.slow
def test_a_worker_that_takes_too_much_memory(driver, small_group, wait_for):
    """The system ends it, and neither the other worker, nor the fork server, nor the coordinator."""
    steps = (
        f"open({str(small_group)!r}, 'w').write(str(os.getpid()))",
        START,
        "executor.send(0, 'taken = b\"1\" * 4_000_000_000')",
        "died = hear(); say([died.out_of_memory, died.signal, died.sentence])",
        "executor.send(1, \"connection.send('lives on')\"); say(hear())",
        "executor.send(1, 'connection.send(os.getpid())'); os.kill(hear(), signal.SIGKILL); say(hear().out_of_memory)",
        "executor.start(0); say(hear()); executor.close()",
    )
    coordinator = driver("\n".join(steps))
    assert coordinator.hears() == [True, 9, "the worker process was ended by signal 9: memory ran out."]
    assert coordinator.hears() == "lives on"
    assert coordinator.hears() is False, "killed by hand"
    assert coordinator.hears() == "setup"
    assert coordinator.process.wait(timeout=PATIENCE) == 0
    wait_for(coordinator.gone, "the end of all processes")
