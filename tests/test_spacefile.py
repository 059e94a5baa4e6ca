"""Loading space files."""

import sys
from pathlib import Path

import pytest

from hpsearch.errors import SpaceError
from hpsearch.spacefile import is_declarative, load_space

SPACE = """
from hpsearch import ConvNet, Model, Recipe, Space, Stage, Training
space = Space(
    data="digits",
    search=Recipe(model=Model(body=ConvNet(stages=[Stage(filters=WIDTH)])), training=Training(epochs=1)),
)
"""


@pytest.fixture(autouse=True)
def _own_path(monkeypatch):
    """Loading extends the path that modules are looked up in; for this test only."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(path, width=2, before=""):
    path.write_text(before + SPACE.replace("WIDTH", str(width)))
    return path


def width(space):
    return space.search.model.body.stages[0].filters


def test_a_file_is_loaded_as_it_stands_now(tmp_path):
    """Edits of one second and one length are seen, and no bytecode is left beside the file."""
    path = tmp_path / "mine.py"
    assert [width(load_space(write(path, each))) for each in (2, 3, 4)] == [2, 3, 4]
    assert list(tmp_path.iterdir()) == [path]


def test_modules_beside_the_file_are_found(tmp_path):
    (tmp_path / "widths_of_mine.py").write_text("WIDTH = 5\n")
    path = write(tmp_path / "mine.py", "widths_of_mine.WIDTH", "import widths_of_mine\n")
    assert width(load_space(path)) == 5
    sys.modules.pop("widths_of_mine")


def test_a_copy_looks_for_modules_where_the_original_lay(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "more_of_mine.py").write_text("WIDTH = 6\n")
    path = write(tmp_path / "copy.py", "more_of_mine.WIDTH", "import more_of_mine\n")
    assert width(load_space(path, module_path=tmp_path / "here")) == 6
    sys.modules.pop("more_of_mine")


def test_a_dataclass_and_a_function_of_the_file_keep_their_source(tmp_path):
    before = (
        "from __future__ import annotations\nimport dataclasses\nimport inspect\n"
        "@dataclasses.dataclass(frozen=True)\nclass Block:\n    units: int = 3\n"
        "def build(hp):\n    return hp\nTEXT = inspect.getsource(build) + inspect.getsource(Block)\n"
        "assert 'return hp' in TEXT\nassert 'units: int' in TEXT\n"
    )
    assert width(load_space(write(tmp_path / "mine.py", "Block().units", before))) == 3


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SPACE.replace("WIDTH", "2"), encoding="utf-8-sig")
    assert width(load_space(path)) == 2


@pytest.mark.parametrize("relative", [False, True])
def test_the_line_is_named(tmp_path, monkeypatch, relative):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "mine.py", "'wide'")
    path = Path(path.name) if relative else path
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    assert str(caught.value).startswith(f'{path}, line 3: model.body.stages[0].filters: got "wide"; allowed: ')


def test_the_line_is_the_innermost_of_the_file(tmp_path):
    text = "def net():\n    return between(3, 1)\n"
    path = write(tmp_path / "mine.py", "net()", "from hpsearch import between\n" + text)
    with pytest.raises(SpaceError, match=r"mine\.py, line 3: between\(3, 1\) is empty"):
        load_space(path)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("import math\nfrom dataclasses import dataclass\nfrom hpsearch import Space\n", True),
        ("from hpsearch.blocks import convnet\n", True),
        ("import keras\n", False),
        ("from keras import layers\n", False),
        ("def build(hp):\n    import keras\n", False),
        ("import beside\n", False),
        ("from . import beside\n", False),
    ],
)
def test_only_what_declares_is_loaded_without_a_worker(tmp_path, text, answer):
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert is_declarative(path) is answer


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("at_most(params=3)", "Did you mean parameters? Write it as at_most(parameters=...)."),
        (
            "between(8)",
            "missing 1 required positional argument: 'high'. Write it as between(low, high, step=..., log=...).",
        ),
        ("between(8, 64, stp=8)", "Did you mean step? Write it as between(low, high, step=..., log=...)."),
    ],
)
def test_a_wrong_call_says_how_it_is_written(tmp_path, call, sentence):
    path = tmp_path / "mine.py"
    path.write_text(f"from hpsearch import at_most, between\nspace = {call}\n")
    with pytest.raises(SpaceError, match=r"mine\.py, line 2: ") as caught:
        load_space(path)
    assert sentence in str(caught.value)
