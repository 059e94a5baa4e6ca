"""The tables of a report: leaderboard, finals, failures, and the mistakes with their pictures."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.brief import describe
from hpsearch.results.finals import Finalist, Finals
from hpsearch.results.leaderboard import Row
from hpsearch.results.report.answer_figures import class_name
from hpsearch.results.report.facts import Facts
from hpsearch.results.report.markup import Html, join, tag
from hpsearch.results.report.predictions import Answers, Mistake
from hpsearch.wording import NOTHING, all_signed, amount, count, duration, one_line, score, signed

__all__ = ["failures", "finals_table", "leaderboard", "mistakes", "top_rows"]

TOP = 10
"""So many rows of the leaderboard are shown."""
HAND_MADE = 5
"""And so many hand-made networks below them, if they are not among those."""
NAMED = 8
"""So many trials of a kind of failure are named."""


def top_rows(facts: Facts) -> tuple[list[Row], list[Row]]:
    """The best trials, and the hand-made networks that are not among them.

    Args:
        facts: The study.
    """
    top = facts.ranked[:TOP]
    return top, [row for row in facts.ranked[TOP:] if row.trial.baseline][:HAND_MADE]


def leaderboard(facts: Facts) -> Html:
    """The best trials.

    Args:
        facts: The study.
    """
    top, below = top_rows(facts)
    head = _head(
        ("rank", "number"),
        ("trial", ""),
        (facts.metric.removeprefix("val_") + ", validation", "number"),
        ("training", "number wide"),
        ("gap", "number"),
        ("parameters", "number"),
        ("FLOPs", "number wide"),
        ("epochs", "number wide"),
        ("time", "number wide"),
        ("recipe", "wide"),
    )
    return tag("table", head, tag("tbody", *(_row(row) for row in [*top, *below])))


def _head(*columns: tuple[str, str]) -> Html:
    cells = (tag("th", title, scope="col", class_=style or None) for title, style in columns)
    return tag("thead", tag("tr", *cells))


def _row(row: Row) -> Html:
    trial = row.trial
    interval = tag("small", f"{row.bounds[0]:.3f} to {row.bounds[1]:.3f}") if row.bounds else None
    overfits = tag("small", "overfits", class_="warn") if row.overfits else None
    pruned = tag("small", row.outcome) if trial.state != "COMPLETE" else None
    epochs = f"{trial.epochs}/{trial.epochs_budget}" if trial.epochs_budget else str(trial.epochs)
    styles = [style for style, holds in (("hand", trial.baseline), ("first", row.rank == 1)) if holds]
    return tag(
        "tr",
        tag("td", row.rank or NOTHING, class_="number"),
        tag("td", _name(row), pruned, class_="name"),
        tag("td", score(row.validation), interval, class_="number main"),
        tag("td", score(row.train), class_="number wide"),
        tag("td", signed(row.gap), overfits, class_="number"),
        tag("td", count(trial.parameters), class_="number"),
        tag("td", amount(trial.flops), class_="number wide"),
        tag("td", epochs, class_="number wide"),
        tag("td", duration(trial.seconds), class_="number wide"),
        tag("td", describe(trial.recipe) or NOTHING, class_="wide brief"),
        class_=" ".join(styles) or None,
    )


def _name(row: Row) -> Html:
    if row.trial.baseline:
        return join(one_line(row.trial.baseline), tag("span", "\u00a0◆", class_="mark", title="hand-made"))
    return join(str(row.trial.number))


# ---- finals


def finals_table(finals: Finals) -> Html:
    """What came of training the best again.

    Args:
        finals: It.
    """
    head = _head(
        ("finalist", ""),
        ("mean", "number"),
        ("against the best hand-made", ""),
        ("in the search", "number wide"),
        *((f"seed {place}", "number wide") for place in range(1, len(finals.seeds) + 1)),
    )
    return tag("table", head, tag("tbody", *(_finalist(each, finals) for each in finals.finalists)))


def _finalist(finalist: Finalist, finals: Finals) -> Html:
    interval = None
    if finalist.low is not None and finalist.high is not None:
        interval = tag("small", f"{score(finalist.low)} to {score(finalist.high)}")
    named = [one_line(finalist.name)]
    mark = tag("span", "\u00a0◆", class_="mark", title="hand-made") if finalist.baseline else None
    failed = tag("small", one_line(finalist.failure), class_="warn") if finalist.failure else None
    styles = [s for s, holds in (("hand", finalist.baseline), ("first", finalist.trial == finals.chosen)) if holds]
    return tag(
        "tr",
        tag("td", *named, mark, failed, class_="name"),
        tag("td", score(finalist.mean), interval, class_="number main"),
        tag("td", *_against(finalist, finals)),
        tag("td", score(finalist.search), class_="number wide"),
        *(tag("td", score(value), class_="number wide") for value in finalist.scores),
        class_=" ".join(styles) or None,
    )


def _against(finalist: Finalist, finals: Finals) -> list[object]:
    if finalist.trial == finals.reference:
        return ["is the best hand-made"]
    if finalist.difference is None:
        return [NOTHING]
    low, high = finalist.difference_low, finalist.difference_high
    bounds = [] if low is None or high is None else [low, high]
    told, *between = all_signed(finalist.difference, *bounds)
    said = f"{told}{f', {finalist.verdict}' if finalist.verdict else ''}"
    return [said, tag("small", " to ".join(between))] if between else [said]


# ---- what went wrong


def failures(rows: Sequence[Row]) -> Html:
    """The failures by kind, the most frequent first.

    Args:
        rows: The trials that failed.
    """
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(str(row.trial.failure), []).append(row)
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    head = _head(("kind", ""), ("trials", "number"), ("which", "wide"), ("the last one said", ""))
    return tag("table", head, tag("tbody", *(_kind(kind, found) for kind, found in ordered)))


def _kind(kind: str, rows: Sequence[Row]) -> Html:
    names = ", ".join(one_line(row.trial.name) for row in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    message = one_line(rows[-1].trial.message)
    return tag(
        "tr",
        tag("td", kind.replace("_", " ")),
        tag("td", f"{len(rows):,}", class_="number"),
        tag("td", names + more, class_="wide"),
        tag("td", message if len(message) <= 300 else f"{message[:299]}…"),
    )


# ---- mistakes


def mistakes(facts: Facts, answers: Answers) -> Html:
    """The mistakes that the network is surest of; of amounts the largest errors.

    Args:
        facts: The study.
        answers: What the network answers.
    """
    return tag("ul", *(tag("li", *_mistake(facts, each, answers)) for each in answers.mistakes), class_="mistakes")


def _mistake(facts: Facts, mistake: Mistake, answers: Answers) -> list[object]:
    where = one_line(mistake.where)
    if answers.classes:
        true, said = (one_line(class_name(facts, value)) for value in (mistake.label, mistake.said))
        words: list[object] = [tag("strong", said), f" {mistake.share:.0%} sure; it is ", tag("strong", true)]
        alt = f"{where}: {true}, taken for {said}."
    else:
        words = [tag("strong", f"{mistake.said:,.5g}"), "; it is ", tag("strong", f"{mistake.label:,.5g}")]
        alt = f"{where}: {mistake.label:,.5g}, taken for {mistake.said:,.5g}."
    place = tag("span", f" ({where})", class_="quiet")
    if mistake.picture is None:
        return [*words, place]
    small = "small" if mistake.picture.startswith("data:image/png") else None
    return [tag("img", src=mistake.picture, alt=alt, class_=small), *words, place]
