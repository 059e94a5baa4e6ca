"""The formats of an export: which there are, what they need, and files that are only kept when they give the same.

Each file is written under a temporary name in one fresh process, loaded by its own runtime in another, and compared
with what the Keras model gave for real rows; only then does it get its final name.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpsearch.errors import InputError, RunError, did_you_mean
from hpsearch.study.atomic import read_json, write_json

__all__ = [
    "FORMATS",
    "Converted",
    "Format",
    "add_formats",
    "check_formats",
    "convert",
    "files_of",
    "lacking",
    "no_texts",
]


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: As ``--format`` and Keras call it.
        file: The file or folder that is written.
        runtime: Who runs it, for people.
        packages: The modules that writing and checking it need.
        extra: The extra of hpsearch that brings them; empty where they are there anyway.
        texts: Whether it can take texts, which are what columns of categories hold.
    """

    name: str
    file: str
    runtime: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    texts: bool = False


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("keras", "model.keras", "Keras", texts=True),
        Format("tf_saved_model", "saved_model", "TensorFlow", ("tensorflow",), texts=True),
        Format("onnx", "model.onnx", "ONNX Runtime", ("tensorflow", "tf2onnx", "onnx", "onnxruntime"), "onnx"),
        Format("litert", "model.tflite", "LiteRT", ("tensorflow", "ai_edge_litert"), "litert"),
        Format("openvino", "openvino", "OpenVINO", ("tensorflow", "openvino"), "openvino"),
    )
}
"""By name, in the order in which they are written."""

_WITHIN = {
    "saved_model": ("saved_model.pb", "fingerprint.pb", "variables/variables.*", "assets/*"),
    "openvino": ("model.xml", "model.bin"),
}
"""What is in those that are folders, as patterns."""

_MARK = "hpsearch format "
_SOURCE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Converted:
    """What became of a format.

    Args:
        format: Its name.
        file: The file or folder beside the model; empty where there is none.
        difference: The largest difference between its answers and the Keras model's, of amounts as a share of them;
            None where it could not be run.
        rows: On how many rows.
        tolerance: How large the difference may be.
        problem: Why there is no such file; empty where there is.
    """

    format: str
    file: str
    difference: float | None
    rows: int
    tolerance: float
    problem: str = ""

    @property
    def sentence(self) -> str:
        """What became of it, for people."""
        if self.problem:
            return f"{self.format} was not written: {self.problem}"
        runtime = FORMATS[self.format].runtime
        return (
            f"{self.file}: {runtime} gives the same answers on {self.rows} rows "
            f"(largest difference {self.difference:.1g}, allowed {self.tolerance:g})"
        )


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """The formats asked for, each once, once all that they need is known to be installed.

    Args:
        names: As the command line says them: ``["keras,onnx"]`` or ``["keras", "onnx"]``.

    Raises:
        InputError: There is no such format, or a converter is missing; the sentence says what to install.
    """
    wanted = {part.strip() for name in names for part in name.split(",") if part.strip()}
    for name in sorted(wanted - set(FORMATS)):
        raise InputError(
            f"--format got {name!r}, which is no format.{did_you_mean(name, FORMATS)} The formats are "
            f"{', '.join(FORMATS)}."
        )
    chosen = tuple(name for name in FORMATS if name in wanted)
    for name in chosen:
        missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
        if missing:
            what = f"hpsearch[{FORMATS[name].extra}]" if FORMATS[name].extra else "tensorflow"
            raise InputError(f"The format {name} needs {', '.join(missing)}: pip install '{what}'")
    return chosen


def no_texts(columns: Sequence[str]) -> str:
    """Why a format cannot hold a model, as the end of a sentence.

    Args:
        columns: What the model takes as texts, one or more.
    """
    listed = ", ".join(map(repr, columns))
    return f"the format holds no texts, which this model takes as {listed}; take tf_saved_model."


def files_of(formats: Iterable[str]) -> list[str]:
    """The files of formats, as patterns of paths in an export.

    Args:
        formats: Of `FORMATS`.
    """
    files = [FORMATS[name].file for name in formats]
    return [f"{file}/{each}" if each else file for file in files for each in _WITHIN.get(file, ("",))]


def lacking(folder: Path, formats: Sequence[str]) -> list[str]:
    """Which formats an export does not have yet.

    Args:
        folder: Of the export.
        formats: Of `FORMATS`; ``keras`` is there anyway.
    """
    there = _there(_known(folder), folder)
    return [name for name in formats if name != "keras" and name not in there]


