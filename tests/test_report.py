"""The report of a study: what it says, that it is harmless whatever a text holds, that it needs no network."""

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import studies
from hpsearch.cli.report import watch
from hpsearch.cli.standing import Standing
from hpsearch.results.finals import Finalist, Finals, write_finals
from hpsearch.results.leaderboard import rank
from hpsearch.results.report.answer_figures import confusion
from hpsearch.results.report.facts import read_facts
from hpsearch.results.report.figure import frame, outside_of_frame
from hpsearch.results.report.importance import importance
from hpsearch.results.report.markup import Html, as_script_data, tag
from hpsearch.results.report.page import RELOAD, page
from hpsearch.results.report.predictions import Answers, Mistake, answers_of
from hpsearch.results.report.words import next_commands
from hpsearch.results.report.writing import Reporter
from hpsearch.study import Epoch, Trial
from hpsearch.study.atomic import put_text

NASTY = "<img src=x onerror=alert(1)></script><b>&amp;"
"""What a class, a hand-made network or an error may be called."""
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)

get_plotlyjs = pytest.importorskip("plotly.offline", reason="Plotly, a dev dependency, is not here").get_plotlyjs


def begin(results, name="night", **more):
    said = {
        "space_file": "spaces/cifar.py",
        "data_text": 'Named("cifar10")',
        "class_names": ["cat", "dog", "frog"],
        "train_images": 45_000,
        "validation_images": 5_000,
        "versions": {"keras": "3.15.1", "machine": "x86_64"},
        **more,
    }
    return studies.begin(results, name, **said)


def drawn(generator):
    """Choices of a conditional space, and what they are worth."""
    rate = 10 ** generator.uniform(-4, -1)
    answers = {
        "model.body": generator.choice(["ConvNet", "MobileNetV2"]),
        "training.optimizer.learning_rate": rate,
        "training.batch_size": generator.choice([64, 128, 256, 512]),
        "model.body.batchnorm": generator.choice([None, "before_activation"]),
        "model.body.activation": "relu",
    }
    worth = 0.75 - 0.08 * (math.log10(rate) + 2.6) ** 2 + (0.05 if answers["model.body.batchnorm"] else 0)
    if answers["model.body"] == "ConvNet":
        answers["model.body.stages"] = stages = generator.randrange(2, 5)
        answers |= {f"model.body.stages[{at}].filters": generator.randrange(16, 257, 16) for at in range(stages)}
        worth += 0.04 * stages
    return answers, min(max(worth + generator.gauss(0, 0.02), 0.1), 0.99)


def made(number, generator, hand_made=None):
    """A trial as a run leaves it: most complete, some stopped early, some failed."""
    answers, worth = drawn(generator)
    kind = "COMPLETE" if hand_made else generator.choices(["COMPLETE", "PRUNED", "FAIL"], [8, 3, 1])[0]
    failed, epochs = kind == "FAIL", 20 if kind == "COMPLETE" else 4
    began = 1.76e9 + 40 * number
    return Trial(
        number=number,
        state=kind,
        baseline=hand_made,
        answers=answers,
        recipe="Recipe(model=Model(body=ConvNet(stages=(Stage(filters=(32, 32)),)), dense=()), training=Training())",
        hash=f"{number:012x}",
        parameters=int(10 ** generator.uniform(4.3, 6.4)),
        flops=10_000_000,
        score=None if failed else round(worth, 4),
        train_score=None if failed else round(min(worth + abs(generator.gauss(0.02, 0.03)), 1), 4),
        best_epoch=None if failed else epochs - 1,
        epochs=epochs,
        epochs_budget=20,
        seconds=36.0,
        failure=generator.choice(["out_of_memory", "not_finite"]) if failed else None,
        message="the loss became nan in epoch 3." if failed else "",
        started=began,
        finished=began + 36,
    )


