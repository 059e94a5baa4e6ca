"""Declarations of data: input shape, classes and how it is split, known before any file is there.

    data="digits"                                                      a named set
    data=ImageFolder("cats_dogs", size=160, classes=("cats", "dogs"))  photos, one folder a class
    data=Arrays("signs.npz", input_shape=(64, 64, 3), classes=10)      NumPy arrays
    data=Table("houses.csv", label="price", amount=True, numeric=...)  a CSV file, see `hpsearch.data.tables`

A name alone is short for `Named`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hpsearch.data.facts import FACTS, Facts
from hpsearch.declare import (
    Choice,
    Declared,
    Either,
    Many,
    Maybe,
    Number,
    Rule,
    Text,
    Whole,
    declared,
    option,
    problem_with,
    walk_fields,
)
from hpsearch.errors import DataError, SpaceError, did_you_mean, join_address

__all__ = [
    "CLASS_NAMES",
    "NAMES",
    "SHARE",
    "SIDE",
    "Arrays",
    "Data",
    "ImageFolder",
    "Named",
    "Sides",
    "check_declaration",
    "named",
    "twice",
]

NAMES: tuple[str, ...] = tuple(FACTS)
"""The named data sets."""

SIDE = Whole(1)


@dataclass(frozen=True, init=False)
class Sides:
    """A fixed number of whole numbers, 1 or more each.

    Args:
        names: What each number stands for.
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    @property
    def allowed(self) -> str:
        return f"({', '.join(self.names)}) in whole numbers, 1 or more"

    def accepts(self, value: object) -> bool:
        return isinstance(value, tuple | list) and len(value) == len(self.names) and all(map(SIDE.accepts, value))


SHARE = Number(above=0, below=1)
CLASS_NAMES = Many(Text(), at_least=2)


