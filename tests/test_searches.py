"""How benchmarks change a space file before they search it."""

import re
import shlex
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import _searches  # beside the tests, not installed

ROOT = Path(__file__).resolve().parents[1]
SPACE = """body = one_of(
    VGG16(size=128),  # large
    ResNet50,
)
also = ResNet50
"""


def test_a_text_on_one_line_is_found_on_several(tmp_path):
    space = tmp_path / "space.py"
    space.write_text(SPACE)
    copy = _searches.copied(space, [(" VGG16(size=128), # large ResNet50, )", " MobileNetV2, )")], tmp_path / "copy")
    assert copy.read_text() == "body = one_of( MobileNetV2, )\nalso = ResNet50\n"
    assert space.read_text() == SPACE


@pytest.mark.parametrize(("old", "times"), [("ResNet50", 2), ("Xception", 0), ("VGG16(size=1.8)", 0)])
def test_a_text_that_is_not_there_once_is_refused(tmp_path, old, times):
    space = tmp_path / "space.py"
    space.write_text(SPACE)
    with pytest.raises(SystemExit, match=f"{times} times, not once"):
        _searches.copied(space, [(old, "new")], tmp_path / "copy")


@pytest.mark.parametrize("page", sorted(ROOT.glob("results/reference/*/README.md")), ids=lambda page: page.parent.name)
def test_the_commands_on_the_pages_change_the_spaces_that_are_there(page, tmp_path):
    command = shlex.split(re.search(r"^ {4}(python benchmarks/reference\.py .*)$", page.read_text(), re.MULTILINE)[1])
    replaced = [command[at + 1 : at + 3] for at, word in enumerate(command) if word == "--replace"]
    copy = _searches.copied(ROOT / command[2], replaced, tmp_path)
    compile(copy.read_text(), str(copy), "exec")