def add(folder, number, generator, hand_made=None):
    """Write a trial and, where it was trained, its history."""
    trial = made(number, generator, hand_made)
    folder.trial(number).write(trial)
    if trial.score is not None:
        curve = [trial.score * (1 - math.exp(-epoch / 4)) for epoch in range(1, trial.epochs + 1)]
        epochs = [Epoch(at, 1.0, {"accuracy": v + 0.01, "val_accuracy": v}) for at, v in enumerate(curve, start=1)]
        folder.trial(number).write_history(epochs)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A study of 60 trials, two of them made by hand."""
    return many(tmp_path_factory.mktemp("results"), 60)


def many(results, trials, **more):
    folder, generator = begin(results, **more), random.Random(0)
    for number in range(trials):
        add(folder, number, generator, f"by_hand_{number}" if number < 2 else None)
    return folder


def exported(study, folder, trial, **more):
    """Write what an export leaves of its scores."""
    chosen = {"trial": trial, "name": str(trial), "validation": 0.9, "parameters": 9, "epochs": 3, "loss": 0.2}
    chosen |= {"accuracy": 0.8765, "low": 0.86, "high": 0.89, **more}
    folder.mkdir()
    (folder / "model.keras").write_text("")
    (folder / "metrics.json").write_text(json.dumps({"study": study.name, "chosen": chosen, "test_images": 10_000}))


def tiles_of(text):
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)(?:<small>(.*?)</small>)?</dd>", text[: text.index("</dl>")])
    return {title: (value, note) for title, value, note in found}


def facts_of(folder):
    standing = Standing(folder)
    return read_facts(
        folder, standing.look().rows, running=False, go_on="hpsearch run spaces/cifar.py", results=Path("results")
    )


@pytest.fixture
def report(cli, tmp_path):
    """Write the report of a study by the command; returns the text of the file."""

    def write(folder, *arguments):
        file = tmp_path / "report.html"
        said = cli("report", "--results", folder.path.parent, "--study", folder.name, "--output", file, *arguments)
        assert said.code == 0, said
        return file.read_text(encoding="utf-8")

    return write


class Page(HTMLParser):
    """What a browser makes of a page: elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]


def figures_of(text):
    return json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)[1])


# ---- what it says


def test_the_headline_says_what_was_found_by_how_much_and_how_sure(night, report):
    text, facts = Page(report(night)).text, facts_of(night)
    assert f"The search found a network with val_accuracy {facts.found.validation:.4f}" in text
    assert f"{facts.gain:.4f} better than the best hand-made one" in text
    assert "On 5,000 validation images the true difference may lie anywhere from" in text
    assert "partly a lucky draw" in text
    assert "hpsearch finals --study night" in text


def test_a_search_that_did_not_beat_the_hand_made_network_says_so(tmp_path, report):
    folder = begin(tmp_path)
    for number, (score, made) in enumerate([(0.9, "mine"), (0.8, None)]):
        folder.trial(number).write(Trial(number, state="COMPLETE", baseline=made, score=score))
    assert "The search has not beaten the hand-made mine, which has 0.9000" in Page(report(folder)).text


def test_a_study_without_a_score_has_a_report(tmp_path, report):
    folder = begin(tmp_path)
    folder.trial(0).write(Trial(0, state="FAIL", failure="crashed", message="The worker died."))
    text = Page(report(folder)).text
    assert "No trial has a score yet." in text
    assert "The worker died." in text


def test_what_failed_is_counted_by_kind(night, report):
    text = Page(report(night)).text
    failed = [row for row in facts_of(night).rows if row.trial.failure]
    assert f"{len(failed)} of 60 trials ended without a network" in text
    assert "the loss became nan in epoch 3." in text


def test_a_trial_that_was_interrupted_has_not_failed(tmp_path, report):
    folder = many(tmp_path, 3)
    left = replace(folder.trial(2).read(), state="RUNNING", failure="interrupted", score=None, finished=None)
    folder.trial(2).write(left)
    facts = facts_of(folder)
    assert facts.failures == [row for row in facts.rows if row.trial.state == "FAIL"]
    text = Page(report(folder)).text
    assert "1 interrupted" in text
    assert "ended without a network" not in text


