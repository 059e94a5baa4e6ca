"""The model card that lies beside an exported model."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.results.examples import examples
from hpsearch.results.finals import Finals, read_finals
from hpsearch.results.snippets import snippet
from hpsearch.results.tested import said
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Trial
from hpsearch.wording import code_on_a_line, difference, duration, signed

if TYPE_CHECKING:
    from hpsearch.results.shipped import Export, Seeds
    from hpsearch.results.tested import Tested

__all__ = ["card", "curve"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_LONGEST = 60
_FIRST_SEED = "It is that of the first seed; `model.keras` holds one for each seed and gives the mean of their answers."


def card(
    study: StudyFolder,
    info: StudyInfo,
    chosen: Trial,
    export: Export,
    inputs: Sequence[Mapping[str, Any]],
    beside: Collection[str],
) -> str:
    """The card as Markdown.

    Args:
        study: The study.
        info: What it is.
        chosen: The trial that was exported, with the seed of its network.
        export: The retrained networks and their scores; its files may still lie elsewhere than it says.
        inputs: What the model takes, as ``inputs.json`` says it.
        beside: The names of the other files of the export.
    """
    trials = study.trials()
    rows = examples(info)
    finals = read_finals(study) if export.finals else None
    lines = [
        f"# {_plain(info.name)}: {', '.join(map(_plain, info.class_names)) or 'amounts'}",
        "",
        *_use(inputs, beside, amounts=not info.class_names),
        *([_FIRST_SEED] if export.ensemble else []),
        "",
        "## What it scores",
        "",
        *_scores(export),
        *_seeds(export),
        "",
        "## How it was found",
        "",
        *_found(study, info, trials, chosen, export, finals, rows),
        "",
        *_curve(study, info, chosen),
        "## What was not tested",
        "",
        *_limits(info, export, rows),
        "",
        *_loading(export, inputs),
        "## Recipe",
        "",
        "```python",
        chosen.recipe,
        "```",
        "",
    ]
    return "\n".join(lines)


def _loading(export: Export, inputs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How each file is loaded."""
    yield "## How to load it"
    yield ""
    if len(inputs) > 1 and any(each.file and each.format != "keras" for each in export.formats):
        yield "Other formats than Keras's own write `_` where the name of an input holds another sign than a letter, a"
        yield "digit or `_`."
        yield ""
    for name in ("keras", *(each.format for each in export.formats if each.file and each.format != "keras")):
        yield "```python"
        yield snippet(name, inputs)
        yield "```"
        yield ""
    for each in export.formats:
        if each.file:
            yield f"- {each.sentence}."
    if export.formats:
        yield ""


