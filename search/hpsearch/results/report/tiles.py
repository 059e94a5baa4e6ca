"""The numbers below the headline: of the test part, of finals where they were held, else of the search."""

from __future__ import annotations

from hpsearch.results.finals import Finalist, Finals
from hpsearch.results.intervals import Bounds
from hpsearch.results.report.facts import Facts
from hpsearch.results.report.words import called
from hpsearch.results.tested import said
from hpsearch.wording import count, duration, one_line, score, signed

__all__ = ["tiles"]

Tile = tuple[str, str, str]
"""What it is, the number, and what is said of that in small letters."""


def tiles(facts: Facts) -> list[Tile]:
    """What they are, the numbers, and what is said of each in small letters.

    Args:
        facts: The study.
    """
    failed = len(facts.failures)
    return [
        *_of_test(facts),
        *(_of_finals(facts, facts.judged) if facts.judged is not None else _of_search(facts)),
        ("trials", count(len(facts.rows)), f"{failed:,} failed" if failed else "none failed"),
        ("time", duration(facts.seconds), "over all runs"),
    ]


def _of_test(facts: Facts) -> list[Tile]:
    told = facts.exported.score if facts.exported is not None else None
    if told is None:
        return []
    note = f"{said(told.bounds[0])} to {said(told.bounds[1])}" if told.bounds else "exported"
    return [(f"test {told.metric}, exported", said(told.value), note)]


def _of_search(facts: Facts) -> list[Tile]:
    found: list[Tile] = [
        (f"best {kind}, {called(row)}", score(row.validation), _range(row.bounds))
        for kind, row in (("found", facts.found), ("hand-made", facts.hand_made))
        if row is not None
    ]
    if facts.gain is not None:
        found.append((*_lead(facts.gain), "in the search, one seed each"))
    return found


def _of_finals(facts: Facts, finals: Finals) -> list[Tile]:
    best = next((each for each in finals.finalists if not each.baseline and each.mean is not None), None)
    reference = finals.finalist(finals.reference)
    seeds = "one seed" if finals.compared == 1 else f"mean of {finals.compared} seeds"
    tiles_: list[Tile] = [
        (f"best {kind}, {_name(each)}", score(each.mean), _range(_bounds(each)) or seeds)
        for kind, each in (("found", best), ("hand-made", reference))
        if each is not None and each.mean is not None
    ]
    if best is not None and best.difference is not None:
        gain = best.difference if facts.maximize else -best.difference
        tiles_.append((*_lead(gain), f"{seeds}{', a tie' if best.verdict == 'tie' else ''}"))
    return tiles_


def _lead(gain: float) -> tuple[str, str]:
    return f"found is {'worse' if gain < 0 else 'better'} by", signed(abs(gain)).removeprefix("+")


def _name(finalist: Finalist) -> str:
    return one_line(finalist.baseline) if finalist.baseline else f"trial {finalist.trial}"


def _bounds(finalist: Finalist) -> Bounds | None:
    return None if finalist.low is None or finalist.high is None else (finalist.low, finalist.high)


def _range(bounds: Bounds | None) -> str:
    return f"{score(bounds[0])} to {score(bounds[1])}" if bounds else ""
