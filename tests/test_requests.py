"""What others ask of a run: to stop, to train a recipe; nothing asked for is lost or read as something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between
from hpsearch.study import requests
from hpsearch.study.folder import StudyFolder
from hpsearch.study.requests import answer, clear, enqueue, queued, request_stop, stops

finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | finite | st.text()
choices = st.builds(Choices, st.lists(scalars, min_size=1, max_size=4).map(tuple), st.booleans())
numbers = st.integers() | finite
ranges = st.builds(Between, numbers, numbers, st.none() | numbers, st.booleans())
parameters = st.builds(Parameter, st.text(), choices | ranges)


@pytest.fixture
def study(tmp_path):
    return StudyFolder(tmp_path / "mine")


class TestStops:
    def test_a_run_and_trials_are_stopped_apart(self, study):
        assert stops(study) == []
        paths = {request_stop(study), request_stop(study, 12), request_stop(study, 3)}
        asked = stops(study)
        assert {request.path for request in asked} == paths
        assert {request.trial for request in asked} == {None, 3, 12}

    def test_asking_twice_is_asking_once(self, study):
        assert request_stop(study) == request_stop(study)
        assert request_stop(study, 3) == request_stop(study, 3)
        assert len(stops(study)) == 2

    def test_an_answer_takes_the_request_away(self, study):
        path = request_stop(study)
        (request,) = stops(study)
        answer(request)
        answer(request)
        assert not path.exists()
        assert stops(study) == []

    def test_a_file_whose_text_is_damaged_is_obeyed(self, study):
        request_stop(study, 7).write_text("{")
        assert [request.trial for request in stops(study)] == [7]

    def test_what_an_earlier_run_left_is_cleared_and_the_queue_stays(self, study):
        clear(study)
        request_stop(study)
        request_stop(study, 3)
        waiting = enqueue(study, "mine", "Recipe()", (), "abc")
        clear(study)
        assert stops(study) == []
        assert queued(study) == [waiting]


class TestQueue:
    @given(chosen=st.lists(st.tuples(parameters, scalars), max_size=4), name=st.text(), recipe=st.text())
    def test_what_is_enqueued_is_read_again_to_the_type(self, tmp_path_factory, chosen, name, recipe):
        study = StudyFolder(tmp_path_factory.mktemp("study"))
        given = enqueue(study, name, recipe, tuple(chosen), "abc")
        (found,) = queued(study)
        assert repr(found) == repr(given)  # repr tells 1, 1.0 and True apart

    def test_first_in_first_out_even_where_the_clock_goes_back(self, study, monkeypatch):
        names = [f"recipe {n}" for n in range(12)]
        clock = iter([*range(100, 106), *range(50, 56)])
        monkeypatch.setattr(requests.time, "time_ns", lambda: next(clock))
        for name in names:
            enqueue(study, name, "Recipe()", (), "abc")
        assert [each.name for each in queued(study)] == names
        answer(queued(study)[0])
        assert [each.name for each in queued(study)] == names[1:]

    def test_the_study_need_not_have_begun(self, study):
        assert queued(study) == []
        enqueue(study, "mine", "Recipe()", (), "abc")
        assert not study.exists
        assert len(queued(study)) == 1

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "{}", '{"name": 1, "recipe": "", "hash": "", "choices": []}',
                 '{"name": "", "recipe": "", "hash": "", "choices": [{"parameter": {}, "answer": 1}]}']
    )  # fmt: skip
    def test_a_file_that_cannot_be_read_is_said_and_stops_nothing(self, study, text):
        bad = enqueue(study, "first", "Recipe()", (), "abc").path
        good = enqueue(study, "second", "Recipe()", (), "def")
        bad.write_text(text)
        said = []
        assert queued(study, lambda path, sentence: said.append((path, sentence))) == [good]
        assert queued(study) == [good]
        ((path, sentence),) = said
        assert path == bad
        assert sentence.startswith(f"{bad} is not a recipe that was enqueued (")