def add_formats(study: Path, folder: Path, formats: Sequence[str]) -> tuple[Converted, ...]:
    """Write an export in formats that it does not have yet.

    Args:
        study: The folder of the study, which keeps the rows to compare with.
        folder: Of the export.
        formats: Of `FORMATS`; ``keras`` is there anyway.

    Returns:
        What became of each, those of earlier calls included; they are noted in ``metrics.json`` where that is there.
    """
    known, wanted = _known(folder), lacking(folder, formats)
    there = _there(known, folder)
    if not wanted:
        return tuple(there.values())
    if not (study / "probe.npz").exists():
        raise RunError(f"{study} does not hold the rows to compare with any more; export again with --reopen-test.")
    new = convert(folder / "model.keras", wanted, folder, study / "probe.npz")
    every = (*there.values(), *new)
    if known:
        write_json(folder / "metrics.json", {**known, "formats": [asdict(each) for each in every]})
    return every


def _known(folder: Path) -> dict[str, Any]:
    record = folder / "metrics.json"
    return read_json(record) if record.exists() else {}


def _there(known: dict[str, Any], folder: Path) -> dict[str, Converted]:
    before = {each["format"]: Converted(**each) for each in known.get("formats", ())}
    return {name: each for name, each in before.items() if each.file and (folder / each.file).exists()}


def convert(
    model: Path,
    formats: Sequence[str],
    folder: Path,
    probe: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Converted]:
    """Write a model in other formats, and keep what gives the same answers.

    Args:
        model: The ``.keras`` file.
        formats: Of `FORMATS`; ``keras`` is only checked.
        folder: Where the files go.
        probe: The ``.npz`` file with real rows, ``inputs/<name>``, and what the model gave for them, ``outputs``.
        tell: Told which format is in the making.

    Raises:
        RunError: The model cannot even be loaded.
    """
    done = {}
    if "keras" in formats:
        done["keras"] = _checked("keras", model, model, probe, {"tolerance": 0.0})
    building = folder / ".formats.new"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        for said in _written(model, [name for name in formats if name != "keras"], building, probe, tell):
            name = said["format"]
            place = building / FORMATS[name].file
            done[name] = _checked(name, place, folder / FORMATS[name].file, probe, said)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return [done[name] for name in FORMATS if name in done]


def _written(
    model: Path, formats: list[str], building: Path, probe: Path, tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """What the exporters say of each format; one that takes the whole process down costs the others nothing."""
    left = list(formats)
    while left:
        tell(f"Writing {', '.join(left)}")
        places = [f"{name}={_place(building, name)}" for name in left]
        answers, error = _run("hpsearch.training.formats", str(model), str(probe), *places)
        yield from answers
        told = [answer["format"] for answer in answers]
        left = left[len(told) :]
        if left and error:
            if not told and "load_model" in error:
                raise RunError(f"{model} cannot be loaded on TensorFlow: {_last_line(error)}")
            yield {"format": left.pop(0), "tolerance": 0.0, "problem": _last_line(error)}


def _place(building: Path, name: str) -> Path:
    place = building / FORMATS[name].file
    if name != "openvino":
        return place
    place.mkdir(exist_ok=True)  # two files that belong together
    return place / "model.xml"


def _checked(name: str, place: Path, final: Path, probe: Path, said: dict[str, Any]) -> Converted:
    """Load a file in its own runtime and, if it gives the same, let it have its final name."""
    tolerance = float(said["tolerance"])
    if problem := no_texts(said["texts"]) if said.get("texts") else said.get("problem"):
        return Converted(name, "", None, 0, tolerance, problem)
    answers, error = _run("hpsearch.training.converted", name, str(place), str(probe))
    if not answers:
        return Converted(name, "", None, 0, tolerance, f"{FORMATS[name].runtime} cannot run it: {_last_line(error)}")
    difference, rows = float(answers[0]["difference"]), int(answers[0]["rows"])
    tolerance = float(answers[0].get("tolerance", tolerance))
    if not difference <= tolerance:
        problem = f"its answers differ by {difference:.2g} from the Keras model's, and {tolerance:g} is allowed."
        return Converted(name, "", difference, rows, tolerance, problem)
    if place != final:
        if final.is_dir():
            shutil.rmtree(final)
        os.replace(place, final)
    return Converted(name, final.name, difference, rows, tolerance)


def _run(module: str, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The answers of a fresh process, and what it said when it failed."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_SOURCE), os.environ.get("PYTHONPATH", "")])),
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    lines = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    return [json.loads(line) for line in lines], done.stderr if done.returncode else ""


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:300] if lines else "it ended without a word."
