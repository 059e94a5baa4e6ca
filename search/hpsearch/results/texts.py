"""Whether a recipe takes texts, which only some formats of an export can hold: told before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hpsearch.errors import HpsearchError, InputError
from hpsearch.results.formats import FORMATS, no_texts
from hpsearch.results.setup import setup_of
from hpsearch.study.folder import StudyFolder, StudyInfo
from hpsearch.study.trial import Trial

__all__ = ["refuse_texts"]


def refuse_texts(study: StudyFolder, info: StudyInfo, trials: Iterable[Trial], formats: Sequence[str]) -> None:
    """Refuse a format that holds no texts where every recipe that may be exported takes some.

    Of a space file that imports Keras nothing is known here; its formats are looked at once there is a model.

    Args:
        study: The study.
        info: What it is.
        trials: Those that may be exported, one or more.
        formats: What was asked for, of `FORMATS`.

    Raises:
        InputError: There is such a format; the sentence names the columns.
    """
    from hpsearch.spacefile import is_declarative

    textless = [name for name in formats if not FORMATS[name].texts]
    if not textless or not info.data_text.startswith("Table("):
        return
    try:
        taken = _texts(study, info, trials) if is_declarative(study.space_file) else []
    except HpsearchError:  # whoever trains says what is wrong with the space or a recipe
        return
    if taken and all(taken):
        raise InputError(f"--format got {textless[0]!r}: {no_texts(taken[0])}")


def _texts(study: StudyFolder, info: StudyInfo, trials: Iterable[Trial]) -> list[tuple[str, ...]]:
    """The columns of categories that the network of each trial takes."""
    from hpsearch.data.tables import TABLE, Table
    from hpsearch.reads import inputs_read
    from hpsearch.spacefile import load_recipe, load_space

    imports = setup_of(study, info, None).imports
    data = load_space(study.space_file, module_path=imports).declaration
    texts = tuple(data.categorical) if isinstance(data, Table) else ()
    recipes = (load_recipe(trial.recipe, study.space_file, imports) for trial in trials)
    return [texts if TABLE in inputs_read(recipe.model, data.shapes) else () for recipe in recipes]
