"""A trial as it was trained in the search: its network with the weights of its best epoch, in a file of Keras."""

from __future__ import annotations

import os
from typing import Any

from hpsearch.blocks.origin import SAVED, Origin, sign
from hpsearch.data.loading import SearchData
from hpsearch.errands import Save, Saved
from hpsearch.errors import StudyError
from hpsearch.space import Objective, Space
from hpsearch.training.build import Built
from hpsearch.training.checkpoint import Checkpoint, read_checkpoints
from hpsearch.training.exporting import Source, save_export
from hpsearch.training.features import SWITCH
from hpsearch.training.fit import evaluate
from hpsearch.training.inputs import Inputs
from hpsearch.training.plan import Plan
from hpsearch.training.scoring import changed_by_loading
from hpsearch.training.state import StateError, assign

__all__ = ["save_trial"]


def save_trial(task: Save, built: Built, hash_: str, space: Space, data: SearchData, inputs: Inputs) -> Saved:
    """Save the network of a trial with the weights of its best epoch, which it is given here.

    Args:
        task: The trial, and where to write it.
        built: Its network, just built.
        hash_: The hash of the recipe that gave the network.
        space: The space.
        data: Its data; the network is measured on the validation part, which it was not trained on.
        inputs: What the network was built for.

    Raises:
        StudyError: There is no checkpoint that fits.
    """
    if hash_ != task.hash:
        raise StudyError(
            "its recipe does not give the network that was trained; code that its space file imports, or a trained "
            "model that it takes, is another now."
        )
    objective = Objective.parse(space.objective)
    measured = (objective.metric, *space.metrics)
    os.environ[SWITCH] = "off"  # nothing is trained here, so no features are wanted
    plan = Plan(built, inputs, (data.train, data.validation), task.seed, measured, task.epochs)
    said = _restored(plan, read_checkpoints(task.folder, hash_))
    found = evaluate(built, data.validation, inputs, metrics=measured)
    save_export(built, Source(space.declaration, inputs, data.encoding, data.class_names), task.model, data.validation)
    sign(task.model, Origin(data.fingerprint, SAVED, task.study, task.trial))
    return Saved(
        built.parameters,
        said["best_epoch"],
        said["best"],
        found[objective.metric.removeprefix("val_")],
        changed_by_loading(task.model),
    )


def _restored(plan: Plan, checkpoints: list[Checkpoint]) -> Any:
    """Give a network the best weights of the first checkpoint that has any; returns what that one says."""
    for checkpoint in checkpoints:
        said, arrays = checkpoint.header, checkpoint.arrays
        if said["best"] is None:
            continue
        plan.enter(said["phase"])
        try:
            if said["best_is_last"]:
                held = {name: array for name, array in arrays.items() if name.startswith("model/")}
                assign({"model": list(plan.state.variables)}, held)
            else:
                plan.network.set_weights([arrays[f"best/{place}"] for place in range(said["weights"])])
        except (StateError, ValueError, KeyError):
            continue
        return said
    raise StudyError("none of its checkpoints can be read and holds weights that fit its network.")