def test_what_finals_found_leads(tmp_path, report):
    folder = many(tmp_path, 12)
    best = facts_of(folder).found.trial
    found = Finalist(
        best.number, best.name, None, "", 1, best.score, [0.9, 0.91], 0.905, 0.9, 0.91, 0.002, -0.01, 0.012, "tie"
    )
    made = Finalist(0, "by_hand_0", "by_hand_0", "", 1, 0.9, [0.9, 0.9], 0.903, 0.89, 0.91)
    finals = Finals("night", "max val_accuracy", [1, 2], 2, True, 5000, [found, made], reference=0, chosen=best.number)
    write_finals(folder, finals)
    text = Page(report(folder)).text
    assert (
        f"Trained again with 2 seeds, trial {best.number} is the best: val_accuracy 0.9050 (0.9000 to 0.9100)" in text
    )
    assert "Against the best hand-made one, by_hand_0, that is a tie." in text
    tiles = tiles_of(report(folder))
    assert tiles[f"best found, trial {best.number}"] == ("0.9050", "0.9000 to 0.9100")
    assert tiles["best hand-made, by_hand_0"] == ("0.9030", "0.8900 to 0.9100")
    assert tiles["found is better by"] == ("0.0020", "mean of 2 seeds, a tie")


def test_finals_that_the_hand_made_network_wins_say_how_far_behind_the_search_is(tmp_path, report):
    folder = many(tmp_path, 12)
    made = Finalist(0, "by_hand_0", "by_hand_0", "", 1, 0.9, [0.9, 0.9], 0.903, 0.89, 0.91)
    found = Finalist(5, "5", None, "", 1, 0.95, [0.8, 0.8], 0.8, 0.79, 0.81, -0.103, -0.12, -0.09, "worse", "tie")
    finals = Finals("night", "max val_accuracy", [1, 2], 2, False, 5000, [made, found], reference=0, chosen=0)
    write_finals(folder, finals)
    text = Page(report(folder)).text
    assert "the hand-made by_hand_0 is the best" in text
    assert "The best that was found, trial 5, is worse, by 0.1030." in text
    assert tiles_of(report(folder))["found is worse by"] == ("0.1030", "mean of 2 seeds")
    assert "The finals are not complete yet." in text
    finals.finalists[1] = replace(found, verdict="tie")
    write_finals(folder, finals)
    text = Page(report(folder)).text
    assert "The best that was found, trial 5, ties with it." in text
    assert "paired by seed and image" in text
    assert "from scratch with 2 seeds and measured on 5,000 validation images. Intervals hold" in text
    write_finals(folder, replace(finals, compared=1, without_interval="one seed says nothing of another"))
    text = Page(report(folder)).text
    assert "Means count the first seed, which all were trained with." in text
    assert "Intervals hold" not in text


def test_weak_trials_lie_outside_the_frame_and_are_counted():
    scores = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.1]
    within, outside = frame(scores, maximize=True)
    assert within is not None
    assert within[0] > 0.8
    assert outside_of_frame(outside) == "1 weaker trial lies outside the frame"
    _, outside = frame([*scores, 0.1, 0.965], maximize=True)
    assert outside_of_frame(outside) == "2 weaker trials lie outside the frame"


def test_an_export_leads_with_its_test_score_and_its_folder(tmp_path, report):
    folder = many(tmp_path, 12)
    assert "hpsearch export-best --study night" in Page(report(folder)).text
    exported(folder, folder.path / "export", 5)
    written = report(folder)
    text = Page(written).text
    said = "Exported is trial 5, which has a test accuracy of 0.8765 (0.8600 to 0.8900), on 10,000 images"
    assert text.index(said) < text.index("The search found a network")
    assert f"hpsearch predict {folder.path / 'export'} photo.jpg" in text
    assert "hpsearch export-best" not in text
    assert tiles_of(written)["test accuracy, exported"] == ("0.8765", "0.8600 to 0.8900")


def test_an_export_elsewhere_is_found_and_shown_by_the_metric_of_the_search(tmp_path, report):
    opened = [{"when": 1.76e9, "trials": ["5"], "folder": str(tmp_path / "shipped"), "finished": True}]
    folder = many(tmp_path / "results", 12, test_openings=opened, data_text="Table('a.csv')")
    assert "hpsearch export-best" not in Page(report(folder)).text, "the test part is not to be opened again"
    exported(folder, tmp_path / "shipped", 5, metric="auc", value=0.95)
    text = Page(report(folder)).text
    assert "a test auc of 0.9500, on 10,000 rows" in text
    assert re.search(r"hpsearch predict \S*shipped rows.csv", text)


