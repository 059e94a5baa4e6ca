"""The reference result of a space: a search in a stated time, then finals against the networks made by hand.

Claims nothing beforehand: the table says what was found, whether it beats the best hand-made network, and how sure that
is. All is done by the commands a user types: `hpsearch run`, `hpsearch finals`, `hpsearch leaderboard --markdown`. The
test part stays sealed.

    python benchmarks/reference.py spaces/table.py --for 3m
    python benchmarks/reference.py spaces/cifar.py --for 15m --subset 4000 --epochs 8 --data-dir DATA
    python benchmarks/reference.py --table                       the table of all that are there
    python benchmarks/reference.py --pages                       their pages, from what was kept

Into `results/reference/SPACE/` go the leaderboard, the winning recipe, what the finals say and, with Chromium, a
screenshot of the report. How many updates of the weights each finalist was allowed stands beside its score: where one
had over a quarter more than the other, the row is no longer called better. `--replace OLD NEW` changes the text of the
space file first, such as the alpha of a backbone whose weights are not at hand; the page says so. The studies stay in
`--studies`, and a call that was cut off goes on there.
"""

# ruff: noqa: T201  # a table on standard output is what this is for

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _machine import machine, words
from _searches import SOURCE, copied, given, hpsearch, shown
from PIL import Image

sys.path.insert(0, str(SOURCE))

from hpsearch.spacefile import load_recipe, load_space  # it is found by the line above

ROOT = Path(__file__).resolve().parents[1]
ALIKE = 1.25
"""So many times the updates of the other may a network have had for their scores to be compared."""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SEEN = (1280, 1500)
"""Pixels of the report that the screenshot shows, from its top."""
_HIDDEN = {"--data-dir": "DATA", "--studies": "STUDIES", "--output": "OUTPUT"}


def main() -> int:
    """Search, hold finals, and write what they say."""
    options = _options()
    if options.table or options.pages:
        for path in sorted(options.output.glob("*/reference.json")) if options.pages else ():
            path.with_name("README.md").write_text(_page(json.loads(path.read_text(encoding="utf-8"))) + "\n", "utf-8")
        print(_table(options.output))
        return 0
    found = _reference(options)
    _screenshot(options)
    print(_page(found))
    print(_table(options.output))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A search of a space, and finals against the networks made by hand.")
    parser.add_argument("space", type=Path, nargs="?", help="a space file with baselines")
    parser.add_argument("--for", dest="time", default="10m", help="how long to search: 10m, 2h")
    parser.add_argument("--subset", type=int, help="as of hpsearch run")
    parser.add_argument("--epochs", type=int, help="as of hpsearch run")
    parser.add_argument("--seeds", type=int, default=3, help="of the finals")
    parser.add_argument("--top", type=int, default=2, help="of the finals")
    parser.add_argument("--replace", nargs=2, action="append", default=[], metavar=("OLD", "NEW"), help="a text in it")
    parser.add_argument("--data-dir", type=Path, help="as of hpsearch run")
    parser.add_argument("--studies", type=Path, default=ROOT / "results", help="where the studies are written")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "reference", help="where results are kept")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, no more")
    parser.add_argument("--pages", action="store_true", help="write the pages again, from what was kept")
    options = parser.parse_args()
    if not (options.table or options.pages or options.space):
        parser.error("name a space file")
    return options