@declared
class Data(Declared):
    """Base of every declaration of data.

    Args:
        validation: Share of the training images that is set aside for validation, the same share of every class;
            None means the usual one, 0.1 (0.2 for the small ``digits`` and ``breast_cancer``).
        split_seed: Another number draws other validation images (and another ``--subset``). The test part never
            depends on it.
    """

    validation: float | None = option(Maybe(SHARE), default=None)
    split_seed: int = option(Whole(0), default=0)

    # Properties that a subclass may replace by an option of the same name; a plain property could not be.
    @cached_property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image, in pixels."""
        raise NotImplementedError

    @property
    def inputs(self) -> Mapping[str, tuple[int | None, ...]]:
        """The shape of each input by name: height, width and channels of images, the width of the vector of a table.

        The width is None where the categories of a file decide it.
        """
        return {"image": self.input_shape}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`inputs`, a width that is not known taken as 1: recipes are spelled alike for every width."""
        return {name: tuple(1 if side is None else side for side in shape) for name, shape in self.inputs.items()}

    @cached_property
    def white(self) -> float:
        """The pixel value that a model scales to 1.0."""
        raise NotImplementedError

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; a label is a position in them. There are none where an amount is told."""
        raise NotImplementedError

    @property
    def validation_share(self) -> float:
        """`validation`, or the usual share when it is not given."""
        return 0.1 if self.validation is None else self.validation

    @property
    def test_share(self) -> float | None:
        """Share of the images sealed as the test part where the data has none of its own; None when it always has."""
        raise NotImplementedError


@declared
class Named(Data):
    """A data set that is known by its name.

    Args:
        name: ``digits``, ``cifar10``, ``cifar100``, ``mnist`` or ``fashion_mnist``, or the table ``breast_cancer``. The
            official test part is the sealed one; ``digits`` and ``breast_cancer`` have none, so a fifth is sealed.
    """

    name: str = option(Choice(*NAMES), kw_only=False)

    @property
    def facts(self) -> Facts:
        """What is known about the set.

        Raises:
            SpaceError: There is no set of this name.
        """
        problem = _name_problem(self.name)
        if problem:
            raise SpaceError(problem)
        return FACTS[self.name]

    @cached_property
    def input_shape(self) -> tuple[int, int, int]:
        return self.facts.input_shape

    @property
    def inputs(self) -> Mapping[str, tuple[int | None, ...]]:
        columns = self.facts.columns
        return {"table": (len(columns),)} if columns else {"image": self.input_shape}

    @cached_property
    def white(self) -> float:
        return self.facts.white

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.facts.class_names

    @property
    def validation_share(self) -> float:
        return self.facts.validation if self.validation is None else self.validation

    @property
    def test_share(self) -> float | None:
        return self.facts.test


@declared
class ImageFolder(Data):
    """A folder of photos: ``class/name.jpg``, or ``train/class/name.jpg`` and ``test/class/name.jpg``.

    Photos (jpg, jpeg, png, bmp, gif, webp; hidden and other files are passed over) may have any size. They are resized
    to `size` by bilinear interpolation with antialiasing; the aspect ratio is not kept. Pixels are taken as they are
    stored, without regard to an orientation tag, as Keras does. A folder ``train`` marks the second form; then other
    folders beside ``train`` and ``test`` are not read.

    Args:
        folder: A path, or a name inside the data directory.
        size: Height and width that photos are resized to, in pixels; one number for a square.
        classes: The class folders to take, in the order of their labels. None takes all, sorted by name; but then the
            declaration cannot be checked where the photos are not.
        channels: 3 for colour, 1 for grey.
        test: Share of the photos that is sealed as the test part; unused when there is a ``test`` folder.
    """

    folder: str = option(Text(), kw_only=False)
    size: int | tuple[int, int] = option(Either(Whole(1), Sides("height", "width")))
    classes: tuple[str, ...] | None = option(Maybe(CLASS_NAMES), default=None)
    channels: int = option(Choice(1, 3), default=3)
    test: float = option(SHARE, default=0.2)

    @cached_property
    def input_shape(self) -> tuple[int, int, int]:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels

    @cached_property
    def white(self) -> float:
        return 255.0

    @property
    def class_names(self) -> tuple[str, ...]:
        """The declared classes.

        Raises:
            DataError: They were left out; ``with_classes`` reads them from the folder.
        """
        if self.classes is None:
            raise DataError(f"The classes of {self.folder} are not known; declare classes=('one', 'two').")
        return self.classes

    @property
    def test_share(self) -> float | None:
        return self.test

    def conflict(self) -> tuple[str, str] | None:
        return twice(self.classes)


@declared
class Arrays(Data):
    """NumPy arrays on disk: images ``x`` and labels ``y``.

    An ``.npz`` holds ``x_train`` and ``y_train``, and ``x_test`` and ``y_test`` for the sealed test part; or ``x`` and
    ``y``, from which a test part is set aside. An ``.npy`` holds the images alone, and ``labels=`` names the file with
    the labels.

    Images are (n, height, width, channels), or (n, height, width) when `input_shape` has one channel; uint8, or float,
    which is kept as float32; other whole numbers from 0 to 255 become uint8. Labels are positions in `classes`, names
    of `classes`, or one-hot.

    Args:
        file: An ``.npz`` or ``.npy`` file: a path, or a name inside the data directory.
        labels: The ``.npy`` file with the labels, relative to the folder of `file`; only for ``.npy`` images.
        input_shape: Height, width and channels of an image.
        classes: Names of the classes in the order of their labels, or how many there are.
        white: The pixel value that means full brightness: 255 for photos, 1 for floats that are scaled already.
        test: Share of the images that is sealed as the test part; unused when the file has one.
    """

    file: str = option(Text(), kw_only=False)
    labels: str | None = option(Maybe(Text()), default=None)
    input_shape: tuple[int, int, int] = option(Sides("height", "width", "channels"))
    classes: int | tuple[str, ...] = option(Either(Whole(2), CLASS_NAMES))
    white: float = option(Number(above=0), default=255.0)
    test: float = option(SHARE, default=0.2)

    @property
    def class_names(self) -> tuple[str, ...]:
        if isinstance(self.classes, int):
            return tuple(str(label) for label in range(self.classes))
        return self.classes

    @property
    def test_share(self) -> float | None:
        return self.test

    def conflict(self) -> tuple[str, str] | None:
        suffix = self.file.lower()[-4:]
        if suffix not in (".npz", ".npy"):
            return "file", f"got {self.file!r}; allowed: a file that ends in .npz or .npy."
        if suffix == ".npy" and self.labels is None:
            return (
                "labels",
                f"{self.file!r} holds the images alone; name the .npy file with the labels, labels='y.npy'.",
            )
        if suffix == ".npz" and self.labels is not None:
            return "labels", f"{self.file!r} holds the labels too; leave labels= out."
        return twice(self.classes)


def named(name: str) -> Named:
    """The declaration of a named set with its usual options.

    Args:
        name: One of `NAMES`.

    Raises:
        SpaceError: There is no set of this name; the sentence lists those there are.
    """
    data = Named(name=name)
    check_declaration(data, address="")
    return data


def check_declaration(data: Data, address: str = "data") -> None:
    """Check every option of a declaration against its rule, and then against each other.

    Args:
        data: The declaration; nothing is read.
        address: Where it stands in the space.

    Raises:
        SpaceError: An option is not allowed; its address is that of the option.
    """
    if isinstance(data, Named):
        problem = _name_problem(data.name)
        if problem:
            raise SpaceError(problem, address)
    for name, value, rule in walk_fields(data):
        for where, problem in _option_problems(name, value, rule):
            raise SpaceError(problem, join_address(address, where))
    conflict = data.conflict()
    if conflict:
        where, problem = conflict
        raise SpaceError(problem, join_address(address, where))


def _option_problems(name: str, value: object, rule: Rule) -> Iterator[tuple[str, str]]:
    problem = problem_with(value, rule)
    if problem:
        yield name, problem
        return
    element = _element_rule(rule)
    if isinstance(value, tuple) and element is not None:
        for position, part in enumerate(value):
            problem = problem_with(part, element)
            if problem:
                yield f"{name}[{position}]", problem


def _element_rule(rule: Rule) -> Rule | None:
    """The rule for each element, where a rule allows lists."""
    for candidate in rule.rules if isinstance(rule, Either) else (rule,):
        if isinstance(candidate, Many):
            return candidate.element
    return None


def twice(classes: int | Sequence[str] | None) -> tuple[str, str] | None:
    """The conflict of class names that are not all different.

    Args:
        classes: The names, or anything else.
    """
    names = classes if isinstance(classes, tuple) else ()
    for name in names:
        if names.count(name) > 1:
            return "classes", f"got {name!r} more than once; every class needs a name of its own."
    return None


def _name_problem(name: object) -> str | None:
    if isinstance(name, str) and name in FACTS:
        return None
    near = did_you_mean(name, NAMES) if isinstance(name, str) else ""
    return f"There is no data set {name!r}.{near} The named sets are {', '.join(NAMES)}."
