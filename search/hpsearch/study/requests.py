"""What others ask of a run: to stop, or to train a recipe of theirs; each request is one file in ``requests/``.

The coordinator alone writes the record; whoever wants something of it leaves a file, which it takes away when it has
acted on it. A file is whole or not there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar
from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder

__all__ = ["Enqueued", "StopRequest", "answer", "clear", "enqueue", "queued", "request_stop", "stops"]

_STOP = "stop"
_RECIPE = "recipe"


@dataclass(frozen=True)
class StopRequest:
    """Somebody asks for an end.

    Args:
        path: The file of the request.
        trial: The trial to end, or None for the whole run.
    """

    path: Path
    trial: int | None


@dataclass(frozen=True)
class Enqueued:
    """A recipe that somebody wants to be trained.

    Args:
        path: The file of the request.
        name: What the user calls it.
        recipe: The recipe as source.
        choices: The parameters of the space with the answers that give it; without those of a ``build(hp)``.
        hash: Of its canonical form.
    """

    path: Path
    name: str
    recipe: str
    choices: tuple[tuple[Parameter, Scalar], ...]
    hash: str


def _folder(study: StudyFolder) -> Path:
    return study.path / "requests"


def _files(study: StudyFolder, kind: str) -> list[Path]:
    return sorted(_folder(study).glob(f"{kind}-*.json"))


# ---- to stop


def request_stop(study: StudyFolder, trial: int | None = None) -> Path:
    """Ask the run of a study to end in good order, or to end one trial; asking twice is asking once.

    Args:
        study: The study.
        trial: The number of the trial, or None for the whole run.

    Returns:
        The file, which is gone when the run has answered.

    Raises:
        OSError: It cannot be written.
    """
    _folder(study).mkdir(parents=True, exist_ok=True)
    path = _folder(study) / f"{_STOP}-{'run' if trial is None else f'{trial:05d}'}.json"
    write_json(path, {"trial": trial, "process": os.getpid(), "asked": time.time()})
    return path


def stops(study: StudyFolder) -> list[StopRequest]:
    """The requests to stop that wait for an answer.

    Args:
        study: The study.
    """
    # Its name says all, so that a file which cannot be read is obeyed as well.
    asked = [(path, path.stem.removeprefix(f"{_STOP}-")) for path in _files(study, _STOP)]
    return [
        StopRequest(path, None if what == "run" else int(what))
        for path, what in asked
        if what == "run" or what.isdecimal()
    ]


def answer(request: StopRequest | Enqueued) -> None:
    """Take a request away, because it was acted on.

    Args:
        request: The request; it may be gone already.

    Raises:
        OSError: The file cannot be removed.
    """
    request.path.unlink(missing_ok=True)


def clear(study: StudyFolder) -> None:
    """Take away the requests to stop that an earlier run left unanswered; what is enqueued stays.

    Args:
        study: The study, held for writing.
    """
    for request in stops(study):
        answer(request)


# ---- to train a recipe


def enqueue(
    study: StudyFolder, name: str, recipe: str, choices: tuple[tuple[Parameter, Scalar], ...], recipe_hash: str
) -> Enqueued:
    """Ask for a recipe to be trained, by the run that goes on or by the next; the study need not have begun.

    Args:
        study: The study.
        name: What the user calls it.
        recipe: The recipe as source.
        choices: The parameters of the space with the answers that give it.
        recipe_hash: Of its canonical form.

    Raises:
        OSError: It cannot be written.
    """
    _folder(study).mkdir(parents=True, exist_ok=True)
    last = max((_place(path) for path in _files(study, _RECIPE)), default=0)
    # In the order of enqueueing, even where the clock was put back in between.
    path = _folder(study) / f"{_RECIPE}-{max(time.time_ns(), last + 1):020d}-{os.getpid()}.json"
    said = [{"parameter": _parameter_said(parameter), "answer": chosen} for parameter, chosen in choices]
    write_json(path, {"name": name, "recipe": recipe, "hash": recipe_hash, "choices": said})
    return Enqueued(path, name, recipe, choices, recipe_hash)


def _place(path: Path) -> int:
    place = path.stem.split("-")[1]
    return int(place) if place.isdecimal() else 0


def queued(study: StudyFolder, on_bad: Callable[[Path, str], None] | None = None) -> list[Enqueued]:
    """The recipes that wait to be trained, in the order in which they were enqueued.

    Args:
        study: The study.
        on_bad: Told of each file that cannot be read, with a sentence; such a file is passed over.
    """
    found: list[Enqueued] = []
    for path in _files(study, _RECIPE):
        try:
            found.append(_read(path))
        except FileNotFoundError:
            continue  # answered meanwhile
        except (OSError, ValueError, TypeError, KeyError) as error:
            if on_bad is not None:
                on_bad(path, f"{path} is not a recipe that was enqueued ({error}); remove it and enqueue it again.")
    return found


def _read(path: Path) -> Enqueued:
    said = read_json(path)
    texts = {name: said[name] for name in ("name", "recipe", "hash")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("a text is missing")
    choices = tuple((_parameter_read(one["parameter"]), one["answer"]) for one in said["choices"])
    return Enqueued(path, texts["name"], texts["recipe"], choices, texts["hash"])


def _parameter_said(parameter: Parameter) -> dict[str, Any]:
    domain = parameter.domain
    if isinstance(domain, Choices):
        return {"name": parameter.name, "labels": list(domain.labels), "ordinal": domain.ordinal}
    return {"name": parameter.name, "low": domain.low, "high": domain.high, "step": domain.step, "log": domain.log}


def _parameter_read(said: dict[str, Any]) -> Parameter:
    if "labels" in said:
        return Parameter(said["name"], Choices(tuple(said["labels"]), said["ordinal"]))
    return Parameter(said["name"], Between(said["low"], said["high"], said["step"], said["log"]))
