"""What the parts of a space must agree on: data, heads, losses, metrics, phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpsearch.declare import brief
from hpsearch.domains import possible
from hpsearch.errors import SpaceError, join_address
from hpsearch.metrics import misfit
from hpsearch.recipe import Recipe
from hpsearch.regime import disagreement, idle_tuning

__all__ = ["check_agreement", "check_measurable"]


def check_measurable(classes: int, objective: str, metrics: Sequence[str]) -> None:
    """Check that the objective and the other metrics fit the data.

    Args:
        classes: How many classes the data has; 0 where it has amounts.
        objective: The metric that is made large or small, such as ``val_accuracy``.
        metrics: The metrics that are recorded besides.

    Raises:
        SpaceError: One cannot be measured.
    """
    if problem := misfit(objective, classes):
        raise SpaceError(problem, "objective")
    for place, name in enumerate(metrics):
        if problem := misfit(name, classes):
            raise SpaceError(problem, f"metrics[{place}]")


def check_agreement(recipe: Recipe, classes: int, objective: str, address: str = "") -> None:
    """Check that a recipe, with or without domains, fits the data and itself.

    Args:
        recipe: The recipe.
        classes: How many classes the data has; 0 where it has amounts.
        objective: The metric that is made large or small, such as ``val_accuracy``.
        address: Where the recipe stands.

    Raises:
        SpaceError: It does not; the sentence says where.
    """
    if problem := idle_tuning(recipe.model, recipe.training):
        raise SpaceError(problem, join_address(address, "training.fine_tune"))
    if found := disagreement(recipe.model, recipe.training):
        raise SpaceError(found[1], join_address(address, found[0]))
    if problem := _wrong_head(recipe.model, classes):
        raise SpaceError(problem, join_address(address, "model.head"))
    for training in possible(recipe.training):
        if problem := _wrong_weights(training.class_weight, classes):
            raise SpaceError(problem, join_address(address, "training.class_weight"))
        losses = {"mean_squared_error" if loss is None else loss for loss in possible(training.loss)}
        if objective == "val_loss" and len(losses) > 1:
            problem = (
                f"got {brief(training.loss)} while the objective is val_loss, which differs in meaning between them"
            )
            raise SpaceError(f'{problem}; write objective="min val_mae".', join_address(address, "training.loss"))


def _wrong_head(model: Any, classes: int) -> str | None:
    heads = [head for each in possible(model) for head in possible(getattr(each, "head", None)) if head is not None]
    if "linear" in heads and classes:
        return f'got "linear", which tells an amount, but the data has {classes} classes; write "softmax".'
    wrong = next((head for head in heads if head != "linear"), None)
    if wrong is not None and not classes:
        return f'got "{wrong}", which tells classes, but the data has amounts; write "linear".'
    return None


def _wrong_weights(weights: Any, classes: int) -> str | None:
    lists = [each for each in possible(weights) if isinstance(each, tuple)]
    wrong = next((each for each in lists if len(each) != classes), None)
    if wrong is None:
        return None
    return f"got {len(wrong)} numbers for {classes} classes; write one a class, in the order of the class names."
