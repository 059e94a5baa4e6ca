"""The standalone script of an export, put together: ``train.py``, ``data.json``, and what was trained before."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from hpsearch.data.classes import with_classes
from hpsearch.data.listing import Listing, listed
from hpsearch.recipe import HyperModel
from hpsearch.training.build import Built
from hpsearch.training.exporting import Source
from hpsearch.training.inputs import Inputs
from hpsearch.training.script.augmenting import augmented_lines, augmenting_classes
from hpsearch.training.script.builder import build_text, fit_text
from hpsearch.training.script.fitting import Replay, evaluate_text, train_text
from hpsearch.training.script.helpers import BOTH_WAYS, DIRAC, WHITEN
from hpsearch.training.script.loading import Loading, loading_text
from hpsearch.training.script.model import model_text

__all__ = ["Replay", "save_script", "script_folder"]


def script_folder(model: Path) -> Path:
    """The folder that takes the script of a model.

    Args:
        model: Its ``.keras`` file.
    """
    return model.with_suffix(".script")


def save_script(built: Built, source: Source, replay: Replay, seed: int, model: Path) -> None:
    """Write the script of a network that was trained again; where that cannot be, ``missing.txt`` says why.

    Args:
        built: The trained network and its complete recipe.
        source: What it was trained on.
        replay: What the retraining went through.
        seed: Of weights, shuffles and dropout.
        model: The ``.keras`` file of the network; the script goes into `script_folder` of it.
    """
    folder = script_folder(model)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        listing = listed(source.declaration, data_dir=source.data_dir, subset=source.subset)
        text, rows = _script(built, source, listing, replay, seed, folder)
        compile(text, "train.py", "exec")
    except Exception as error:  # noqa: BLE001  # a script is a gift; for the want of it no training is thrown away
        (folder / "missing.txt").write_text(
            f"There is no train.py: {str(error) or type(error).__name__}\n", encoding="utf-8"
        )
        return
    (folder / "train.py").write_text(text, encoding="utf-8")
    if rows:
        (folder / "data.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")


def _script(
    built: Built, source: Source, listing: Listing, replay: Replay, seed: int, folder: Path
) -> tuple[str, dict[str, object]]:
    """The text of a script, and what ``data.json`` holds."""
    inputs, network = source.inputs, built.network
    data = with_classes(source.declaration, data_dir=source.data_dir)
    given = {entry.name for entry in getattr(network, "inputs", None) or ()}
    names = [name for name in inputs.features if name in given]
    loading = loading_text(
        data, source.data_dir, listing, source.encoding, names or list(inputs.features), source.class_names
    )
    if isinstance(built.recipe.model, HyperModel):
        parts = _of_builder(built, inputs, replay, source.metrics)
    else:
        one = network.output_shape[-1] == 1
        written = model_text(built, folder, _answer(source, one))
        trained = train_text(built, inputs, replay)
        parts = [*written.classes.values(), *written.functions, trained, evaluate_text(inputs, one, source.metrics)]
    start = "\n".join([_START, *([_ASKED] if loading.from_place else []), "    main()\n"])
    body = "\n\n\n".join([*loading.functions, *parts, _main(built, inputs), start])
    return "\n".join([_head(body, loading, replay, seed), body]), loading.rows


def _of_builder(built: Built, inputs: Inputs, replay: Replay, metrics: Sequence[str]) -> list[str]:
    network = built.network
    if not hasattr(network, "_nodes_by_depth") and not hasattr(network, "_functional"):
        changes, classes = [], []
    else:
        changes, classes = augmented_lines(built, inputs), list(augmenting_classes(built))
    compiled = bool(network.compiled)
    one = network.output_shape[-1] == 1
    trained = fit_text(built, inputs, replay, compiled, changes)
    return [build_text(built), *classes, trained, evaluate_text(inputs, one, metrics)]


def _answer(source: Source, one: bool) -> str:
    if not source.class_names:
        return "What it tells, in standard deviations"
    if one:
        return f"The probability of {' '.join(source.class_names[-1].split())}"
    return "A probability for each class"


def _main(built: Built, inputs: Inputs) -> str:
    model = built.recipe.model
    scaled = []
    if isinstance(model, HyperModel) and model.pixels == "0..1" and any(len(s) == 3 for s in inputs.features.values()):
        scaled = [f"    x, x_test = x / {inputs.white:g}, x_test / {inputs.white:g}  # pixels from 0 to 1"]
    lines = [
        "def main():",
        '    """Load, build, train, test, save."""',
        "    keras.utils.set_random_seed(SEED)",
        "    (x, y), (x_test, y_test) = load_data()",
        *scaled,
        "    model = build_model()",
        "    model.summary()",
        "    train(model, x, y)",
        *(["    model = both_ways(model)"] if built.mirrored else []),
        "    evaluate(model, x_test, y_test)",
        '    model.save("trained.keras")',
    ]
    return "\n".join(lines)


_START = 'if __name__ == "__main__":'
_ASKED = """    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, default=DATA, metavar="PATH", help="where the data lies")
    DATA = options.parse_args().data"""

_HELPERS = {
    "leaves(": '''def leaves(model):
    """The layers of a model, those of models within it in their place."""
    for layer in model.layers:
        yield from leaves(layer) if isinstance(layer, keras.Model) else [layer]''',
    "area(": '''def area(shares, theirs):
    """How often an example of a class has the larger share of it than one that is not: the area under the ROC curve."""
    others = np.sort(shares[~theirs])
    places = [np.searchsorted(others, shares[theirs], side) for side in ("left", "right")]  # a tie is half a time
    return np.mean(places) / len(others)''',
    "changed(": '''def changed(augment, images):
    """A copy of the images, each changed at random."""
    found = [
        ops.convert_to_numpy(augment(images[start : start + 64].astype("float32"), training=True))
        for start in range(0, len(images), 64)
    ]
    found = np.concatenate(found)
    return np.rint(found).clip(0, 255).astype("uint8") if images.dtype == "uint8" else found''',
    "dirac(": DIRAC,
    "whiten(": WHITEN,
    "both_ways(": BOTH_WAYS,
}

_STANDARD = ("argparse", "contextlib", "csv", "json", "math")


def _head(body: str, loading: Loading, replay: Replay, seed: int) -> str:
    """Docstring, imports, constants, and helpers that are needed."""
    helpers = [text for name, text in _HELPERS.items() if re.search(rf"(?<!\w){re.escape(name)}", body)]
    whole = "\n".join([*loading.constants, *helpers, body])
    standard = [f"import {name}" for name in _STANDARD if re.search(rf"(?<![\w.]){name}\.", whole)]
    standard.append("import os")
    if "Path(" in whole or "HERE" in whole:
        standard.append("from pathlib import Path")
    others = ["import keras"]
    if re.search(r"(?<![\w.])np\.", whole):
        others.append("import numpy as np")
    if "sklearn.datasets" in whole:
        others.append("import sklearn.datasets")
    used = [name for name in ("layers", "ops") if re.search(rf"(?<![\w.]){name}\.", whole)]
    if used:
        others.append(f"from keras import {', '.join(used)}")
    if "Image." in whole:
        others.append("from PIL import Image")
    place = ["HERE = Path(__file__).resolve().parent"] if "HERE" in body else []
    lines = [
        '"""The network that hpsearch found, as plain Keras code, which needs no hpsearch.',
        "",
        "    python train.py                 trains it anew, tests it, and saves it as trained.keras",
        *(
            ["    python train.py --data PATH     the same, with the data elsewhere than DATA says"]
            * loading.from_place
        ),
        "",
        f"It trains for {len(replay.learning_rates)} epochs on train and validation together, as what was exported.",
        '"""',
        "",
        *standard,
        "",
        'os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # less of TensorFlow\'s log',
        "",
        *others,
        "",
        *place,
        f"SEED = {seed}",
        *loading.constants,
        "",
        "",
    ]
    return "\n".join([*lines, *(f"{text}\n\n" for text in helpers)])
