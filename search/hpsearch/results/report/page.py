"""The page: its sections in the order in which a person wants them in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files

from hpsearch.results.report.answer_figures import class_name, confusion, told, worst_pairs
from hpsearch.results.report.choice_figures import importances, parallel
from hpsearch.results.report.facts import Facts
from hpsearch.results.report.figure import Figure
from hpsearch.results.report.importance import Importance
from hpsearch.results.report.markup import Html, as_script_data, join, tag
from hpsearch.results.report.predictions import Answers
from hpsearch.results.report.progress_figures import best_so_far, learning_curves
from hpsearch.results.report.score_figures import against_parameters, gaps
from hpsearch.results.report.tables import failures, finals_table, leaderboard, mistakes, top_rows
from hpsearch.results.report.tiles import tiles
from hpsearch.results.report.words import called, headline, how_sure, next_commands, on_test, so_many_seeds, what_ran
from hpsearch.wording import code_on_a_line, count, one_line

__all__ = ["RELOAD", "page"]

RELOAD = 20
"""Seconds after which a page that is kept up to date loads itself again."""

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser itself refuses whatever would be fetched."""


def page(facts: Facts, found: Importance, answers: Answers | str, plotly: str, *, reload: bool = False) -> str:
    """The whole page as one file.

    Args:
        facts: The study.
        found: Which choices mattered.
        answers: What the best network answers, or a sentence why that is not known.
        plotly: Plotly's program, which draws the plots.
        reload: Whether the page loads itself again after some seconds.
    """
    drawn: list[Figure] = []
    sections = [
        _top(facts),
        _plotted(drawn, best_so_far(facts)),
        _finals(facts),
        _leaderboard(facts),
        _plotted(drawn, learning_curves(facts)),
        _importance(drawn, found),
        _plotted(drawn, parallel(facts, found)),
        _plotted(drawn, against_parameters(facts)),
        _plotted(drawn, gaps(facts)),
        *_answers(drawn, facts, answers),
        _failures(facts),
        _next(facts),
        _about(facts),
    ]
    title = f"{facts.folder.name}: hpsearch report"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(_asset("style.css"))),
    )
    specifications = {figure.key: figure.specification() for figure in drawn}
    body = tag(
        "body",
        tag("main", *sections),
        tag("script", as_script_data(specifications), type="application/json", id="figures"),
        tag("script", Html(plotly)),
        tag("script", Html(_asset("report.js"))),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en', data_reload=RELOAD if reload else None)}\n"


def _asset(name: str) -> str:
    return files("hpsearch.results.report").joinpath(name).read_text(encoding="utf-8")


def _section(title: str, *content: object, key: str | None = None) -> Html:
    return tag("section", tag("h2", title), *content, id=key)


def _plotted(drawn: list[Figure], figure: Figure | None) -> Html | None:
    """A section with a plot; the plot is drawn by the page's program."""
    return _section(figure.title, _figure(drawn, figure), key=figure.key) if figure is not None else None


def _figure(drawn: list[Figure], figure: Figure) -> Html:
    drawn.append(figure)
    place = tag(
        "div",
        id=f"plot-{figure.key}",
        class_="plot",
        role="img",
        aria_label=one_line(figure.alt),
        style=f"height:{figure.height}px",
    )
    without = tag("noscript", tag("p", "This plot needs JavaScript, which the file brings along."))
    return tag("figure", tag("figcaption", figure.caption), place, without)


# ---- the sections


def _top(facts: Facts) -> Html:
    return tag(
        "section",
        tag("h1", f"Study {facts.folder.name}: {facts.info.objective}"),
        tag("p", tested, class_="lead") if (tested := on_test(facts)) else None,
        tag("p", headline(facts), class_="lead"),
        *(tag("p", sentence) for sentence in how_sure(facts)),
        tag("p", what_ran(facts), " ", tag("a", "What to type next", href="#next"), ".", class_="quiet"),
        tag("dl", *(_tile(*tile) for tile in tiles(facts)), class_="tiles"),
        id="top",
    )


def _tile(title: str, value: str, note: str = "") -> Html:
    return tag("div", tag("dt", title), tag("dd", value, tag("small", note) if note else None))


def _finals(facts: Facts) -> Html | None:
    finals = facts.finals
    if finals is None:
        return None
    seeds = so_many_seeds(len(finals.seeds))
    measured = f"{finals.validation:,} validation {facts.examples}"
    said = ["The best recipes and the best hand-made network,"]
    said.append(f"trained again from scratch with {seeds} and measured on {measured}.")
    if finals.compared < len(finals.seeds):
        first = "seed" if finals.compared == 1 else f"{finals.compared} seeds"
        said.append(f"Means count the first {first}, which all were trained with.")
    if not finals.without_interval:
        said.append(f"Intervals hold the luck of seeds and {facts.examples} 95 times in 100.")
    caption = tag("p", " ".join(said), class_="quiet")
    return _section("Trained again", caption, finals_table(finals), key="finals")


def _leaderboard(facts: Facts) -> Html | None:
    if not facts.ranked:
        return None
    top, below = top_rows(facts)
    said = f"The best {len(top):,} of {len(facts.ranked):,} trials with a score."
    if below:
        said += " Below them the best networks made by hand."
    said += " ◆ marks what was made by hand. The gap is how much better a network does on what it was trained on."
    if any(row.bounds for row in top):
        said += f" The range is what the number of validation {facts.examples} leaves open, 95 times in 100."
    best = facts.chosen
    recipe = (
        tag("details", tag("summary", f"Recipe of {called(best)}"), tag("pre", tag("code", best.trial.recipe)))
        if best is not None and best.trial.recipe
        else None
    )
    return _section("Leaderboard", tag("p", said, class_="quiet"), leaderboard(facts), recipe, key="leaderboard")


def _importance(drawn: list[Figure], found: Importance) -> Html | None:
    figure = importances(found)
    if figure is not None:
        return _plotted(drawn, figure)
    why = found.why_not or "All choices that enough trials made were made alike."
    return _section("What mattered", tag("p", f"Left out: {why}", class_="quiet"), key="importance")


def _answers(drawn: list[Figure], facts: Facts, answers: Answers | str) -> list[Html]:
    if isinstance(answers, str):
        return [_section("What it gets wrong", tag("p", f"Left out: {answers}", class_="quiet"), key="mistakes")]
    if not answers.classes:
        figure = told(answers)
        largest = tag("p", f"The {facts.examples} that it misses by the most.", class_="quiet")
        return [
            _section(figure.title, _figure(drawn, figure), key=figure.key),
            _section("Largest errors", largest, mistakes(facts, answers), key="mistakes"),
        ]
    figure = confusion(facts, answers)
    name = one_line(answers.trial.baseline) if answers.trial.baseline else f"trial {answers.trial.number}"
    again = ", trained again with the first seed of the finals," if facts.finals is not None else ""
    right = f"{name}{again} answers {answers.correct:,} of {len(answers.labels):,} validation {facts.examples} rightly."
    pairs = [
        f"{one_line(class_name(facts, a))} taken for {one_line(class_name(facts, b))} ({number:,})"
        for a, b, number in worst_pairs(answers)
    ]
    often = tag("p", f"{right} Most often wrong: {', '.join(pairs)}." if pairs else right)
    sections = [_section(figure.title, _figure(drawn, figure), often, key=figure.key)]
    if answers.mistakes:
        said = f"The validation {facts.examples} that it gets wrong, those first of which it is surest. Look for wrong "
        caption = tag("p", f"{said}labels, and for what such {facts.examples} have in common.", class_="quiet")
        sections.append(_section("Surest mistakes", caption, mistakes(facts, answers), key="mistakes"))
    return sections


def _failures(facts: Facts) -> Html | None:
    if not facts.failures:
        return None
    failed = len(facts.failures)
    said = f"{failed:,} of {len(facts.rows):,} trials ended without a network; the search goes on without them."
    log = tag("p", "hpsearch show NUMBER names the log of a trial, with all it printed.", class_="quiet")
    return _section("What failed", tag("p", said, class_="quiet"), failures(facts.failures), log, key="failures")


def _next(facts: Facts) -> Html:
    steps = [join(tag("p", f"{why}:"), tag("pre", tag("code", command))) for why, command in next_commands(facts)]
    return _section("What to type next", *steps, key="next")


def _about(facts: Facts) -> Html:
    info = facts.info
    said = [
        ("study", facts.folder.name),
        ("begun", f"{datetime.fromtimestamp(info.created, UTC):%Y-%m-%d %H:%M} UTC"),
        ("objective", info.objective),
        (
            "data",
            code_on_a_line(info.data_text)
            + (f", {info.subset:,} training {facts.examples} of it" if info.subset else ""),
        ),
        (f"training {facts.examples}", count(info.train_images)),
        (f"validation {facts.examples}", count(info.validation_images)),
        ("data fingerprint", info.data_fingerprint),
        ("space fingerprint", info.space_fingerprint),
        ("strategy", f"{info.strategy}, pruner {info.pruner}, seed {info.seed}"),
        (
            "looks at validation",
            f"{sum(row.trial.epochs for row in facts.rows):,} epochs of {len(facts.rows):,} trials",
        ),
        ("test part", _openings(info.test_openings)),
        ("versions", ", ".join(f"{n} {v}" for n, v in sorted(info.versions.items()) if n != "machine")),
    ]
    facts_ = [join(tag("dt", name), tag("dd", one_line(value))) for name, value in said if value]
    space = tag("details", tag("summary", "The space that was searched"), tag("pre", tag("code", info.space_text)))
    return _section(
        "About this study", tag("dl", *facts_, class_="about"), space if info.space_text else None, key="about"
    )


def _openings(openings: Sequence[dict[str, object]]) -> str:
    if not openings:
        return "sealed; nothing was measured on it"
    whens = [float(str(each.get("when", 0))) for each in openings]
    times = ", ".join(f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC" for when in whens)
    return f"opened {'once' if len(whens) == 1 else f'{len(whens)} times'}: {times}"
