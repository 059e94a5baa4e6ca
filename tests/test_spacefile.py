"""Loading space files."""

import importlib
import sys
from pathlib import Path

import pytest

from hpsearch.errors import SpaceError
from hpsearch.resolve import answers_of
from hpsearch.spacefile import is_declarative, load_recipe, load_space

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


def test_a_file_sees_what_lies_beside_it_first_and_the_rest_sees_what_is_installed(tmp_path, monkeypatch):
    """Whatever is imported only when it is needed must not find a user's file of the same name."""
    for folder, here in (("installed", 1), ("mine", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "name_of_two.py").write_text(f"WIDTH = {here}\n")
    (tmp_path / "mine" / "only_mine.py").write_text("WIDTH = 7\n")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    path = write(tmp_path / "mine" / "mine.py", "name_of_two.WIDTH", "import name_of_two\n")
    assert width(load_space(path)) == 5
    sys.modules.pop("name_of_two")
    assert importlib.import_module("name_of_two").WIDTH == 1
    assert importlib.import_module("only_mine").WIDTH == 7, "a function of the file may import it later"
    for name in ("name_of_two", "only_mine"):
        sys.modules.pop(name)


def test_a_file_may_change_the_path_itself(tmp_path):
    path = write(tmp_path / "mine.py", 3, f"import sys\nsys.path.remove({str(tmp_path)!r})\n")
    assert width(load_space(path)) == 3
    assert sys.path[-1] == str(tmp_path)


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
        ("at_most(params=3)", "Did you mean parameters? Write it as at_most(parameters=..., flops=..., memory=...)."),
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


class TestRecipes:
    """A recipe's text, read with the words of hpsearch and of its space file."""

    BLOCK = (
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Block:\n    units: int = 3\n"
        "    def __call__(self, x):\n        return x\n"
        "def recipe(units):\n    return Recipe(model=Model(body=Block(units)), training=Training(epochs=1))\n"
    )
    PLAIN = "Recipe(\n    model=Model(body=Block(units=4)),\n    training=Training(epochs=2),\n)\n"

    @pytest.fixture
    def space_file(self, tmp_path):
        return write(tmp_path / "mine.py", 2, "from hpsearch import Model, Recipe, Training\n" + self.BLOCK)

    @pytest.mark.parametrize(
        "text",
        [
            PLAIN,
            "# of a trial\n" + PLAIN,
            '"""What it is."""\n' + PLAIN,
            f"recipe = {PLAIN}",
            f'"""What it is."""\nfrom hpsearch import Recipe\n\nrecipe = {PLAIN}',
            "units = 4\n" + PLAIN.replace("units=4", "units=units"),
            f"made = {PLAIN}\nmade",
            f"recipe = {PLAIN}\nlen('afterwards')",
            "import dataclasses\ndataclasses.replace(recipe(4), training=Training(epochs=2))",
            "import dataclasses\nrecipe = dataclasses.replace(recipe(4), training=Training(epochs=2))",
        ],
    )
    def test_an_expression_or_a_program(self, space_file, text):
        found = load_recipe(text, space_file)
        assert (found.model.body.units, found.training.epochs) == (4, 2)

    def test_the_classes_are_those_of_the_space(self, tmp_path):
        """Loaded before or only now, the space and the recipe share what the file defines."""
        before = "from hpsearch import one_of\n" + self.BLOCK
        text = SPACE.replace("ConvNet(stages=[Stage(filters=WIDTH)])", "Block(units=one_of(4, 5))")
        path = tmp_path / "blocks.py"
        path.write_text(text.split("space =")[0] + before + "space =" + text.split("space =")[1])
        space = load_space(path)
        recipe = load_recipe(self.PLAIN.replace("epochs=2", "epochs=1"), path)
        assert answers_of(space.search, recipe) == {"model.body.units": 4}
        assert type(recipe.model.body) is type(space.search.model.body)

    def test_the_space_file_is_run_where_it_was_not(self, space_file):
        load_space(write(space_file.parent / "other.py", 3))
        sys.modules.pop("hpsearch_space_mine", None)
        assert load_recipe("recipe(7)", space_file).model.body.units == 7

    def test_another_file_of_the_same_name_is_not_taken_for_it(self, space_file, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        load_space(write(tmp_path / "elsewhere" / "mine.py", 3))
        assert load_recipe("recipe(7)", space_file).model.body.units == 7

    def test_modules_are_looked_up_where_the_original_lay(self, tmp_path):
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "still_more_of_mine.py").write_text("WIDTH = 6\n")
        path = write(tmp_path / "copy.py", "still_more_of_mine.WIDTH", "import still_more_of_mine\n")
        body = "ConvNet(stages=[Stage(filters=still_more_of_mine.WIDTH)])"
        text = f"Recipe(model=Model(body={body}), training=Training(epochs=1))"
        assert load_recipe(text, path, tmp_path / "here").model.body.stages[0].filters == 6
        sys.modules.pop("still_more_of_mine")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "given.py: it holds no recipe; write Recipe(model=..., training=...), or recipe = Recipe(...)."),
            ("found = recipe(3)\n", "given.py: it holds no recipe; write"),
            ("'Recipe()'\n", "given.py: it gives a str; write"),
            ("recipe = 3\n", "given.py: it gives a int; write"),
            ("Recipe(\n  model=,\n)", "given.py, line 2: this is not Python: "),
            ("\n\nReciepe()", "given.py, line 3: name 'Reciepe' is not defined. Did you mean Recipe?"),
            ("Adam(amsgrad=Ture)", "given.py, line 1: name 'Ture' is not defined. Did you mean True"),
            ("\nblock = Block(units=1 / 0)\nrecipe(3)", "given.py, line 2: it raised ZeroDivisionError: division by"),
            ("Recipe(\n    model=Model(body=Block(\n        units=1 / 0)))", "given.py, line 3: it raised ZeroDiv"),
            ("recipe()", "given.py, line 1: it raised TypeError: "),
            ("import nowhere_at_all", "given.py, line 1: No module named 'nowhere_at_all'; install"),
            ("exit()", "given.py, line 1: it raised SystemExit"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, space_file, text, sentence):
        with pytest.raises(SpaceError) as caught:
            load_recipe(text, space_file, origin="given.py")
        assert str(caught.value).startswith(sentence)

    def test_a_space_file_that_cannot_be_used(self, tmp_path):
        with pytest.raises(SpaceError, match="There is no space file"):
            load_recipe(self.PLAIN, tmp_path / "nowhere.py")
        (tmp_path / "empty.py").touch()
        with pytest.raises(SpaceError, match="it defines no 'space'"):
            load_recipe(self.PLAIN, tmp_path / "empty.py")
