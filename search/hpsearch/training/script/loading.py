"""``load_data()`` of a script: the data in the plain way, split as it was for the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.data.declarations import Arrays, Data, ImageFolder, Named
from hpsearch.data.encoding import Encoding
from hpsearch.data.folders import test_folder, train_folder
from hpsearch.data.listing import Listing
from hpsearch.data.locate import find
from hpsearch.data.tables import TABLE, Table
from hpsearch.declare import source

__all__ = ["Loading", "loading_text"]


@dataclass
class Loading:
    """How a script loads its data.

    Args:
        functions: The source of ``load_data`` and of what it calls.
        constants: Lines at the top of the script.
        rows: What ``data.json`` holds.
    """

    functions: list[str]
    constants: list[str] = field(default_factory=list)
    rows: dict[str, Any] = field(default_factory=dict)

    @property
    def from_place(self) -> bool:
        """Whether it reads a file or folder of the user's, which the constant DATA names."""
        return any(line.startswith("DATA = ") for line in self.constants)


def loading_text(
    data: Data,
    data_dir: Path | None,
    listing: Listing,
    encoding: Encoding | None,
    names: Sequence[str],
    class_names: Sequence[str],
) -> Loading:
    """The functions that load data.

    Args:
        data: The declaration, its classes known.
        data_dir: Where it was looked for first.
        listing: Which rows are for what.
        encoding: How the columns of a table become its vector, or None without a table.
        names: The inputs that the network reads.
        class_names: The classes; none where amounts are told.
    """
    rows = {part: list(each) for part, each in (("train", listing.train), ("test", listing.test)) if each is not None}
    if isinstance(data, Table):
        loading = _table(data, data_dir, encoding, names, class_names)
    elif isinstance(data, ImageFolder):
        loading = _folder(data, data_dir, class_names)
    elif isinstance(data, Arrays):
        loading = _arrays(data, data_dir, rows)
    elif isinstance(data, Named) and data.facts.columns:
        assert encoding is not None  # a table has one
        loading = _bundled_table(encoding)
    elif isinstance(data, Named):
        loading = _named(data, data_dir, rows)
    else:
        raise TypeError(f"cannot load {type(data).__name__}")
    loading.rows |= rows
    return loading


_PARTS = '    parts = json.loads((HERE / "data.json").read_text(encoding="utf-8"))'
_SPLIT = '    train, test = parts["train"], parts["test"]  # the test part is what the search never saw'
_RETURN = "    return (x[train], y[train]), (x[test], y[test])"


def _function(*lines: str) -> str:
    return "\n".join(lines)


def _data_constant(path: Path, said: str) -> str:
    return f"DATA = Path({source(str(path.resolve()))})  # {said}; --data names another place"


def _named(data: Named, data_dir: Path | None, rows: dict[str, list[Any]]) -> Loading:
    height, width, channels = data.input_shape
    if not data.facts.files:
        lines = [
            "def load_data():",
            f'    """The {data.facts.title} of scikit-learn, from 0 to {data.white:g}, and what each of them is."""',
            "    found = sklearn.datasets.load_digits()",
            "    x, y = found.images[..., None], found.target",
            _PARTS,
            _SPLIT,
            _RETURN,
        ]
        return Loading([_function(*lines)])
    path = find(data, data_dir=data_dir).path
    axis = "[..., None]" if channels == 1 else ""
    constants = []
    lines = [
        "def load_data():",
        f'    """{data.facts.title}: images (n, {height}, {width}, {channels}) from 0 to 255, and labels (n,)."""',
    ]
    if path is not None and path.suffix == ".npz":
        constants = [_data_constant(path, "x_train, y_train, x_test and y_test")]
        lines += [
            "    with np.load(DATA) as arrays:",
            '        x, y, x_test, y_test = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))',
        ]
    else:
        lines += [f"    (x, y), (x_test, y_test) = keras.datasets.{data.name}.load_data()"]
    if axis:
        lines += ["    x, x_test = x[..., None], x_test[..., None]"]
    lines += ["    y, y_test = y.reshape(-1), y_test.reshape(-1)"]
    if "train" in rows:
        lines += [_PARTS, '    x, y = x[parts["train"]], y[parts["train"]]  # what was trained on']
    return Loading([_function(*lines, "    return (x, y), (x_test, y_test)")], constants)


def _bundled_table(encoding: Encoding) -> Loading:
    lines = [
        "def load_data():",
        '    """The breast cancer table of scikit-learn: 30 scaled numbers a row (n, 30), and labels (n,)."""',
        "    found = sklearn.datasets.load_breast_cancer()",
        _PARTS,
        '    mean, spread = np.array(parts["scales"], dtype="float32").T  # of each column',
        '    x, y = (found.data.astype("float32") - mean) / spread, found.target',
        _SPLIT,
        _RETURN,
    ]
    return Loading([_function(*lines)], rows={"scales": _scales(encoding)})


