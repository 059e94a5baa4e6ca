"""What one of Keras Tuner's oracles proposes after some trials; runs in the process of the oracles only.

An oracle is made anew for every proposal and told all trials as Keras Tuner tells an oracle that it reloads from disk,
with random numbers that start from the number of the trial.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any
from weakref import WeakKeyDictionary

from hpsearch.strategies.oracle_questions import Bracket, Dimension, Past, Proposal, Question

__all__ = ["proposal"]

FACTOR = 3
"""The factor of Hyperband, as Keras Tuner sets it."""
_ALWAYS = "always there"
"""A hyperparameter of one value: Hyperband takes an empty space for one that is used up."""


def proposal(question: Question) -> Proposal | None:
    """What the oracle proposes.

    A trial that could not work is told with the worst score so far, because the oracles overlook a trial that failed:
    the Gaussian process would propose its neighbours again, and Hyperband would abandon a bracket after a few. The
    Gaussian process takes the same for one that is open, so that it does not propose that again; what Keras Tuner takes
    for it depends on the proposal before.

    Args:
        question: The trials so far.
    """
    if question.kind == "hyperband":
        return _hyperband(question)
    if not question.dimensions:
        return Proposal({})  # nothing is known of the space before the first trial was asked for a choice
    values = _populated(_oracle(question, question.kind), question)
    if values is not None and _hashes(question, [values]) <= _tried(question):
        # The Gaussian process proposes doubles, and what it has not seen yet it would propose once more.
        values = _populated(_oracle(question, "random"), question)
    return None if values is None else Proposal(values)


def _populated(oracle: Any, question: Question) -> dict[str, Any] | None:
    response = oracle.populate_space(str(question.number))
    if response["status"] != "RUNNING":
        return None
    values: dict[str, Any] = response["values"]
    return values


def _new(question: Question, kind: str) -> Any:
    """An oracle that was told nothing."""
    import keras_tuner
    from keras_tuner import oracles

    # When to end is the coordinator's to say: None is Keras Tuner's word for no end.
    objective = keras_tuner.Objective("score", "max" if question.maximize else "min")
    if kind == "hyperband":
        return oracles.HyperbandOracle(
            objective, max_epochs=question.epochs, factor=FACTOR, hyperband_iterations=None, seed=question.seed
        )
    known = {"random": oracles.RandomSearchOracle, "bayesian": oracles.BayesianOptimizationOracle}
    return known[kind](objective, max_trials=None, seed=question.seed)


def _oracle(question: Question, kind: str, state: dict[str, Any] | None = None) -> Any:
    """An oracle that was told all trials."""
    import keras_tuner

    oracle = _new(question, kind)
    worst = _worst(question)
    liar = kind == "bayesian"
    oracle.trials = {
        str(past.number): _told(past, worst, ended=past.ended or liar) for past in question.trials if past.counts
    }
    space = keras_tuner.HyperParameters()
    for dimension in question.dimensions:
        _register(space, dimension)
    if kind == "hyperband":
        space.Fixed(_ALWAYS, True)
    running = [number for number, trial in oracle.trials.items() if trial.status == "RUNNING"]
    oracle.set_state(
        {
            **oracle.get_state(),
            "hyperparameters": space.get_config(),
            "ongoing_trials": dict(zip(running, running, strict=True)),
            "tried_so_far": sorted(_tried(question)),
            **(state or {}),
        }
    )
    return oracle


def _register(space: Any, dimension: Dimension) -> None:
    low, high = dimension.low, dimension.high
    if not dimension.ordered:
        space.Choice(dimension.name, list(range(int(high) + 1)), ordered=False)
    elif isinstance(low, int) and isinstance(high, int):
        space.Int(dimension.name, low, high, sampling="log" if dimension.log else "linear")
    else:
        space.Float(dimension.name, low, high, sampling="log" if dimension.log else "linear")


def _told(past: Past, worst: float, *, ended: bool) -> Any:
    """A trial as Keras Tuner knows it."""
    import keras_tuner
    from keras_tuner.engine.trial import Trial

    values = keras_tuner.HyperParameters()
    values.values = dict(past.values)
    trial = Trial(values, trial_id=str(past.number), status="COMPLETED" if ended else "RUNNING")
    trial.score = past.score if past.worked and past.score is not None else worst
    return trial


def _worst(question: Question) -> float:
    """What a trial is told with that could not work: a little worse than all that could, to come after them."""
    scores = [past.score for past in question.trials if past.ended and past.worked and past.score is not None]
    if question.maximize:
        return math.nextafter(min(scores, default=0.0), -math.inf)
    return math.nextafter(max(scores, default=0.0), math.inf)


def _tried(question: Question) -> set[str]:
    """The hashes of all values that are not to be proposed again: those chosen, and those proposed."""
    tried: set[str] = set()
    for past in question.trials:
        known = _HASHES.setdefault(past, {})
        if question.kind not in known:
            known[question.kind] = _hashes(question, [values for values in (past.values, past.proposal) if values])
        tried |= known[question.kind]
    return tried


def _hashes(question: Question, known: list[dict[str, Any]]) -> set[str]:
    """What Keras Tuner knows values by that were tried."""
    fixed = {_ALWAYS: True} if question.kind == "hyperband" else {}
    oracle = _new(question, "random")
    return {oracle._compute_values_hash({**values, **fixed}) for values in known}  # noqa: SLF001  # an oracle's state holds such hashes


_HASHES: WeakKeyDictionary[Past, dict[str, set[str]]] = WeakKeyDictionary()
"""What `_hashes` said of trials, by the kind of the oracle."""


# ---- Hyperband


def _hyperband(question: Question) -> Proposal | None:
    """Ask Hyperband, until it promotes a trial that can go on."""
    while True:
        state = _brackets(question)
        oracle = _oracle(question, "hyperband", state)
        values = _populated(oracle, question)
        if values is None:
            return None
        bracket = _place(oracle, question, len(state["brackets"]))
        parent = values.get("tuner/trial_id")
        if parent is None:
            drawn = {name: value for name, value in values.items() if name != _ALWAYS and not name.startswith("tuner/")}
            return Proposal(drawn, values["tuner/epochs"], None, bracket)
        if next(past.worked for past in question.trials if str(past.number) == parent):
            return Proposal({}, values["tuner/epochs"], int(parent), bracket)
        # It could not work, and came so far only because too few did. Its place in the next round stays empty.
        number = min(0, *(past.number for past in question.trials)) - 1
        empty = Past(number, {}, None, True, False, True, {}, bracket, int(parent))
        question = dataclasses.replace(question, trials=(*question.trials, empty))


def _brackets(question: Question) -> dict[str, Any]:
    """The state of Hyperband's brackets: which trials are in which round."""
    deepest = _new(question, "hyperband").get_state()["current_bracket"]
    placed = [(past.bracket, past) for past in question.trials if past.bracket is not None and past.counts]
    latest = max((bracket.index for bracket, _ in placed), default=0)
    brackets: list[dict[str, Any]] = []
    for index in range(latest + 1):
        size = deepest - index % (deepest + 1)
        brackets.append({"bracket_num": size, "rounds": [[] for _ in range(size + 1)], "index": index})
    for bracket, past in placed:
        parent = None if past.parent is None else str(past.parent)
        brackets[bracket.index]["rounds"][bracket.round].append({"past_id": parent, "id": str(past.number)})
    return {
        "brackets": brackets,
        "current_bracket": brackets[-1]["bracket_num"],
        "current_iteration": latest // (deepest + 1),
    }


def _place(oracle: Any, question: Question, started: int) -> Bracket:
    """Where Hyperband has put the trial that it proposed."""
    for bracket in oracle.get_state()["brackets"]:
        for number, members in enumerate(bracket["rounds"]):
            if any(member["id"] == str(question.number) for member in members):
                last = number + 1 == len(bracket["rounds"])
                wanted = 0 if last else oracle._get_size(bracket["bracket_num"], number + 1)  # noqa: SLF001  # said nowhere else
                return Bracket(bracket.get("index", started), number, wanted)
    raise AssertionError("Hyperband puts every trial into a bracket")
