"""What the README shows is true: its space file loads, its commands exist."""

import re
from pathlib import Path

import pytest

from hpsearch.cli.main import main
from hpsearch.spacefile import load_space

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_space_file_it_shows_loads(tmp_path):
    code, *_ = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    path = tmp_path / "shown.py"
    path.write_text(code)
    assert set(load_space(path).baselines) == {"by_hand"}


def test_its_commands_exist():
    named = set(re.findall(r"(?<![\w/.])hpsearch ([a-z]+(?:-[a-z]+)*)(?= |`|$)", README, flags=re.MULTILINE))
    commands = set(main.list_commands(None))
    assert commands <= named, "a command that no newcomer is told of"
    for line in re.findall(r"^\$ hpsearch ([a-z-]+)", README, flags=re.MULTILINE):
        assert line in commands


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_its_links_lead_somewhere(link):
    assert (ROOT / link).exists()
