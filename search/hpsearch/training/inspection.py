"""Looking at a space without searching it: do its baselines and draws from it build, how large are they, how fast."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from hpsearch.addresses import Parameter, dimensions
from hpsearch.blocks.files import look_in
from hpsearch.check import check
from hpsearch.data.loading import SearchData, find, load_search_data
from hpsearch.data.sample import sample
from hpsearch.declare import Anything, source
from hpsearch.describe import describe
from hpsearch.domains import Between, Scalar
from hpsearch.errands import Inspect, Inspected
from hpsearch.errors import DataError, HpsearchError, ModelError, SpaceError, WeightsError
from hpsearch.recipe import HyperModel, Model, Recipe
from hpsearch.resolve import Suggest, resolve
from hpsearch.space import Space
from hpsearch.spacefile import load_space
from hpsearch.trained import missing_files
from hpsearch.training.build import Built, UserCodeError, build, without_weights
from hpsearch.training.inputs import Inputs, declared_inputs
from hpsearch.training.measure import Measures, measure, measure_network
from hpsearch.training.pretrained import local_files, to_download, with_local_weights
from hpsearch.training.reading import check_reading, check_windows
from hpsearch.training.timing import timed

__all__ = ["DRAWS", "at_random", "baseline_costs", "check_buildable", "inspect_space"]

DRAWS = 200
"""A space is refused where none of so many draws fits the images."""


def at_random(generator: random.Random) -> Suggest:
    """A suggest that draws uniformly, from a range on the scale that it says.

    Args:
        generator: Where the draws come from.
    """

    def suggest(parameter: Parameter) -> Scalar:
        domain = parameter.domain
        if not isinstance(domain, Between):
            return generator.choice(domain.labels)
        if domain.log:
            return domain.snapped(domain.low * (domain.high / domain.low) ** generator.random())
        if domain.count == float("inf"):
            return domain.snapped(generator.uniform(domain.low, domain.high))
        step = domain.step or 1
        return domain.snapped(domain.low + step * generator.randrange(int(domain.count)))

    return suggest


def check_buildable(space: Space, inputs: Inputs) -> None:
    """Refuse a space that reads what is not there, or that holds no network for this data.

    Args:
        space: The space.
        inputs: What its networks are built for.

    Raises:
        SpaceError: Something that is read is not there, or not one draw fits; the sentence says where the last fails.
    """
    if isinstance(space.search.model, HyperModel):
        return
    check_reading(space.search.model, inputs)
    draw = at_random(random.Random(0))
    fixed = not dimensions(space.search)
    for _ in range(1 if fixed else DRAWS):
        drawn = replace(space.search, model=resolve(space.search.model, draw, "model"))
        try:
            _check_fits(drawn, inputs, fully=fixed)
        except (ModelError, UserCodeError) as error:
            last = error
        else:
            return
    raise SpaceError(
        f"{last}" if fixed else f"no network of this space fits the images, of {DRAWS} drawn; the last: {last}"
    )


def _check_fits(recipe: Recipe, inputs: Inputs, *, fully: bool) -> None:
    """Whether the network can be built; by arithmetic alone unless ``fully``, as that costs nothing."""
    if fully:
        measure(recipe, inputs)
    elif isinstance(recipe.model, Model):
        check_windows(recipe.model, inputs)


def baseline_costs(space: Space, inputs: Inputs) -> dict[str, int]:
    """Floating-point operations of one image through each hand-made network whose files are there, forward.

    Args:
        space: The space.
        inputs: What its networks are built for.

    Raises:
        SpaceError: One cannot be built; the sentence says which, and where it fails.
    """
    costs: dict[str, int] = {}
    for name, recipe in (space.baselines or {}).items():
        if isinstance(recipe.model, Model) and not missing_files(recipe):
            try:
                costs[name] = measure(recipe, inputs).flops
            except (ModelError, UserCodeError, WeightsError) as error:
                raise SpaceError(f"baselines[{name!r}].{error}") from error
    return costs


def inspect_space(request: Inspect) -> Inspected:
    """Measure every baseline and some draws; nothing is allocated but what a ``build(hp)`` makes or is to be timed.

    Args:
        request: Which space, how many draws.

    Raises:
        InputError: The space file or, where steps are to be timed, the data cannot be used.
    """
    look_in(data=request.data_dir)
    space = load_space(request.space_file, module_path=request.imports)
    declaration = space.declaration
    inputs = declared_inputs(declaration, request.data_dir)
    found = find(declaration, data_dir=request.data_dir)
    data = _data(space, request) if request.timed else None
    counted: set[str] = set()
    try:
        check_buildable(space, inputs)
    except SpaceError as error:
        raise SpaceError(f"{request.space_file}: {error}") from error
    samples = _samples(space, inputs, request, data, counted)
    summary = describe(space)
    absent = {one.name for one in summary.left_out}
    seen, problem = _seen(space, request) if found.found else (None, "")
    return Inspected(
        summary=summary,
        dimensions=summary.dimensions + len(counted),
        data_found=found.found,
        data_where=found.where if found.found else found.hint,
        data_seen=seen,
        data_problem=problem,
        baselines=tuple(
            _baseline(name, recipe, inputs, request, left_out=name in absent)
            for name, recipe in (space.baselines or {}).items()
        ),
        samples=samples,
    )


def _seen(space: Space, request: Inspect) -> tuple[dict[str, Any] | None, str]:
    """What a sample of the data holds, or why there is none."""
    try:
        seen = sample(space.declaration, data_dir=request.data_dir)
    except DataError as error:
        return None, str(error)
    return None if seen is None else vars(seen), ""


def _data(space: Space, request: Inspect) -> SearchData:
    try:
        return load_search_data(space.declaration, data_dir=request.data_dir)
    except DataError as error:
        raise DataError(f"--time needs the data: {error}") from error


def _baseline(name: str, recipe: Recipe, inputs: Inputs, request: Inspect, *, left_out: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, **_unknown(), "weights": "random", "left_out": left_out}
    try:
        if isinstance(recipe.model, HyperModel):
            found.update(vars(_built_and_measured(recipe, inputs, lambda _: None)[1]))
        else:
            found.update(vars(measure(recipe, inputs)))
        found["weights"] = _weights(recipe, inputs, request)
    except HpsearchError as error:
        if left_out and isinstance(error, WeightsError):  # it is measured when its file is there
            found["weights"] = f"missing: {', '.join(missing_files(recipe))}"
        else:
            found["error"] = str(error)
    return found


def _unknown() -> dict[str, Any]:
    """What is said of a network that cannot be built."""
    return {"parameters": None, "flops": None, "memory": None, "error": None}


def _built_and_measured(recipe: Recipe, inputs: Inputs, suggest: Suggest) -> tuple[Built, Measures]:
    """A network with random weights, and what it takes; it forgets those that were built before."""
    keras.utils.clear_session()
    built = build(without_weights(recipe), inputs, suggest)
    return built, measure_network(built.network, built.recipe, inputs)


def _weights(recipe: Recipe, inputs: Inputs, request: Inspect) -> str:
    """Where the weights of the backbones and trained branches of a recipe would come from."""
    folders = [folder for folder in (request.data_dir, request.imports) if folder is not None]
    try:
        local = with_local_weights(recipe, inputs, folders)
    except WeightsError as error:
        return f"missing: {error}"
    if to_download(local, inputs):
        return "to be downloaded"
    files = list(dict.fromkeys(local_files(local)))
    return f"found: {', '.join(files)}" if files else "random"


def _samples(
    space: Space, inputs: Inputs, request: Inspect, data: SearchData | None, counted: set[str]
) -> tuple[dict[str, Any], ...]:
    generator = random.Random(request.seed)
    draw = at_random(generator)

    def counting(parameter: Parameter) -> Scalar:
        counted.add(parameter.name)
        return draw(parameter)

    return tuple(_sample(space, inputs, draw, counting, data) for _ in range(request.samples))


def _sample(
    space: Space, inputs: Inputs, draw: Suggest, counting: Callable[[Parameter], Scalar], data: SearchData | None
) -> dict[str, Any]:
    recipe = resolve(space.search, draw)
    found: dict[str, Any] = {**_unknown(), "seconds": None, "features": None, "exceeds": [], "recipe": source(recipe)}
    built: Built | None = None
    try:
        if isinstance(recipe.model, HyperModel):
            built, measures = _built_and_measured(recipe, inputs, counting)
            found["recipe"] = source(built.recipe)
        else:
            check(recipe, Anything())
            measures = measure(recipe, inputs)
        found.update(vars(measures), exceeds=_exceeded(space, measures))
        if data is not None and not found["exceeds"]:
            built = built or _built_and_measured(recipe, inputs, counting)[0]
            predicted = timed(built, data, inputs)
            found["seconds"] = predicted.seconds
            found["features"] = None if predicted.features is None else vars(predicted.features)
    except HpsearchError as error:
        found["error"] = str(error)
    return found


def _exceeded(space: Space, measures: Measures) -> list[str]:
    """The limits of the space that a network does not keep, by name."""
    limits = space.constraints
    if limits is None:
        return []
    most = {"parameters": limits.parameters, "flops": limits.flops, "memory": limits.memory_bytes}
    return [name for name, limit in most.items() if limit is not None and getattr(measures, name) > limit]