def _reference(options: argparse.Namespace) -> dict[str, Any]:
    name = options.space.stem
    folder = options.output / name
    folder.mkdir(parents=True, exist_ok=True)
    limits = [*given("--subset", options.subset), *given("--epochs", options.epochs)]
    contest = ["--seeds", str(options.seeds), "--top", str(options.top)]
    space = copied(options.space, options.replace, options.studies / "searched")
    _hpsearch(options, "run", space, "--study", name, "--for", options.time, *limits)
    _hpsearch(options, "finals", "--study", name, *contest)
    finals = json.loads(_hpsearch(options, "finals", "--study", name, *contest, "--json", read=True))
    board = _hpsearch(options, "leaderboard", "--study", name, "--markdown", "--top", "10", read=True)
    (folder / "leaderboard.md").write_text(board, encoding="utf-8")
    winner = options.studies / name / "trials" / f"{finals['chosen']:05}" / "recipe.py"
    study = json.loads((options.studies / name / "study.json").read_text(encoding="utf-8"))
    rows = json.loads(_hpsearch(options, "leaderboard", "--study", name, "--json", read=True))
    found = {
        "machine": machine(),
        "load": round(os.getloadavg()[2], 1),
        "space": name,
        "objective": study["objective"],
        "train": study["train_images"],
        "validation": study["validation_images"],
        "trials": len(rows),
        "search_minutes": _minutes(options, name),
        "finals_minutes": _minutes(options, f"{name}/finals"),
        "commands": [
            f"hpsearch run spaces/{options.space.name} --for {options.time} {' '.join(limits)}".strip(),
            f"hpsearch finals {' '.join(contest)}",
        ],
        "command": shlex.join(["python", "benchmarks/reference.py", *shown(sys.argv[1:], _HIDDEN)]),
        "replaced": options.replace,
        "finals": finals,
        "recipe": winner.read_text(encoding="utf-8").strip(),
    }
    (folder / "reference.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_page(found) + "\n", encoding="utf-8")
    return found


def _minutes(options: argparse.Namespace, study: str) -> float:
    """How long a study has run."""
    told = json.loads(_hpsearch(options, "status", "--study", study, "--json", read=True))
    return round(float(told["seconds"]) / 60, 1)


def _screenshot(options: argparse.Namespace) -> None:
    """What a browser shows of the report; without images of the data, which are not ours to pass on."""
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        print("No screenshot: there is no Chromium.", file=sys.stderr)
        return
    name = options.space.stem
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "report.html", Path(folder) / "report.png"
        _hpsearch(options, "report", "--study", name, "--no-predictions", "--output", page)
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
        command += [f"--window-size={_SEEN[0]},{_SEEN[1]}", "--virtual-time-budget=10000", f"--screenshot={picture}"]
        subprocess.run([*command, page.as_uri()], check=True, capture_output=True)
        with Image.open(picture) as image:
            few = image.convert("RGB").quantize(96)  # as flat as the page is, that cannot be told from the original
            few.save(options.output / name / "report.png", optimize=True)


def _hpsearch(options: argparse.Namespace, *arguments: object, read: bool = False) -> str:
    data = given("--data-dir", options.data_dir) if arguments[0] in ("run", "finals") else []
    return hpsearch(*arguments, *data, results=options.studies, read=read)


# ---- what is kept


def _page(found: dict[str, Any]) -> str:
    finals = found["finals"]
    replaced = [f"- Replaced in the space file: `{_line(old)}` by `{_line(new)}`" for old, new in found["replaced"]]
    lines = [
        f"# {found['space']}",
        "",
        (
            f"{found['trials']} trials for {found['objective']}; {found['train']:,} examples to train on, "
            f"{found['validation']:,} to validate on. The search took {found['search_minutes']:g} minutes, the finals "
            f"{found['finals_minutes']:g}."
        ),
        "",
        f"{words(found['machine'])}; load {found['load']:g} over the last quarter of an hour.",
        "",
        *(f"    {command}" for command in found["commands"]),
        "",
        f"Finals, {finals['compared']} seeds each:",
        "",
        "| finalist | parameters | updates | search | seeds | mean (95 % interval) | to the best by hand | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_finalist(found, each) for each in finals["finalists"]),
        "",
        "Updates are those of the weights that the recipe and `--epochs` allow; a dash is a recipe that was not kept.",
        "",
        *replaced,
        *([""] if replaced else []),
        "The ten best of the search are in [leaderboard.md](leaderboard.md). The recipe with the best mean:",
        "",
        "```python",
        found["recipe"],
        "```",
        "",
        "All of it, from the search on:",
        "",
        f"    {_line(found['command'])}",
    ]
    return "\n".join(lines)


def _finalist(found: dict[str, Any], each: dict[str, Any]) -> str:
    updates = _updates(found, each)
    cells = [
        f"{each['name']}{' (by hand)' if each['baseline'] else ''}",
        f"{each['parameters'] or 0:,}",
        "-" if updates is None else f"{updates:,}",
        _number(each["search"]),
        " ".join("-" if score is None else f"{score:.4f}" for score in each["scores"]),
        _mean(each),
        _difference(each),
        each["failure"] or _verdict(found, each),
    ]
    return f"| {' | '.join(cells)} |"


def _updates(found: dict[str, Any], each: dict[str, Any]) -> int | None:
    """How many updates of the weights a finalist was allowed; None where its recipe is not at hand."""
    with tempfile.TemporaryDirectory() as folder:
        space = copied(ROOT / "spaces" / f"{found['space']}.py", found["replaced"], Path(folder))
        if each["baseline"]:
            recipe = (load_space(space).baselines or {})[each["baseline"]]
        elif each["trial"] == found["finals"]["chosen"]:
            recipe = load_recipe(found["recipe"], space)
        else:
            return None
    words = found["commands"][0].split()
    most = int(words[words.index("--epochs") + 1]) if "--epochs" in words else recipe.epochs
    return min(most, recipe.epochs) * -(-found["train"] // recipe.training.batch_size)


def _verdict(found: dict[str, Any], each: dict[str, Any]) -> str:
    """What the difference says, but for networks that were trained for unlike lengths, of which it says nothing."""
    by_hand = next(
        (other for other in found["finals"]["finalists"] if other["trial"] == found["finals"]["reference"]), None
    )
    if by_hand is None or each is by_hand or each["verdict"] != "better":
        return each["verdict"] or ""
    mine, its = _updates(found, each), _updates(found, by_hand)
    if mine is None or its is None:
        return "none: updates unknown"
    return "better" if mine <= its * ALIKE else f"none: {mine / its:.1f} times the updates"


def _table(output: Path) -> str:
    """A row for each space that has a reference result."""
    lines = [
        "| space | made by hand | found | difference (95 % interval) | updates | verdict | minutes | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(output.glob("*/reference.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        finalists = found["finals"]["finalists"]
        by_hand = next((each for each in finalists if each["trial"] == found["finals"]["reference"]), None)
        best = next((each for each in finalists if not each["baseline"] and each["mean"] is not None), None)
        if by_hand is not None and best is not None:
            name = f"[{found['space']}]({found['space']}/README.md)"
            lengths = " / ".join(
                "-" if n is None else f"{n:,}" for n in (_updates(found, each) for each in (by_hand, best))
            )
            scores = [f"{by_hand['name']} {_mean(by_hand)}", _mean(best), _difference(best)]
            cells = [name, *scores, lengths, _verdict(found, best)]
            minutes = f"{found['search_minutes']:g} + {found['finals_minutes']:g}"
            lines.append(f"| {' | '.join(cells)} | {minutes} | `{found['commands'][0]}` |")
    return "\n".join(lines)


def _mean(each: dict[str, Any]) -> str:
    return _between(each["mean"], each["low"], each["high"])


def _difference(each: dict[str, Any]) -> str:
    return _between(each["difference"], each["difference_low"], each["difference_high"], "+")


def _between(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    if low is None or high is None:
        return _number(value, sign)
    return f"{_number(value, sign)} ({_number(low, sign)} to {_number(high, sign)})"


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.4f}"


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    raise SystemExit(main())
