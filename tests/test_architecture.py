"""What holds for the source as a whole: imports go one way, commands start without Keras, modules stay readable."""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "search"
LONGEST = 400


class Part(NamedTuple):
    """A part of the package and what it may import: at any time, or only inside functions, when it is really needed."""

    modules: str
    imports: str = ""
    later: str = ""


# From the bottom up: a part imports only parts that stand above it in this table.
# "hpsearch" stands for the package's front, which offers the words of a space file.
PARTS = {
    # Words and means without a meaning of their own
    "errors": Part("errors"),
    "wording": Part("wording brief"),
    "printing": Part("printing"),
    "installing": Part("installing"),
    "declare": Part("declare", "errors"),
    # The vocabulary of a space file
    "domains": Part("domains", "declare errors"),
    "addresses": Part("addresses", "domains declare errors"),
    "metrics": Part("metrics noise", "errors"),
    "optimizers": Part("optimizers schedules phases muon biases", "domains declare errors"),
    "blocks": Part("blocks", "domains declare errors"),
    "recipe": Part("recipe regime reads trained", "blocks optimizers domains declare errors"),
    # Data: declared and found, apart from loaded
    "data": Part(
        "data data.declarations data.facts data.folders data.locate data.tables data.csvs data.classes data.cache "
        "data.sizes",
        "declare errors",
    ),
    "loading": Part(
        "data.loading data.parts data.batches data.pools data.table_pool data.arrays data.archives data.photos "
        "data.split data.encoding data.listing data.stored data.download data.sample data.shared data.pickles",
        "data errors",
    ),
    # Spaces
    "resolve": Part("resolve", "recipe addresses domains declare errors"),
    "check": Part("check", "resolve addresses domains declare errors"),
    "space": Part("space agreement", "metrics check resolve recipe data domains addresses declare errors"),
    "hpsearch": Part("hpsearch", "space recipe blocks optimizers domains data"),
    "spacefile": Part("spacefile", "space recipe blocks errors", later="hpsearch"),
    "describe": Part("describe", "space optimizers resolve recipe addresses domains declare errors"),
    # Folders for temporary files, of workers as well as of whoever writes beside files of the user's
    "scratch": Part("executors.scratch"),
    # The record; workers share its words and never touch its storage
    "trial": Part("study.trial study.atomic study.checkpoints", "errors"),
    "study": Part(
        "study study.asked study.folder study.lock study.live study.requests study.keeping study.room "
        "study.attempts study.mounts study.second study.soundness",
        "scratch trial addresses domains errors",
    ),
    # Who proposes, and what is said
    "names": Part("strategies.names"),
    "strategies": Part("strategies", "names describe resolve addresses domains errors"),
    "messages": Part("messages errands", "describe trial addresses domains errors"),
    "events": Part("events", "trial errors"),
    "limits": Part("limits", "metrics trial errors"),
    # Inside workers
    "training": Part(
        "training",
        "messages describe spacefile space check resolve recipe loading data trial metrics blocks optimizers addresses "
        "domains declare installing printing errors",
    ),
    # Where trials run
    "process": Part("executors.process", later="training"),
    "preload": Part("executors.preload", "process training printing"),
    "executors": Part(
        "executors executors.base executors.local executors.devices executors.memory executors.pipe executors.server "
        "executors.backend executors.compiler executors.gpus executors.nvidia",
        "process messages scratch data installing printing errors",
        later="training",
    ),
    # The loop, and starting it
    "coordinator": Part(
        "coordinator", "executors strategies study trial messages events limits describe space metrics errors"
    ),
    "launch": Part(
        "launch running repeats sharing hardware survey",
        "hpsearch coordinator executors strategies study trial messages events limits space spacefile wording errors",
    ),
    # What comes of it
    "leaderboard": Part(
        "results.leaderboard results.intervals results.tested results.finals results.board results.fields "
        "results.where results.pareto results.selection results.comparison results.recorded "
        "results.examples",
        "metrics study trial wording errors",
        later="data",
    ),
    "results": Part(
        "results",
        "leaderboard launch coordinator executors strategies study scratch trial messages events metrics wording "
        "errors",
        later="spacefile recipe data",
    ),
    "report": Part("results.report", "leaderboard study trial wording errors", later="launch messages"),
    "cli": Part(
        "cli",
        "leaderboard study trial events names wording errors",
        later="hpsearch results report launch coordinator executors limits messages space spacefile describe resolve "
        "recipe data printing declare",
    ),
}