@pytest.mark.parametrize(
    ("last", "more"),
    [
        ("--trials 20", "--trials 40"),
        ("--trials 20 --for 45m --seed 3", "--trials 40 --for 1h30m --seed 3"),
        ("--seed 3", "--seed 3"),
    ],
)
def test_going_on_has_budgets_twice_the_last(night, last, more):
    _, command = next_commands(replace(facts_of(night), go_on=f"hpsearch run spaces/cifar.py {last}"))[-1]
    assert command == f"hpsearch run spaces/cifar.py {more}"


def test_the_name_of_a_trial_is_said_once_in_its_tile(tmp_path, report):
    folder = begin(tmp_path, objective="min val_loss", class_names=[])
    folder.trial(0).write(Trial(0, state="COMPLETE", score=0.9))
    assert tiles_of(report(folder))["best found, trial 0"] == ("0.9000", "")


def test_epochs_are_marked_at_whole_numbers(tmp_path, report):
    folder = begin(tmp_path)
    folder.trial(0).write(Trial(0, state="COMPLETE", score=0.9, epochs=3, best_epoch=3))
    folder.trial(0).write_history([Epoch(at, 1.0, {"val_accuracy": 0.3 * at}) for at in (1, 2, 3)])
    assert figures_of(report(folder))["learning-curves"]["layout"]["xaxis"]["dtick"] == 1


def test_the_colour_of_a_mistake_is_its_share_of_the_row(night):
    _, wrong = confusion(facts_of(night), Answers(Trial(0), [0] * 11 + [1], [1] + [0] * 10 + [1], [], 2)).data
    assert (wrong["z"][0][1], wrong["zmin"], wrong["zmax"]) == (0.0909, 0, 1)


@pytest.mark.parametrize("named", [True, False])
def test_mistakes_are_named_by_their_files_where_these_are_kept(tmp_path, report, named):
    folder = many(tmp_path, 12)
    (folder.path / "report").mkdir()
    best = facts_of(folder).best.trial
    arrays = {
        "predictions": np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]], "float32"),
        "labels": np.array([0, 0]),
        "mistakes": np.array([1]),
        "sizes": np.array([3]),
        "pictures": np.frombuffer(b"jpg", "uint8"),
        **({"names": np.array(["cat/<b>é.jpg"])} if named else {}),
    }
    np.savez(folder.path / "report" / f"{best.number:05d}-{best.hash[:12]}-epoch-{best.best_epoch}.npz", **arrays)
    assert isinstance(answers_of(facts_of(folder), ask=False), Answers)
    text = Page(report(folder)).text
    assert ("(cat/<b>é.jpg)" if named else "(validation image 1)") in text


def test_losses_are_better_when_smaller(tmp_path, report):
    folder = begin(tmp_path, objective="min val_loss", class_names=[])
    for number, (score, made) in enumerate([(0.9, "mine"), (0.8, None), (1.5, None)]):
        folder.trial(number).write(
            Trial(number, state="COMPLETE", baseline=made, score=score, train_score=0.5, parameters=9)
        )
    text = Page(report(folder)).text
    assert "val_loss 0.8000 (trial 1): 0.1000 better than the best hand-made one, mine." in text
    assert "Down and to the left is better." in text


def test_time_between_two_runs_does_not_count(tmp_path):
    folder = begin(tmp_path)
    for number, began in enumerate((0, 1800, 500_000)):
        times = {"started": 1.76e9 + began, "finished": 1.76e9 + began + 3600}
        folder.trial(number).write(Trial(number, state="COMPLETE", score=0.5, **times))
    assert [moment.hours for moment in facts_of(folder).moments] == pytest.approx([1, 1.5, 2.5])


def test_the_same_study_gives_the_same_file(night, report):
    assert report(night) == report(night)


def test_metadata_names_versions_and_no_machine(night, report):
    text = Page(report(night)).text
    assert "keras 3.15.1" in text
    assert "x86_64" not in text


# ---- which choices mattered


