"""What people call the examples of some data: images, or the rows of a table."""

from __future__ import annotations

from hpsearch.study.folder import StudyInfo

__all__ = ["examples"]


def examples(info: StudyInfo) -> str:
    """``images``, or ``rows`` where each is a row of a table, with photos or without.

    Args:
        info: The study, which keeps the declaration of its data as source.
    """
    from hpsearch.data.facts import FACTS

    kind, _, options = info.data_text.partition("(")
    tables = tuple(f'"{name}"' for name, facts in FACTS.items() if facts.columns)
    return "rows" if kind == "Table" or (kind == "Named" and options.strip().startswith(tables)) else "images"
