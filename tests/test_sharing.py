"""How many processes train on a device at a time, where that is measured."""

import pytest

from hpsearch import sharing
from hpsearch.errors import DataError, HpsearchError, InputError
from hpsearch.executors.base import Slot
from hpsearch.executors.devices import slots_for
from hpsearch.messages import Setup
from hpsearch.sharing import Pace, pace_of, slots_of

SPACE = """
space = Space(
    data="digits",
    search=Recipe(
        model=Model(body=ConvNet(stages=[Stage(filters=between(2, 4))])),
        training=Training(epochs=2, batch_size=64, early_stopping=1),
    ),
)
"""


@pytest.fixture
def measured(monkeypatch):
    """Give trials an hour by the number of processes; returns the number that is chosen, and what was said."""

    def choose(rows, cores=64):
        def fake(setup, slots):
            assert all(isinstance(slot, Slot) for slot in slots)
            found = rows[len(slots)]
            return found and Pace(7 * found, found)

        monkeypatch.setattr(sharing, "pace_of", fake)
        monkeypatch.setattr(sharing, "cores", lambda: cores)
        said = []
        slots = slots_of(Setup("space.py", "."), "cpu", "auto", said.append)
        return len(slots), said

    return choose


class TestChoice:
    def test_the_number_that_trains_most(self, measured):
        number, said = measured({1: 1000.0, 2: 1900.0, 4: 2000.0})
        assert number == 2
        assert said == [
            "Measuring how many trials at a time are trained fastest on cpu ...",
            "1 at a time: 1,000 trials an hour (7,000 rows a second).",
            "2 at a time: 1,900 trials an hour (13,300 rows a second), 1.90 times as many.",
            "4 at a time: 2,000 trials an hour (14,000 rows a second), 2.00 times as many.",
            "2 at a time it is; --per-device 2 says so without measuring.",
        ]

    def test_one_where_more_gain_too_little(self, measured):
        assert measured({1: 1000.0, 2: 1090.0})[0] == 1

    def test_as_many_as_fit(self, measured):
        number, said = measured({1: 1000.0, 2: 2000.0, 4: None})
        assert number == 2
        assert "4 at a time do not fit." in said

    def test_no_more_than_there_are_cores(self, measured):
        assert measured({1: 1000.0, 2: 2000.0, 4: 4000.0}, cores=6)[0] == 4
        assert measured({1: 1000.0}, cores=1)[0] == 1

    def test_never_more_than_a_few(self, measured):
        assert measured({2**power: 1000.0 * 2**power for power in range(8)})[0] == sharing.MOST

    def test_a_number_is_taken_as_it_is(self, monkeypatch):
        monkeypatch.setattr(sharing, "pace_of", lambda *given: pytest.fail("nothing is to be measured"))
        assert slots_of(Setup("space.py", "."), "cpu", 3, pytest.fail) == slots_for("cpu", 3)


class TestMeasuring:
    """Real processes that train at the same time."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch):
        monkeypatch.setattr(sharing, "SECONDS", 0.5)

    @pytest.mark.parametrize("number", [1, 2])
    def test_it_counts_rows(self, number, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", SPACE)
        found = pace_of(Setup(space, tmp_path, subset=400), slots_for("cpu", number))
        assert found.rows > 100
        # Two epochs of 400 rows take less than a second, and what comes before them, more than nothing.
        assert 0 < found.hourly < 3600 * found.rows / (2 * 400)

    def test_one_that_cannot_train_says_why(self, tmp_path, write_space):
        space = write_space(tmp_path / "mine.py", SPACE.replace('"digits"', 'ImageFolder("nowhere", size=8)'))
        with pytest.raises((DataError, InputError), match="nowhere"):
            pace_of(Setup(space, tmp_path), slots_for("cpu"))

    def test_several_that_cannot_are_no_error(self, tmp_path, write_space, monkeypatch):
        space = write_space(tmp_path / "mine.py", SPACE)
        slots = [Slot(number, "gpu 0", (("HPSEARCH_EXPECTS_GPU", "1"),)) for number in range(2)]
        setup = Setup(space, tmp_path, subset=200)
        assert pace_of(setup, slots) is None
        with pytest.raises(HpsearchError, match="sees no GPU"):
            pace_of(setup, slots[:1])


def test_what_is_no_number_is_refused(cli):
    said = cli("run", "spaces/digits.py", "--per-device", "many")
    assert said.sentence == "--per-device got 'many'; allowed: auto, or a whole number, 1 or more."


@pytest.mark.parametrize("command", [["run", "spaces/digits.py"], ["finals"], ["export-best"]])
def test_lanes_are_gone(cli, command, tmp_path):
    said = cli(*command, "--lanes", "3", "--results", tmp_path)
    assert said.sentence == (
        "--lanes is gone, for its networks with batch normalisation were scored wrongly; use --per-device 3 instead."
    )
    assert "--lanes" not in cli(command[0], "--help").out
    assert "--lanes" not in cli(*command, "--lanes", "1", "--results", tmp_path / "nowhere", "--devices", "7").err