# Who may import what at once and, where that is dear, who may inside functions.
LIBRARIES = {
    "keras": Part("training", later="blocks optimizers"),
    "keras_tuner": Part("training", later="strategies"),  # there in a process of its own
    "tensorflow": Part("", later="training"),
    "jax": Part("training"),  # in modules that are themselves imported inside functions: it need not be installed
    "torch": Part("", later="training"),
    "numpy": Part("loading training", later="blocks results report"),
    "onnxruntime": Part("", later="training"),
    "ai_edge_litert": Part("", later="training"),
    "openvino": Part("", later="training"),
    "ml_dtypes": Part("", later="training"),
    "psutil": Part("executors scratch", later="study"),
    "PIL": Part("", later="loading training"),
    "sklearn": Part("", later="loading"),
    "scipy": Part("", later="results"),
    "optuna": Part("strategies", later="study report"),
    "plotly": Part("", later="report"),
    "click": Part("cli"),
    "rich": Part("", later="cli"),
}

HEAVY = ("keras", "keras_tuner", "tensorflow", "jax", "torch")


class Import(NamedTuple):
    """One imported module, and when it is imported."""

    name: str
    line: int
    inside_function: bool
    only_types: bool


@cache
def modules():
    """Every module of the package with its path."""
    found = {}
    for path in sorted(SOURCE.joinpath("hpsearch").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree_of(module):
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports_of(module):
    """What a module imports; ``from package import module`` counts as the module."""
    found = []

    def visit(node, inside_function, only_types):
        for child in ast.iter_child_nodes(node):
            for_types = only_types or (
                isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
            )
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module} line {child.lineno} imports relatively; name the module in full."
                inner = [f"{child.module}.{alias.name}" for alias in child.names]
                names = [name if name in modules() else child.module for name in inner]
            else:
                names = []
            found.extend(Import(name, child.lineno, inside_function, for_types) for name in dict.fromkeys(names))
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            visit(child, inside_function=inside_function or function, only_types=for_types)

    visit(tree_of(module), inside_function=False, only_types=False)
    return tuple(found)


def part_of(module):
    """The part that a module belongs to: the longest of the table's names that it begins with."""
    if module == "hpsearch":
        return "hpsearch"
    inside = module.removeprefix("hpsearch.")
    listed = [(name, part) for part, row in PARTS.items() if part != "hpsearch" for name in row.modules.split()]
    fitting = [(len(name), part) for name, part in listed if inside == name or inside.startswith(f"{name}.")]
    return max(fitting)[1] if fitting else None


def named(parts):
    return ", ".join(parts) if parts else "nothing"


@pytest.mark.parametrize("module", modules())
def test_imports_within_the_package_go_one_way(module):
    own = part_of(module)
    assert own, f"{module} belongs to no part of the table PARTS; say there what it may import."
    always, later = PARTS[own].imports.split(), PARTS[own].later.split()
    for imported in imports_of(module):
        if imported.name.split(".")[0] != "hpsearch":
            continue
        part = part_of(imported.name)
        deferred = imported.inside_function or imported.only_types
        assert part == own or part in always or (deferred and part in later), (
            f"{module} line {imported.line} imports {imported.name} ({part}) "
            f"{'inside a function' if imported.inside_function else 'at module level'}; {own} may import "
            f"{named(always)}{f', and inside functions {named(later)}' if later else ''}."
        )


def test_the_table_itself_goes_one_way():
    parts = list(PARTS)
    for number, (part, row) in enumerate(PARTS.items()):
        for name in (row.imports + " " + row.later).split():
            assert name in parts[:number], f"The table lets {part} import {name}, which does not stand above it."


def test_no_part_of_the_table_is_left_over():
    empty = set(PARTS) - {part_of(module) for module in modules()}
    assert not empty, f"No module belongs to {named(sorted(empty))}; take it out of the table PARTS."


def test_no_modules_import_each_other_in_a_circle():
    """Not even by way of an import inside a function, which only hides the circle; type hints alone may."""
    reachable = {
        module: {each.name for each in imports_of(module) if each.name in modules() and not each.only_types}
        for module in modules()
    }
    done = set()

    def walk(module, trail):
        assert module not in trail, f"These import each other: {' -> '.join([*trail[trail.index(module) :], module])}."
        if module not in done:
            for name in sorted(reachable[module]):
                walk(name, [*trail, module])
            done.add(module)

    for module in modules():
        walk(module, [])