def test_the_choice_that_makes_the_score_is_the_most_important():
    generator = random.Random(1)
    trials = []
    for number in range(80):
        answers = {"good": generator.random(), "idle": generator.random(), "body": generator.choice("ab")}
        if answers["body"] == "a":
            answers["width"] = generator.randrange(1, 9)
        trials.append(Trial(number, state="COMPLETE", answers=answers, score=answers["good"]))
    found = importance(rank(trials, maximize=True), maximize=True)
    assert found.weights[0].name == "good"
    assert sum(weight.share for weight in found.weights) == pytest.approx(1)
    assert {weight.name: weight.trials for weight in found.weights}["width"] < 80, "a conditional choice is judged, too"


def test_what_cannot_be_judged_is_named(night):
    found = importance(facts_of(night).ranked, maximize=True)
    assert found.constant == ["model.body.activation"]
    assert found.left_out > 0
    assert "takes 10" in importance(facts_of(night).ranked[:5], maximize=True).why_not


# ---- texts from outside


def test_markup_in_names_stays_text(tmp_path, report, monkeypatch):
    folder = begin(tmp_path, class_names=[NASTY, "dog"], data_text=NASTY, space_text=NASTY, versions={NASTY: NASTY})
    for number in range(12):
        answers = {"training.rate": 0.1 * number, f"choice {NASTY}": NASTY if number % 2 else "other"}
        made = NASTY if number == 0 else None
        more = {"answers": answers, "recipe": f"Recipe({NASTY!r})", "parameters": 10 + number, "train_score": 0.9}
        folder.trial(number).write(Trial(number, state="COMPLETE", baseline=made, score=number / 12, **more))
        folder.trial(number).write_history([Epoch(1, 1.0, {"val_accuracy": 0.5})])
    folder.trial(12).write(Trial(12, state="FAIL", failure="user_code", message=NASTY))
    answers = Answers(Trial(11), [0, 1], [1, 1], [Mistake(0, 0, 1, 0.9, PIXEL)], 2)
    monkeypatch.setattr("hpsearch.results.report.writing.answers_of", lambda *_, **__: answers)
    text = report(folder)
    page = Page(text)
    assert NASTY in page.text, "it is shown as it is"
    assert [image["src"] for image in page.all("img")] == [PIXEL], "and makes no element"
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert len(page.all("script")) == 3
    assert "<img" not in json.dumps(figures_of(text)), "Plotly reads tags in its texts"


