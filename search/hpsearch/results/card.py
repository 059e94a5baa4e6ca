"""The model card that lies beside an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpsearch.results.tested import said
from hpsearch.study.folder import StudyInfo
from hpsearch.study.trial import Trial

if TYPE_CHECKING:
    from hpsearch.results.export import Export
    from hpsearch.results.tested import Tested

__all__ = ["card"]


def card(info: StudyInfo, trials: Sequence[Trial], chosen: Trial, export: Export) -> str:
    """The card as Markdown.

    Args:
        info: The study.
        trials: All its trials.
        chosen: The trial that was exported.
        export: The retrained networks and their scores.
    """
    hours = sum(trial.seconds for trial in trials) / 3600
    looks = sum(trial.epochs for trial in trials)
    opened = len(info.test_openings)
    part = f" (a subset of {info.subset} training images was searched)" if info.subset else ""
    chosen_by = (
        f"{info.objective} on {info.validation_images:,} validation images, out of {len(trials)} trials "
        f"({hours:.2f} hours, {looks:,} looks at validation)"
    )
    retrained = (
        f"{export.train_images:,} images) for {export.chosen.epochs} epochs at the learning rates of the validated "
        f"run, with seed {chosen.seed}, fixed before."
    )
    honesty = "once." if opened == 1 else f"{opened} times: only the first opening is an honest test."
    lines = [
        f"# {info.name}: {', '.join(info.class_names) or 'amounts'}",
        "",
        *_use(amounts=not info.class_names),
        "",
        *_heading(export.chosen),
        _row("exported", export.chosen),
        *([_row("best by hand", export.baseline)] if export.baseline else []),
        "",
        f"- Data: `{info.data_text.strip()}`{part}, fingerprint `{info.data_fingerprint}`.",
        f"- Chosen by {chosen_by}: the validation score of a winner is optimistic.",
        f"- Retrained on train + validation ({retrained}",
        f"- Tested on {export.test_images:,} images that no search saw, opened {honesty}",
        "- An interval is the sampling error of the test part; another seed would give another network.",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in info.versions.items())}.",
        "",
        "## Recipe",
        "",
        "```python",
        chosen.recipe,
        "```",
        "",
    ]
    return "\n".join(lines)


def _use(*, amounts: bool) -> list[str]:
    gives = "amounts in the unit of the data" if amounts else "class probabilities"
    return [
        f"`model.keras` takes raw pixels and columns, as the data holds them, and gives {gives}. It is made of stock",
        'Keras layers and loads without hpsearch: `keras.saving.load_model("model.keras")`. `inputs.json` says what it',
        "takes: name, shape and type of each input, its column, and what stands for a missing value. Where",
        "`predict.py` lies beside it, `python predict.py rows.csv` (or `python predict.py photo.jpg`) prints answers.",
    ]


def _heading(tested: Tested) -> list[str]:
    """What the table tells; an interval only where one is known."""
    found = [f"test {each.metric}{' (95 % interval)' if each.bounds else ''}" for each in tested.told]
    columns = ["network", "trial", "parameters", f"validation {tested.metric}".rstrip(), *found]
    if tested.loss_apart:
        columns.append("test loss")
    return [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]


def _row(what: str, tested: Tested) -> str:
    cells = [what, tested.name, f"{tested.parameters:,}", said(tested.validation), *map(str, tested.told)]
    if tested.loss_apart:
        cells.append(said(tested.loss))
    return f"| {' | '.join(cells)} |"
