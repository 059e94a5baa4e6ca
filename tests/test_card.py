"""What the model card makes of names and curves."""

from types import SimpleNamespace

import pytest

from hpsearch.results.card import _plain, curve
from hpsearch.results.examples import examples


def test_names_with_markup_stand_in_the_card_as_they_are_written():
    assert _plain("<script>alert(1)</script>") == "&lt;script>alert(1)&lt;/script>"
    assert _plain("a|b [c](d) `e`\n# f & g") == r"a\|b \[c\](d) \`e\` \# f &amp; g"
    assert _plain("by_hand_1") == "by_hand_1"


def test_a_curve_is_a_line_of_blocks():
    assert curve([0.0, 0.5, 1.0]) == "▁▅█"
    assert curve([3.0, 3.0]) == "▁▁"
    assert len(curve([n / 100 for n in range(1000)])) == 60


@pytest.mark.parametrize(
    ("data", "called"),
    [
        ('Named("digits")', "images"),
        ('Named("breast_cancer")', "rows"),
        ('Named(\n    "breast_cancer",\n    validation=0.1,\n)', "rows"),
        ('Table(\n    "houses.csv",\n    images=("front",),\n)', "rows"),
        ('ImageFolder("Table(")', "images"),
    ],
)
def test_examples_are_called_what_they_are(data, called):
    assert examples(SimpleNamespace(data_text=data)) == called