def _scales(encoding: Encoding) -> list[list[float]]:
    spreads = np.sqrt(np.array(encoding.variances, dtype=np.float32))
    return [[mean, max(float(spread), 1e-7)] for mean, spread in zip(encoding.means, spreads, strict=True)]


def _arrays(data: Arrays, data_dir: Path | None, rows: dict[str, list[Any]]) -> Loading:
    path = find(data, data_dir=data_dir).path
    assert path is not None  # it was loaded
    height, width, channels = data.input_shape
    doc = f'    """Images (n, {height}, {width}, {channels}) from 0 to {data.white:g}, and labels (n,)."""'
    begin = ["def load_data():", doc]
    if data.labels is not None:
        named = [f"DATA.parent / {source(data.labels)}"]
        begin += ["    x = np.load(DATA)", f"    y = np.load({named[0]})"]
        labels = np.load(path.parent / data.labels, mmap_mode="r")
        return Loading([_function(*begin, *_one_pool(data, labels))], [_data_constant(path, "the images")])
    with np.load(path) as archive:
        keys = archive.files
        first = ("x_train", "y_train") if "x_train" in keys else ("x", "y")
        labels, images = archive[first[1]], archive[first[0]]
    whole = "x_train" in keys and "x_test" in keys
    wanted = ("x_train", "y_train", "x_test", "y_test") if whole else first
    variables = "x, y, x_test, y_test" if whole else "x, y"
    begin += [
        "    with np.load(DATA) as arrays:",
        f"        {variables} = (arrays[name] for name in {source(wanted)})",
    ]
    if images.ndim == 3:
        begin += ["    x, x_test = x[..., None], x_test[..., None]" if whole else "    x = x[..., None]"]
    constants = [_data_constant(path, ", ".join(wanted))]
    if not whole:
        return Loading([_function(*begin, *_one_pool(data, labels))], constants)
    begin += [f"    {name} = {_labels(data, labels, name)}" for name in ("y", "y_test") if _labels(data, labels, name)]
    if "train" in rows:
        begin += [_PARTS, '    x, y = x[parts["train"]], y[parts["train"]]  # what was trained on']
    return Loading([_function(*begin, "    return (x, y), (x_test, y_test)")], constants)


def _one_pool(data: Arrays, labels: Any) -> list[str]:
    """The end of ``load_data`` where a test part was set aside."""
    said = _labels(data, labels, "y")
    return [*([f"    y = {said}"] if said else []), _PARTS, _SPLIT, _RETURN]


def _labels(data: Arrays, labels: Any, name: str) -> str:
    """How labels become positions; empty where they are."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        return f"{name}.argmax(axis=1)"
    flat = f"{name}.reshape(-1)" if labels.ndim == 2 else name
    if labels.dtype.kind in "US":
        return f"np.array([{source(list(data.class_names))}.index(str(each)) for each in {flat}])"
    return flat if flat != name else "" if labels.dtype.kind in "iu" else f"{name}.astype(int)"


def _folder(data: ImageFolder, data_dir: Path | None, class_names: Sequence[str]) -> Loading:
    root = find(data, data_dir=data_dir).path
    assert root is not None  # it was loaded
    height, width, channels = data.input_shape
    test = test_folder(root, data)
    inner = "" if train_folder(root, data) == root else ' / "train"'
    sealed = inner if test is None else ' / "test"'
    load = _function(
        "def load_data():",
        '    """The photos that were trained on, and those that the search never saw."""',
        _PARTS,
        f'    return load_photos(DATA{inner}, parts["train"]), load_photos(DATA{sealed}, parts["test"])',
    )
    photos = _function(
        "def load_photos(folder, names):",
        f'    """Photos (n, {height}, {width}, {channels}) with pixels from 0 to 255, and labels (n,); a name is '
        'class/file."""',
        "    x = np.stack([load_photo(folder / name) for name in names])",
        '    return x, np.array([CLASSES.index(name.split("/")[0]) for name in names])',
    )
    constants = [
        _data_constant(root, "the folder with the photos"),
        f"CLASSES = {source(list(class_names))}",
    ]
    return Loading([load, photos, _photo(data.input_shape)], constants)


