"""What a report says in words: what was found, how sure that is, what ran, what to type next."""

from __future__ import annotations

import re
from shlex import quote

from hpsearch.results.finals import Finalist
from hpsearch.results.leaderboard import Row, summary
from hpsearch.results.report.facts import Facts
from hpsearch.wording import code_on_a_line, duration, one_line, score

__all__ = ["called", "headline", "how_sure", "next_commands", "on_test", "so_many_seeds", "what_ran"]


def called(row: Row) -> str:
    """What a sentence calls a trial."""
    return one_line(row.trial.baseline) if row.trial.baseline else f"trial {row.trial.number}"


def on_test(facts: Facts) -> str | None:
    """What the exported network scores on the test part, and where it lies; None where nothing is exported.

    Args:
        facts: The study.
    """
    exported = facts.exported
    if exported is None or exported.score is None:
        return None
    tested, score_ = exported.tested, exported.score
    made = any(row.trial.number == tested.trial and row.trial.baseline for row in facts.rows)
    name = f"the hand-made {one_line(tested.name)}" if made else f"trial {tested.trial}"
    return (
        f"Exported is {name}, which has a test {score_.metric} of {score_}, on {exported.images:,} {facts.examples} "
        f"that no search has seen. It lies in {exported.folder}."
    )


def headline(facts: Facts) -> str:
    """What was found, in a sentence.

    Args:
        facts: The study.
    """
    if (said := _of_finals(facts)) is not None:
        return said
    found, made, gain = facts.found, facts.hand_made, facts.gain
    if found is None and made is None:
        return "No trial has a score yet."
    if found is None:
        assert made is not None  # one of them is there
        return f"The best so far is the hand-made {called(made)}: {facts.metric} {score(made.validation)}."
    best = f"{facts.metric} {score(found.validation)} ({called(found)})"
    if made is None or gain is None:
        return f"The search found a network with {best}."
    hand = score(made.validation)
    if gain > 0:
        return (
            f"The search found a network with {best}: {score(gain)} better than the best hand-made one, {called(made)}."
        )
    if gain < 0:
        return f"The search has not beaten the hand-made {called(made)}, which has {hand}; the best found has {best}."
    return f"The search found a network with {best}, as good as the best hand-made one, {called(made)}."


def _of_finals(facts: Facts) -> str | None:
    """What the finals found; None where they found nothing so far."""
    finals = facts.judged
    best = finals.finalist(finals.chosen) if finals is not None else None
    if finals is None or best is None:
        return None
    name = one_line(best.baseline) if best.baseline else f"trial {best.trial}"
    kind = "the hand-made " if best.baseline else ""
    seeds = so_many_seeds(finals.compared)
    said = f"Trained again with {seeds}, {kind}{name} is the best: {facts.metric} {_with_range(best)}"
    found = next((each for each in finals.finalists if not each.baseline and each.mean is not None), None)
    reference = finals.finalist(finals.reference)
    if found is None or reference is None or found.difference is None:
        return f"{said}."
    if best.baseline:
        return f"{said}. The best that was found, trial {found.trial}, {_verdict(found, tie='ties with it')}."
    return f"{said}. Against the best hand-made one, {one_line(reference.name)}, that {_verdict(found)}."


def _verdict(found: Finalist, tie: str = "is a tie") -> str:
    """What the difference to the best hand-made network says, as the end of a sentence."""
    by = f"by {score(abs(found.difference or 0.0))}"
    sentences = {"better": f"is better, {by}", "worse": f"is worse, {by}", "tie": tie}
    return sentences.get(found.verdict or "", f"differs {by}; whether that is luck cannot be said")


def so_many_seeds(number: int) -> str:
    """``one seed``, ``3 seeds``."""
    return "one seed" if number == 1 else f"{number} seeds"


def _with_range(finalist: Finalist) -> str:
    bounds = f" ({score(finalist.low)} to {score(finalist.high)})" if finalist.low is not None else ""
    return f"{score(finalist.mean)}{bounds}"


def how_sure(facts: Facts) -> list[str]:
    """How sure that is, in sentences.

    Args:
        facts: The study.
    """
    if _of_finals(facts) is not None:
        return _sure_of_finals(facts)
    said = []
    images, gain, bounds = facts.info.validation_images, facts.gain, facts.gain_bounds
    if gain is not None and bounds is not None:
        low, high = bounds
        luck = ", so that it may be luck" if low <= 0 <= high else ""
        said.append(
            f"On {images:,} validation {facts.examples} the true difference may lie anywhere from {low:+.4f} to "
            f"{high:+.4f}{luck}."
        )
    if facts.found is not None and len(facts.ranked) > 1:
        said.append(
            f"The best of {len(facts.ranked):,} trials is partly a lucky draw; how good it is shows only when it is "
            "trained again with other seeds."
        )
    return said