@pytest.mark.parametrize("module", modules())
def test_libraries_are_imported_only_where_they_belong(module):
    own = part_of(module)
    for imported in imports_of(module):
        library = imported.name.split(".")[0]
        if library not in LIBRARIES:
            known = library == "hpsearch" or library in sys.stdlib_module_names
            assert known, f"{module} line {imported.line} imports {library}; say in LIBRARIES who may."
            continue
        always, later = LIBRARIES[library].modules.split(), LIBRARIES[library].later.split()
        deferred = imported.inside_function or imported.only_types
        assert own in always or (deferred and own in [*later, *always]), (
            f"{module} line {imported.line} imports {imported.name} "
            f"{'inside a function' if imported.inside_function else 'at module level'}; {library} may be imported by "
            f"{named(always)}, and inside functions by {named(later)}."
        )


def loaded_after_importing(names):
    """The top-level modules of a fresh interpreter that has imported these."""
    code = (
        "import importlib, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "for name in sys.argv[2:]: importlib.import_module(name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SOURCE), *names], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_only_workers_load_keras():
    """Coordinator, record, strategies and commands import neither Keras nor a backend, whatever they import in turn."""
    names = [module for module in modules() if part_of(module) not in ("training", "preload")]
    heavy = loaded_after_importing(names) & set(HEAVY)
    assert not heavy, f"Importing the package outside training brings {named(sorted(heavy))}."


def test_the_command_line_starts_with_nothing_heavy():
    heavy = loaded_after_importing(["hpsearch.cli.main"]) & {*LIBRARIES, "scipy", "sqlalchemy"} - {"click"}
    assert not heavy, f"hpsearch --help loads {named(sorted(heavy))}."


def test_reading_a_study_needs_no_search_library():
    loaded = loaded_after_importing(["hpsearch.cli.reading", "hpsearch.cli.leaderboard", "hpsearch.cli.compare"])
    heavy = loaded & {*HEAVY, "numpy", "optuna", "scipy", "sklearn", "sqlalchemy"}
    assert not heavy, f"hpsearch leaderboard loads {named(sorted(heavy))}."


@pytest.mark.parametrize("module", modules())
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(tree_of(module)), f"{module} has no docstring."


@cache
def listed_names(module):
    """The names in a module's ``__all__``, or None where it has none."""
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("module", modules())
def test_a_module_with_public_names_lists_them(module):
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    defined = [node.name for node in tree_of(module).body if isinstance(node, definitions)]
    public = [name for name in defined if not name.startswith("_")]
    assert not public or listed_names(module) is not None, f"{module} defines {named(public)} and has no __all__."


@pytest.mark.parametrize("module", modules())
def test_only_listed_names_are_imported_from_elsewhere(module):
    """A name that another module uses is in its own module's ``__all__``."""
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.ImportFrom) or node.module not in modules():
            continue
        for alias in node.names:
            listed = f"{node.module}.{alias.name}" in modules() or alias.name in (listed_names(node.module) or ())
            assert listed, f"{module} imports {alias.name}, which is not in the __all__ of {node.module}."


@pytest.mark.parametrize("module", modules())
def test_no_module_is_too_long_to_read(module):
    lines = len(modules()[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, (
        f"{module} has {lines} lines; {LONGEST} is the most. Which idea in it is a module of its own?"
    )


def test_nobody_imports_by_way_of_the_source_folder():
    found = [
        str(path.relative_to(ROOT))
        for folder in ("benchmarks", "search", "spaces", "tests")
        for path in sorted(ROOT.joinpath(folder).rglob("*.py"))
        if re.search(r"^\s*(?:from|import) search\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not found, f"{named(found)} imports search.hpsearch; the package is hpsearch."
    assert importlib.util.find_spec("hpsearch"), "hpsearch is not installed; run make test."


FOREIGN = {
    "the host of a package registry": re.compile(
        r"\b(?:pypi\.org|pypi\.python\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs\.org"
        r"|conda\.anaconda\.org|deb\.debian\.org|crates\.io)\b"
    ),
    "a path of somebody's home folder": re.compile(r"(?<![\w.-])/(?:root/|home/\w+/|Users/\w+/)"),
}


def tracked_files():
    git = shutil.which("git")
    if git is None or not ROOT.joinpath(".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"git cannot list the files: {done.stderr.strip()}")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_file_holds_a_registry_host_or_a_home_folder():
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # not a text, or removed and not yet committed
            continue
        for what, pattern in FOREIGN.items():
            found = pattern.search(text)
            assert not found, f"{path.relative_to(ROOT)} holds {what}: {found and found.group()}"