def _photo(shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    mode = "RGB" if channels == 3 else "L"
    lines = [
        "def load_photo(path):",
        f'    """A photo ({height}, {width}, {channels}), whatever its size."""',
        "    with Image.open(path) as photo:",
        f'        small = photo.convert("{mode}").resize(({width}, {height}), Image.Resampling.BILINEAR)',
        "    return np.asarray(small)" + ("" if channels == 3 else "[..., None]"),
    ]
    return _function(*lines)


def _table(
    data: Table, data_dir: Path | None, encoding: Encoding | None, names: Sequence[str], class_names: Sequence[str]
) -> Loading:
    path = find(data, data_dir=data_dir).path
    assert path is not None  # it was loaded
    with open(path, encoding="utf-8-sig", newline="") as file:
        first = file.readline()
    separator = max(",;\t", key=first.count)
    load = _function(
        "def load_data():",
        '    """The rows of the table that were trained on, and those that the search never saw."""',
        '    with open(DATA, encoding="utf-8-sig", newline="") as file:',
        f"        reader = csv.DictReader(file, delimiter={source(separator)}, skipinitialspace=True)",
        "        rows = [{name: cell.strip() for name, cell in row.items()} for row in reader]",
        "    rows = [row for row in rows if any(row.values())]",
        _PARTS,
        '    train, test = ([rows[place] for place in parts[part]] for part in ("train", "test"))',
        "    return load_rows(train, parts), load_rows(test, parts)"
        if TABLE in names
        else "    return load_rows(train), load_rows(test)",
    )
    reading = "load_rows(rows, parts)" if TABLE in names else "load_rows(rows)"
    inputs = {
        name: f"{source(name)}: load_photos(rows, {source(data.image_columns[name])})"
        for name in names
        if name != TABLE
    }
    if TABLE in names:
        inputs[TABLE] = '"table": encoded(rows, parts)'
    given = [f"        {each}," for each in inputs.values()]
    alone = next(iter(inputs.values())).split(": ", 1)[1] if len(inputs) == 1 else ""
    rows_of = _function(
        f"def {reading}:",
        '    """What the network reads of some rows, and what it is to tell."""',
        *([f"    x = {alone}"] if alone else ["    x = {", *given, "    }"]),
        f"    return x, {_told(data)}",
    )
    functions = [load, rows_of]
    rows: dict[str, Any] = {}
    constants = [_data_constant(path, "the table")]
    if data.cuts is None and not data.amount:
        constants.append(f"CLASSES = {source(list(class_names))}")
    if TABLE in names:
        assert encoding is not None  # the table has one
        functions.append(_encoded(data, encoding))
        rows["numbers"] = dict(zip(encoding.numeric, _scales(encoding), strict=True))
        rows["categories"] = {name: list(known) for name, known in encoding.categories.items()}
        rows["gaps"] = list(encoding.gaps)
    if any(name != TABLE for name in names):
        folder = f" / {source(data.folder)}" if data.folder else ""
        height, width, channels = data.input_shape
        functions += [
            _function(
                "def load_photos(rows, column):",
                f'    """The photos of a column (n, {height}, {width}, {channels}), pixels from 0 to 255."""',
                f"    return np.stack([load_photo(DATA.parent{folder} / row[column]) for row in rows])",
            ),
            _photo(data.input_shape),
        ]
    return Loading(functions, constants, rows)


def _told(data: Table) -> str:
    label = f"row[{source(data.label)}]"
    if data.amount:
        return f'np.array([float({label}) for row in rows], dtype="float32")'
    if data.cuts is not None:
        return f'np.searchsorted({source(list(data.cuts))}, [float({label}) for row in rows], side="right")'
    return f"np.array([CLASSES.index({label}) for row in rows])"


def _encoded(data: Table, encoding: Encoding) -> str:
    """The function that makes a vector of the columns of a row."""
    cell = "absent.get(row[name], row[name])" if data.missing else "row[name]"
    lines = [
        "def encoded(rows, facts):",
        f'    """The columns of a table as one vector (n, {encoding.width})."""',
        "    parts = []",
    ]
    if data.missing:
        lines.append(f"    absent = {source(dict.fromkeys(data.missing, ''))}")
    numbers = f'        values = np.array([float({cell} or "nan") for row in rows])'
    if encoding.numeric:
        lines += [
            '    for name, (mean, spread) in facts["numbers"].items():  # a missing number counts as the mean',
            numbers,
            "        parts.append(np.nan_to_num((values - mean) / spread)[:, None])",
        ]
    if encoding.gaps:
        lines += [
            '    for name in facts["gaps"]:  # 1 where a number is missing',
            f"        parts.append(np.array([[not {cell}] for row in rows]))",
        ]
    if encoding.categories:
        lines += [
            '    for name, known in facts["categories"].items():  # one for all others, one for none, one for each',
            '        places = {category: place for place, category in enumerate(["", *known], start=1)}',
            f"        found = [places.get({cell}, 0) for row in rows]",
            "        parts.append(np.eye(len(known) + 2)[found])",
        ]
    return _function(*lines, '    return np.concatenate(parts, axis=1).astype("float32")')