_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", **{sign: f"\\{sign}" for sign in "\\`*[]|#"}})


def _plain(text: str) -> str:
    """A text from outside without what Markdown or HTML would make of it."""
    return " ".join(text.translate(_ESCAPED).split())


def _use(inputs: Sequence[Mapping[str, Any]], beside: Collection[str], *, amounts: bool) -> list[str]:
    """What it takes and gives, and which commands answer."""
    gives = "amounts in the unit of the data" if amounts else "class probabilities"
    photos = [each["kind"] == "image" for each in inputs]
    takes = " and ".join(["raw pixels"] * any(photos) + ["columns of a table"] * (not all(photos)))
    kept = "name, shape and type of each input"
    kept += "" if all(photos) else ", its column, and what stands for a missing value"
    # Photos of several inputs belong together, which rows of a table say.
    file = "photo.jpg" if photos == [True] else "rows.csv"
    text = f"`model.keras` takes {takes}, as the data holds them, and gives {gives}. It is made of stock Keras layers "
    text += f"and loads without hpsearch. `inputs.json` says what it takes: {kept}. `hpsearch predict FOLDER {file}` "
    text += "answers"
    text += f"; so does `python predict.py {file}`, without hpsearch." if "predict.py" in beside else "."
    if "train.py" in beside:
        text += " `train.py` is the network as plain Keras code: it builds, trains and tests it anew, without hpsearch."
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\N{NO-BREAK SPACE}"), text)  # commands stay on a line
    lines = textwrap.wrap(whole, 118, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _scores(export: Export) -> Iterator[str]:
    """What the table tells; an interval only where one is known."""
    found = [f"test {each.metric}{' (95 % interval)' if each.bounds else ''}" for each in export.chosen.told]
    columns = ["network", "trial", "parameters", f"validation {export.chosen.metric}".rstrip(), *found]
    if export.chosen.loss_apart:
        columns.append("test loss")
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join(['---'] * len(columns))} |"
    yield _row("exported", export.chosen)
    if export.baseline:
        yield _row("best by hand", export.baseline)


def _row(what: str, tested: Tested) -> str:
    cells = [what, _plain(tested.name), f"{tested.parameters:,}", said(tested.validation), *map(str, tested.told)]
    if tested.loss_apart:
        cells.append(said(tested.loss))
    return f"| {' | '.join(cells)} |"


def _seeds(export: Export) -> Iterator[str]:
    """What several seeds score, where there are several."""
    if export.seeds is None or len(export.seeds.seeds) < 2:
        return
    metric = export.metric_of_seeds
    known = " (95 % interval)" if export.seeds.low is not None else ""
    yield ""
    yield f"Test {metric} of every seed:"
    yield ""
    yield f"| network | {' | '.join(f'seed {seed}' for seed in export.seeds.seeds)} | mean {metric}{known} |"
    yield f"| {' | '.join(['---'] * (len(export.seeds.seeds) + 2))} |"
    yield _row_of_seeds("exported", export.seeds)
    if export.baseline_seeds:
        yield _row_of_seeds("best by hand", export.baseline_seeds)
    if export.seeds.verdict:
        words = {"better": "better than", "worse": "worse than", "tie": "a tie with"}
        yield ""
        yield (
            f"In mean {metric} on the test part it is {words[export.seeds.verdict]} the best network made by hand: "
            f"{difference(export.seeds.difference, export.seeds.difference_low, export.seeds.difference_high)}."
        )
    elif export.baseline_seeds:
        yield ""
        apart = signed(export.seeds.difference)
        yield f"Mean {metric} minus that of the best network made by hand: {apart}; no interval, so no verdict."
    if export.seeds.without_interval:
        yield ""
        yield f"There is no interval of the {metric}: {export.seeds.without_interval}."


def _row_of_seeds(what: str, seeds: Seeds) -> str:
    between = "" if seeds.low is None or seeds.high is None else f" ({said(seeds.low)} to {said(seeds.high)})"
    return f"| {what} | {' | '.join(map(said, seeds.scores))} | {said(seeds.mean)}{between} |"


def _found(
    study: StudyFolder,
    info: StudyInfo,
    trials: Sequence[Trial],
    chosen: Trial,
    export: Export,
    finals: Finals | None,
    rows: str,
) -> Iterator[str]:
    again = study.finals.trials() if finals is not None else []
    spent = duration(sum(trial.seconds for trial in (*trials, *again)))
    looks = sum(trial.epochs for trial in (*trials, *again))
    part = f" (a subset of {info.subset:,} training {rows} was searched)" if info.subset else ""
    yield f"- Data: `{code_on_a_line(info.data_text)}`{part}, fingerprint `{info.data_fingerprint}`."
    count = f"{len(trials):,} trial{'s' * (len(trials) != 1)}"
    yield (
        f"- Searched: {count} in {spent} of training, {looks:,} looks at validation, by "
        f"{info.strategy}, for {info.objective} on {info.validation_images:,} validation {rows}."
    )
    if finals is not None:
        yield from _of_finals(finals, chosen, rows)
    else:
        yield "- Chosen by its validation score, which is optimistic, because it won: no finals were held."
    what = f"the mean of {len(export.seeds.seeds)} networks" if export.ensemble and export.seeds else "the network"
    yield (
        f"- Retrained on train + validation ({export.train_images:,} {rows}) for {_epochs(export.chosen.epochs)} at "
        f"the learning rates of the validated run; exported is {what} of seed {chosen.seed}, fixed before."
        if not export.ensemble
        else f"- Retrained on train + validation ({export.train_images:,} {rows}) for {_epochs(export.chosen.epochs)}; "
        f"exported is {what}, fixed before."
    )
    opened = len(info.test_openings)
    honesty = "once." if opened == 1 else f"{opened} times: only the first opening is an honest test."
    yield f"- Tested on {export.test_images:,} {rows} that no search saw, opened {honesty}"
    yield f"- Versions: {', '.join(f'{name} {version}' for name, version in info.versions.items())}."


def _of_finals(finals: Finals, chosen: Trial, rows: str) -> Iterator[str]:
    mine = finals.finalist(chosen.number)
    yield (
        f"- Finals: {len(finals.finalists)} recipes, each trained with {len(finals.seeds)} seeds and compared on "
        f"{finals.validation:,} validation {rows}."
    )
    if mine is None or mine.mean is None:
        return
    between = "" if mine.low is None or mine.high is None else f" ({said(mine.low)} to {said(mine.high)})"
    line = f"- Its mean {finals.objective.split()[-1].removeprefix('val_')} there: {said(mine.mean)}{between}"
    if mine.verdict is not None and mine.difference is not None:
        words = {"better": "better than", "worse": "worse than", "tie": "a tie with"}
        line += f"; {words[mine.verdict]} the best network made by hand ({signed(mine.difference)})"
    yield f"{line}."
    if mine.chance == "tie":
        yield "- **It is a tie with chance: nothing was learned that helps on others.**"


def _curve(study: StudyFolder, info: StudyInfo, chosen: Trial) -> Iterator[str]:
    metric = info.objective.split()[-1]
    history = study.trial(chosen.number).history()
    train, validation = ([e.metrics.get(name) for e in history] for name in (metric.removeprefix("val_"), metric))
    if not any(value is not None for value in validation):
        return
    yield f"Its curve in the search, epoch by epoch ({len(history)}):"
    yield ""
    yield "```"
    for name, values in ((metric.removeprefix("val_"), train), (metric, validation)):
        known = [value for value in values if value is not None]
        if known:
            yield f"{name:<14} {curve(known)}  {min(known):.4g} to {max(known):.4g}, last {known[-1]:.4g}"
    yield "```"
    yield ""


def curve(values: Sequence[float]) -> str:
    """Numbers as a line of small blocks, from their least to their largest.

    Args:
        values: One or more; of many, evenly spaced ones are shown.
    """
    if len(values) > _LONGEST:
        values = [values[round(i * (len(values) - 1) / (_LONGEST - 1))] for i in range(_LONGEST)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[min(int((value - low) / span * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in values)


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number != 1)}"


def _limits(info: StudyInfo, export: Export, rows: str) -> Iterator[str]:
    yield (
        f"- {rows.capitalize()} from elsewhere: all {export.test_images:,} that it was tested on come from the same "
        "source as those that it learned from."
    )
    if info.class_names:
        yield "- Anything that belongs to none of its classes: it names one all the same, and may be sure of it."
        yield "- How well its probabilities are calibrated, and how it does on groups within a class."
    yield f"- {rows.capitalize()} that were changed on purpose to mislead it, and speed or memory on any device."
    yield f"- The interval of a single network is the sampling error of the test {rows} alone."
    if info.subset:
        yield f"- What it would be with all training {rows}: it learned from a subset of {info.subset:,}."
