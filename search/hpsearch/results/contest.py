"""Holding finals: who takes part, which seeds, and what is still to be trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hpsearch.coordinator.agenda import Repeat
from hpsearch.coordinator.rounds import unfinished
from hpsearch.errors import RunError, StudyError
from hpsearch.repeats import Workplace, run_repeats
from hpsearch.results.finals import Finals, read_finals, write_finals
from hpsearch.results.judging import judged
from hpsearch.results.leaderboard import rank
from hpsearch.results.setup import setup_of
from hpsearch.running import Show
from hpsearch.strategies.seeds import seed_for
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Trial

__all__ = ["Terms", "entrants", "entrants_now", "hold_finals", "nothing_to_show", "seeds_of"]

SEEDS = 3


@dataclass(frozen=True)
class Terms:
    """What was asked of finals; what is None is as it was, or 3 recipes, 1 baseline and 3 seeds.

    Args:
        top: How many of the best found recipes take part.
        baselines: How many of the best hand-made networks; one always does where there is one.
        seeds: With how many seeds each is trained; no fewer than all were trained with before.
        workplace: Where, and for how long.
        data_dir: Where to look for data first; None is where the search found it.
    """

    top: int | None = None
    baselines: int | None = None
    seeds: int | None = None
    workplace: Workplace = field(default_factory=Workplace)
    data_dir: Path | None = None


def hold_finals(
    study: StudyFolder,
    terms: Terms,
    show: Show,
    starting: Callable[[Sequence[Repeat]], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Finals, str]:
    """Train the best recipes and the best baselines of a study again; what was trained before stays and counts.

    Args:
        study: The study, held for writing.
        terms: What was asked.
        show: Opens whatever shows the run.
        starting: Told what there is to train, before the seconds of loading; not called where nothing is left.
        tell: Told on what is trained, and whatever is amiss there.

    Returns:
        What they say, and what stopped them, such as ``by SIGINT``; empty where nothing did.

    Raises:
        StudyError: There is nothing to train, or data, space or record are not what they were.
        RunError: The finals could not go on, or not one finalist could be trained.
    """
    info, before = study.info(), read_finals(study)
    top, baselines, seeds = _terms(terms, before)
    repeats = _repeats(study, info, top, baselines, seeds)

    def write() -> Finals:
        found = replace(judged(study, repeats), top=top, baselines=baselines)
        write_finals(study, found)
        return found

    def on_ended() -> None:
        # It is made from the record, so that one which cannot be written now is no loss.
        with contextlib.suppress(OSError):
            write()

    stopped = ""
    left = unfinished(repeats, study.finals.trials())
    if left:
        starting(left)
        setup = setup_of(study, info, terms.data_dir)
        stopped = run_repeats(study, repeats, setup, terms.workplace, show, on_ended, tell)
    found = write()
    if found.finalists and all(each.failure for each in found.finalists):
        raise RunError(f"No finalist could be trained; the first: {found.finalists[0].failure}")
    return found, stopped


def _terms(terms: Terms, before: Finals | None) -> tuple[int, int, int]:
    known = (before.top, before.baselines, len(before.seeds)) if before else (3, 1, SEEDS)
    asked = (terms.top, terms.baselines, terms.seeds)
    top, baselines, seeds = (was if now is None else now for was, now in zip(known, asked, strict=True))
    # What all were trained with counts: a comparison by fewer seeds would be a worse one, with another winner perhaps.
    return top, max(baselines, 1), max(seeds, before.compared if before else 0)


def _repeats(study: StudyFolder, info: StudyInfo, top: int, baselines: int, seeds: int) -> list[Repeat]:
    """Every finalist with the first seed, then every finalist with the second, so that a cut-off compares all."""
    taking_part = entrants(study, info, top, baselines)
    numbers = seeds_of(info, seeds)
    return [Repeat(trial, seed, place) for place, seed in enumerate(numbers, start=1) for trial in taking_part]


def seeds_of(info: StudyInfo, count: int) -> list[int]:
    """The seeds that finals train with, and the retraining after them: none that the search has used.

    Args:
        info: The study.
        count: How many.
    """
    return [seed_for(info.seed, place, "finals") for place in range(count)]


def entrants(study: StudyFolder, info: StudyInfo, top: int, baselines: int) -> list[Trial]:
    """The trials whose recipes take part, the best of the search first; those of earlier finals stay in.

    Args:
        study: The study.
        info: What it is.
        top: How many of the best found recipes.
        baselines: How many of the best hand-made networks.

    Raises:
        StudyError: No trial has ended with a score.
    """
    trials = [trial for trial in study.trials() if trial.state != "RUNNING"]  # those may yet become better, or worse
    ranked = [row.trial for row in rank(trials, info.objective.startswith("max")) if row.rank is not None]
    if not ranked:
        raise nothing_to_show(study, info)
    known = {trial.parent for trial in study.finals.trials() if trial.state == "COMPLETE"}
    hand_made = [trial for trial in ranked if trial.baseline]
    kept = hand_made[:baselines] + [trial for trial in hand_made[baselines:] if trial.number in known]
    seen = {_recipe(trial) for trial in kept}
    found: list[Trial] = []
    for trial in ranked:
        if trial.baseline is None and _recipe(trial) not in seen and (len(found) < top or trial.number in known):
            seen.add(_recipe(trial))
            found.append(trial)
    return [trial for trial in ranked if trial in (*kept, *found)]


def _recipe(trial: Trial) -> str:
    """What tells recipes apart; the hash of a build(hp) may not say what its own ``fit`` chooses."""
    return f"{trial.hash} {sorted(trial.answers.items())}" if "HyperModel(" in trial.recipe else trial.hash


def entrants_now(study: StudyFolder, info: StudyInfo, terms: Terms) -> list[Trial]:
    """The trials whose recipes would take part in finals that are held now, the best of the search first.

    Args:
        study: The study.
        info: What it is.
        terms: What is asked of the finals.

    Raises:
        StudyError: No trial has ended with a score.
    """
    top, baselines, _ = _terms(terms, read_finals(study))
    return entrants(study, info, top, baselines)


def nothing_to_show(study: StudyFolder, info: StudyInfo) -> StudyError:
    """The error where no trial has ended with a score.

    Args:
        study: The study.
        info: What it is.
    """
    return StudyError(
        f"Study {study.name} has no finished trial with a score yet; run it first: hpsearch run {info.space_file}"
    )
