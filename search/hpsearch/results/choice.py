"""Which recipe is exported, and with which seeds: said and written down before anything is trained or tested."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from hpsearch.errors import RunError
from hpsearch.results.contest import entrants, nothing_to_show, seeds_of
from hpsearch.results.finals import Finals, read_finals
from hpsearch.results.leaderboard import rank
from hpsearch.results.retrain import Training
from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Trial

__all__ = ["Choice", "by_finals", "by_search", "now_best", "record_choice"]


@dataclass(frozen=True)
class Choice:
    """What is exported.

    Args:
        chosen: Its trial.
        score: Its validation score: the mean of the finals, or that of the search.
        baseline: The best hand-made network, or None where there is none or it is the chosen one.
        baseline_score: Its validation score.
        seeds: The seeds to train with; the network of the first is exported.
        finals: What the finals say; None where the score of the search chose.
    """

    chosen: Trial
    score: float
    baseline: Trial | None
    baseline_score: float
    seeds: tuple[int, ...]
    finals: Finals | None = None

    def trainings(self, study: StudyFolder) -> list[Training]:
        """All that is to be trained on train + validation: the chosen one with every seed, then the other.

        Args:
            study: The study.
        """
        finals = {(each.parent, each.seed): each for each in study.finals.trials()} if self.finals else {}
        found = []
        for trial in (self.chosen, self.baseline):
            for place, seed in enumerate(self.seeds, start=1) if trial else ():
                assert trial is not None  # as the line above says
                called = trial.name if len(self.seeds) == 1 else f"{trial.name} (seed {place} of {len(self.seeds)})"
                final = finals.get((trial.number, seed))
                if final is not None:
                    found.append(Training(trial, seed, called, final, study.finals.trial(final.number)))
                else:
                    own = trial.seed if place == 1 and not self.finals else seed
                    found.append(Training(trial, own, called, trial, study.trial(trial.number)))
        return found


def by_search(study: StudyFolder, info: StudyInfo, seeds: int) -> Choice:
    """The best trial of the search, and the best baseline if that is another.

    Args:
        study: The study.
        info: What it is.
        seeds: How many seeds to train with; the first is that of the trial.

    Raises:
        StudyError: No trial has ended with a score.
    """
    trials = [trial for trial in study.trials() if trial.state != "RUNNING"]  # those may yet become better, or worse
    ranked = [row.trial for row in rank(trials, info.objective.startswith("max")) if row.rank is not None]
    if not ranked:
        raise nothing_to_show(study, info)
    best = ranked[0]
    baseline = next((trial for trial in ranked if trial.baseline), None)
    baseline = None if baseline is None or baseline.hash == best.hash else baseline
    numbers = (best.seed, *seeds_of(info, seeds - 1))
    return Choice(best, best.score or 0.0, baseline, (baseline.score or 0.0) if baseline else 0.0, numbers)


def by_finals(study: StudyFolder, finals: Finals) -> Choice:
    """The finalist with the best mean, and the best hand-made one if that is another.

    Args:
        study: The study.
        finals: What its finals say.

    Raises:
        RunError: They were cut off before every finalist was trained once.
    """
    best, reference = finals.finalist(finals.chosen), finals.finalist(finals.reference)
    if best is None or best.mean is None:
        raise RunError(
            "The finals were cut off before every finalist was trained once, so that none can be chosen; go on with a "
            "longer --for, or choose by the search alone with --no-finals."
        )
    trials = {trial.number: trial for trial in study.trials()}
    other = reference if reference is not None and reference.trial != best.trial else None
    return Choice(
        chosen=trials[best.trial],
        score=best.mean,
        baseline=trials[other.trial] if other else None,
        baseline_score=(other.mean or 0.0) if other else 0.0,
        seeds=tuple(finals.seeds[: finals.compared]),
        finals=finals,
    )


def now_best(study: StudyFolder, info: StudyInfo) -> Trial:
    """What would be chosen now, the way it was chosen before; a recipe that finals do not know yet where there is one.

    Args:
        study: The study.
        info: What it is.

    Raises:
        StudyError: No trial has ended with a score.
    """
    chosen = by_search(study, info, 1).chosen
    finals = read_finals(study) if _earlier(study).get("finals") else None
    if finals is None or finals.chosen is None:
        return chosen
    known = {each.trial for each in finals.finalists}
    new = [trial for trial in entrants(study, info, finals.top, finals.baselines) if trial.number not in known]
    return new[0] if new else next(trial for trial in study.trials() if trial.number == finals.chosen)


def record_choice(study: StudyFolder, choice: Choice, *, ensemble: bool) -> None:
    """Write down what is exported; where that was written before, it stays.

    Args:
        study: The study, held for writing.
        choice: What is exported.
        ensemble: Whether the mean of all seeds is, and not the network of the first.
    """
    said = {
        "trial": choice.chosen.number,
        "recipe_hash": choice.chosen.hash,
        "seed": choice.seeds[0],
        "seeds": list(choice.seeds),
        "ensemble": ensemble,
        "score": choice.score,
        "baseline": choice.baseline.baseline if choice.baseline else None,
        "finals": choice.finals is not None,
    }
    earlier = _earlier(study)
    if {name: earlier.get(name) for name in said} != said:
        write_json(study.path / "choice.json", {"when": time.time(), **said})


def _earlier(study: StudyFolder) -> dict[str, Any]:
    """What was written down before; nothing where it cannot be read."""
    try:
        found = read_json(study.path / "choice.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
