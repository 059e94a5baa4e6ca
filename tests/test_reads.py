"""What a model reads of the data is checked when a space file is loaded, as far as the declaration says it."""

import pytest

from hpsearch import Branch, Concat, ConvNet, MobileNetV2, Model, Recipe, Space, Stage, Table, Training, between, one_of
from hpsearch.errors import SpaceError
from hpsearch.spacefile import load_space

HOUSES = Table(
    "houses.csv",
    label="price",
    cuts=(100, 200),
    numeric=("area",),
    categorical=("zipcode",),
    images={"front": "front_photo", "back": "back_photo"},
    size=16,
)
NET = ConvNet(stages=[Stage(filters=2)])
NAMES = "front, back, table"
BAKC = 'got "bakc", which is no input of the data. Did you mean back?'
SMALL = "MobileNetV2 needs images of at least 32x32 pixels and gets 24x24; set input_size=32 or more."


def recipe(body, **options):
    return Recipe(model=Model(body=body, **options), training=Training(epochs=1))


WRONG = {
    "an input that is not there": (
        recipe(Concat(front=Branch(body=NET), photo=Branch(input="bakc", body=NET))),
        f"model.body.photo.input: {BAKC} Its inputs are {NAMES}.",
    ),
    "a branch whose name is no input": (
        recipe(Concat(photo=Branch(body=NET))),
        (
            'model.body.photo.input: is left out, and the branch\'s name "photo" is no input of the data. '
            f"Its inputs are {NAMES}."
        ),
    ),
    "no input of several": (
        recipe(NET),
        (
            f"model.input: is left out although the data has several inputs: {NAMES}; name one, "
            'input="front", or join several, body=Concat(front=Branch(...), ...).'
        ),
    ),
    "a body for images before a table": (
        recipe(Concat(table=Branch(body=one_of(None, NET)))),
        'model.body.table.body: got ConvNet for the table "table", which has no height and width; write None.',
    ),
    "an option among others": (
        recipe(one_of(a=Concat(front=Branch(body=NET)), b=Concat(side=Branch(body=NET)))),
        (
            'model.body.side.input: is left out, and the branch\'s name "side" is no input of the data. '
            f"Its inputs are {NAMES}."
        ),
    ),
    "a backbone that every size is too small for": (
        recipe(MobileNetV2(alpha=0.35, input_size=one_of(None, 24)), input="front"),
        f"model.body.input_size: {SMALL}",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_read_is_refused_at_load(what):
    search, sentence = WRONG[what]
    with pytest.raises(SpaceError) as caught:
        Space(data=HOUSES, search=search)
    assert str(caught.value) == sentence


def test_in_a_baseline_too():
    search = recipe(one_of(NET, Concat(front=Branch(body=NET))), input=one_of("front", None))
    with pytest.raises(SpaceError, match=r'^baselines\[\'wrong\'\]\.model\.input: got "left", which is no input'):
        Space(data=HOUSES, search=recipe(NET, input="front"), baselines={"wrong": recipe(NET, input="left")})
    with pytest.raises(SpaceError, match=r"^model\.input: is left out although"):
        Space(data=HOUSES, search=search)


@pytest.mark.parametrize("size", [one_of(None, 32), between(8, 64), 48])
def test_a_size_among_others_that_is_large_enough_will_do(size):
    Space(data=HOUSES, search=recipe(MobileNetV2(alpha=0.35, input_size=size), input="front"))


def test_the_sentence_names_file_and_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from hpsearch import ConvNet, Model, Recipe, Space, Stage, Training\n"
        "body = ConvNet(stages=[Stage(filters=2)])\n"
        'search = Recipe(model=Model(body=body, input="imgae"), training=Training(epochs=1))\n'
        'space = Space(data="digits", search=search)\n'
    )
    with pytest.raises(SpaceError) as caught:
        load_space(file)
    assert str(caught.value) == (
        f'{file}, line 4: model.input: got "imgae", which is no input of the data. Did you mean image? '
        "Its inputs are image."
    )