def test_tags_and_attributes_are_escaped():
    assert tag("p", "<b>", tag("i", "&"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;</i></p>'
    assert isinstance(tag("p"), Html)
    assert json.loads(as_script_data({"</script>": "\u2028<!--"})) == {"</script>": "\u2028<!--"}
    assert "<" not in as_script_data({"</script>": "<!--"})


# ---- what a browser is given


def test_nothing_in_the_page_is_fetched(night, report):
    page = Page(report(night))
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert not page.all("link")
    assert all("src" not in script for script in page.all("script"))
    assert all(image["src"].startswith("data:") for image in page.all("img"))


def test_plotly_knows_every_property_of_the_plots(night, report):
    import plotly.graph_objects

    found = figures_of(report(night))
    assert {"best-so-far", "learning-curves", "importance", "parallel", "parameters", "gap"} <= set(found)
    for key, figure in found.items():
        plain = json.loads(re.sub(r"var\(--[a-z0-9-]+\)", "#123456", json.dumps(figure)))
        assert plotly.graph_objects.Figure(plain).data, key


def test_every_plot_has_a_caption_and_words_for_who_cannot_see_it(night, report):
    text = report(night)
    found = Page(text)
    plots = [div for div in found.all("div") if div.get("class") == "plot"]
    assert {f"plot-{key}" for key in figures_of(text)} == {plot["id"] for plot in plots}
    assert all(plot["role"] == "img" and len(plot["aria-label"]) > 20 for plot in plots)
    assert len(found.all("figcaption")) == len(plots)


def test_a_thousand_trials_take_less_than_8_megabytes(night):
    generator = random.Random(2)
    rows = rank([made(number, generator) for number in range(1000)], maximize=True, metric="val_accuracy", images=5000)
    facts = replace(facts_of(night), rows=rows)
    text = page(facts, importance(facts.ranked, maximize=True), "nobody knows.", get_plotlyjs(), reload=True)
    assert "1,000 trials" in Page(text).text
    assert len(text.encode()) < 8_000_000


# ---- the command


def test_without_plotly_one_sentence_says_how_to_get_it(night, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    said = cli("report", "--results", night.path.parent)
    assert said.sentence.endswith("install it with: pip install 'hpsearch[report]'")


def test_a_file_that_cannot_be_written_is_one_sentence(night, cli, tmp_path):
    (tmp_path / "file").write_text("")
    said = cli("report", "--results", night.path.parent, "--output", tmp_path / "file" / "report.html")
    assert "choose another file with --output" in said.sentence


def test_a_link_stays_and_what_it_leads_to_is_replaced(night, cli, tmp_path):
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "link.html").symlink_to("page.html")
    (tmp_path / "dangling.html").symlink_to(tmp_path / "new" / "page.html")
    for name in ("link.html", "dangling.html"):
        said = cli("report", "--results", night.path.parent, "--no-predictions", "--output", tmp_path / name)
        assert said.code == 0, said
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling.html", "link.html", "new", "page.html"]


def test_what_is_no_regular_file_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    put_text(pipe, "page")
    reader.join(10)
    assert read == ["page"]
    assert pipe.is_fifo()
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    put_text(device, "page")
    assert device.is_char_device()
    with open(tmp_path / "open.html", "w+", encoding="utf-8") as file:  # as a shell opens it for /dev/stdout
        file.write("before ")
        file.flush()
        put_text(Path(f"/dev/fd/{file.fileno()}"), "page")
        file.seek(0)
        assert file.read() == "before page"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "open.html", "pipe"]


def test_the_report_lies_in_the_study_if_nothing_is_said(tmp_path, cli):
    folder = many(tmp_path, 3)
    assert cli("report", "--results", tmp_path).code == 0
    assert (folder.path / "report.html").exists()


def test_a_report_that_is_watched_follows_the_run_and_disturbs_nothing(tmp_path, monkeypatch):
    folder = many(tmp_path, 3)
    reporter = Reporter(folder.path / "report.html")
    pages = []

    def wait(_):
        pages.append(Page(reporter.output.read_text(encoding="utf-8")))
        add(folder, 2 + len(pages), random.Random(len(pages)))
        if len(pages) == 2:
            held.__exit__(None, None, None)

    held = folder.writing()
    held.__enter__()
    before = set(folder.path.rglob("*"))
    watch(Standing(folder), reporter, tmp_path, lambda: None, wait)
    last = Page(reporter.output.read_text(encoding="utf-8"))
    assert ["3 trials" in pages[0].text, "4 trials" in pages[1].text, "5 trials" in last.text] == [True] * 3
    assert all(page.all("html")[0].get("data-reload") for page in pages)
    assert "data-reload" not in last.all("html")[0], "the page of a run that ended stays"
    new = {path for path in folder.path.rglob("*") if "trials" not in path.parts} - before
    assert new == {reporter.output}


# ---- in a browser


def chromium():
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    return found or pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")


OF_CHROMIUM = ("google.com", "googleapis.com", "gvt1.com")
"""What the browser itself asks for when it starts, whatever page it is given."""


class Opened:
    """A page as headless Chromium leaves it, cut off from every host.

    Args:
        page: The page: a file, or an address of this machine.
        folder: Where the browser may write.
        width: Of the page, in pixels; it stands in a frame, because a window is never narrow.
        dark: Whether it is asked for dark colours.
        seconds: How long it stays open, by the clock of the page, which does not wait.
    """

    def __init__(self, page, folder, width=1280, dark=False, seconds=10):
        log, profile = folder / "net.json", folder / f"profile-{time.monotonic_ns()}"
        command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        command += [f"--log-net-log={log}", "--enable-logging=stderr", "--v=0"]
        command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--window-size={width},900"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
        command += [f"--virtual-time-budget={1000 * seconds}", "--dump-dom"]
        command += [page if isinstance(page, str) else page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        self.dom = done.stdout
        self.console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        asked = set(re.findall(r'"url":"(?:https?|wss?)://([^/":]*)', log.read_text(errors="replace")))
        self.fetched = sorted(host for host in asked if not host.endswith(OF_CHROMIUM))


@pytest.fixture(scope="module")
def shown(night, tmp_path_factory):
    """The report of the night with mistakes, as a file."""
    facts, folder = facts_of(night), tmp_path_factory.mktemp("shown")
    answers = Answers(facts.best.trial, [0, 1, 2, 0], [0, 1, 1, 2], [Mistake(3, 0, 2, 0.9, PIXEL)], 3)
    text = page(facts, importance(facts.ranked, maximize=True), answers, get_plotlyjs())
    (folder / "report.html").write_text(text, encoding="utf-8")
    return folder / "report.html"


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_draws_every_plot_and_fetches_nothing(shown, tmp_path, dark):
    opened = Opened(shown, tmp_path, dark=dark)
    expected = figures_of(shown.read_text(encoding="utf-8"))
    assert f'data-drawn="{len(expected)}"' in opened.dom
    after = opened.dom[opened.dom.index("<main") :]
    for key in expected:
        plot = after[after.index(f'id="plot-{key}"') :]
        drawn = plot[: plot.index("</figure>")]
        assert re.search(r'<svg class="main-svg"', drawn), key
        assert re.search(r'class="(trace scatter|point|hm|bars)|<path class="js-line"|<image', drawn), key
    assert opened.console == []
    assert opened.fetched == []


@pytest.mark.browser
def test_a_page_that_fetches_something_would_be_seen(tmp_path):
    (tmp_path / "page.html").write_text(
        '<img src="https://cdn.example.org/x.png"><script>console.log("hello")</script>'
    )
    opened = Opened(tmp_path / "page.html", tmp_path)
    assert opened.fetched == ["cdn.example.org"]
    assert len(opened.console) >= 1


@pytest.mark.browser
def test_a_narrow_page_is_no_wider_than_its_window(shown, tmp_path):
    frame = tmp_path / "frame.html"
    program = (
        "window.onload = () => setTimeout(() => { const d = document.getElementById('f').contentDocument;"
        "const right = (element) => element.getBoundingClientRect().right;"
        "const parts = [...d.querySelectorAll('table, .plot, pre')];"
        "const wide = parts.filter((part) => right(part) > right(part.closest('section')) - 8);"
        "const widths = [d.documentElement.scrollWidth, d.documentElement.clientWidth];"
        "document.title = [...widths, parts.length > 9, wide.map((part) => part.outerHTML.slice(0, 40))].join('/');"
        "}, 4000)"
    )
    text = shown.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(
        f'<title></title><iframe id="f" style="border:0;width:400px;height:20000px" srcdoc="{text}"></iframe>'
        f"<script>{program}</script>",
        encoding="utf-8",
    )
    assert "<title>400/400/true/</title>" in Opened(frame, tmp_path).dom


class Versions(BaseHTTPRequestHandler):
    """Answers with the first page once, and with the second one from then on."""

    def do_GET(self):
        if self.path != "/report.html":
            self.send_error(404)
            return
        body = self.server.pages[min(self.server.asked, 1)].encode()
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.browser
@pytest.mark.parametrize("plots", [True, False])
def test_an_open_page_shows_the_last_version_once_the_run_has_ended(night, tmp_path, plots):
    """Even where the plots of the page that was open could not be drawn; the last version stays as it is."""
    facts = facts_of(night)
    mattered = importance(facts.ranked, maximize=True)
    pages = [
        page(replace(facts, running=running), mattered, "nobody knows.", plotly, reload=running)
        for running, plotly in ((True, get_plotlyjs() if plots else ""), (False, get_plotlyjs()))
    ]
    with ThreadingHTTPServer(("127.0.0.1", 0), Versions) as server:
        server.pages, server.asked = pages, 0
        Thread(target=server.serve_forever, daemon=True).start()
        opened = Opened(f"http://127.0.0.1:{server.server_port}/report.html", tmp_path, seconds=3 * RELOAD)
        server.shutdown()
    assert server.asked == 2
    assert "The run goes on" not in Page(opened.dom).text
    assert f'data-drawn="{len(figures_of(pages[1]))}"' in opened.dom