def _sure_of_finals(facts: Facts) -> list[str]:
    finals = facts.finals
    best = finals.finalist(finals.chosen) if finals is not None else None
    assert finals is not None  # as the caller has made sure
    assert best is not None
    said = []
    for each in finals.finalists:
        if each.difference is None or each.difference_low is None or each.difference_high is None or each.baseline:
            continue
        low, high = f"{each.difference_low:+.4f}", f"{each.difference_high:+.4f}"
        pairs = f"paired by seed and {facts.examples.removesuffix('s')}"
        said.append(f"The difference of trial {each.trial} is {each.difference:+.4f} ({low} to {high}), {pairs}.")
        break
    if finals.without_interval:
        said.append(f"There is no interval: {one_line(finals.without_interval)}.")
    if best.chance == "tie":
        said.append(f"It is a tie with chance: as far as these {facts.examples} tell, the network has learned nothing.")
    if not finals.complete:
        said.append("The finals are not complete yet.")
    if best.search is not None:
        name = one_line(best.baseline) if best.baseline else f"trial {best.trial}"
        said.append(f"In the search {name} had {score(best.search)}.")
    return said


def what_ran(facts: Facts) -> str:
    """How many trials ended how, in which time.

    Args:
        facts: The study.
    """
    ended = ", ".join(words for _, words in summary(facts.counts)) or "none"
    trials = f"{len(facts.rows):,} {'trial' if len(facts.rows) == 1 else 'trials'}"
    rows = f"{facts.info.train_images:,} training and {facts.info.validation_images:,} validation {facts.examples}"
    on = f"{code_on_a_line(_data(facts.info.data_text))}, {rows}"
    goes_on = " The run goes on; this page shows what has ended." if facts.running else ""
    return f"{trials} ({ended}) in {duration(facts.seconds)} on {on}.{goes_on}"


def _data(text: str) -> str:
    """The declaration of data as a person says it: ``digits`` of ``Named("digits")``."""
    named = re.fullmatch(r"Named\(['\"](.*)['\"]\)", text)
    return named[1] if named else text


def next_commands(facts: Facts) -> list[tuple[str, str]]:
    """What to type next: what for, and the command.

    Args:
        facts: The study.
    """
    options, best = facts.options, facts.chosen
    if facts.running:
        return [
            ("See what is trained at this moment", f"hpsearch status {options}"),
            ("End the run in good order", f"hpsearch stop {options}"),
        ]
    said: list[tuple[str, str]] = []
    if best is not None:
        if facts.finals is None or not facts.finals.complete:
            said.append(
                ("Learn whether it is luck: train the best again with several seeds", f"hpsearch finals {options}")
            )
        said += _shipping(facts)
        said.append(("See the best network as Python", f"hpsearch show {best.trial.number} {options}"))
    said.append(_going_on(facts))
    return said


def _shipping(facts: Facts) -> list[tuple[str, str]]:
    if facts.exported is not None:
        things, file = ("rows", "rows.csv") if facts.examples == "rows" else ("photos", "photo.jpg")
        why = f"Have the exported network answer for {things} of your own"
        return [(why, f"hpsearch predict {quote(str(facts.exported.folder))} {file}")]
    openings = facts.info.test_openings
    if openings and openings[-1].get("finished", True):
        return []  # the test part was opened, and the export is elsewhere: a second look is nothing to advise
    why = f"Retrain the best, test it once on {facts.examples} that no search has seen, and export it"
    return [(why, f"hpsearch export-best {facts.options}")]


def _going_on(facts: Facts) -> tuple[str, str]:
    """The command that goes on, with twice the budgets of the last run."""
    more = re.sub(r" --trials (\d+)", lambda said: f" --trials {2 * int(said[1])}", facts.go_on)
    more = re.sub(r" --for ((?:\d+[hms])+)(?= |$)", lambda said: f" --for {_twice(said[1])}", more)
    if more == facts.go_on:
        return "Go on searching", more
    return "Go on searching; budgets are totals, so this one is twice the last", more


def _twice(time: str) -> str:
    """Twice ``1h30m``: ``3h``."""
    seconds = 2 * sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([hms])", time))
    parts = (("h", seconds // 3600), ("m", seconds // 60 % 60), ("s", seconds % 60))
    return "".join(f"{number}{unit}" for unit, number in parts if number)
