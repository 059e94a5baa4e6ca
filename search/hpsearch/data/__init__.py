"""The data of a search: declared with shape and classes, found on disk, and only then loaded.

This package itself imports neither NumPy nor an image library; `hpsearch.data.loading` does.
"""

from hpsearch.data.classes import with_classes
from hpsearch.data.declarations import NAMES, Arrays, Data, ImageFolder, Named, check_declaration, named
from hpsearch.data.locate import Found, find
from hpsearch.data.tables import Table

__all__ = [
    "NAMES",
    "Arrays",
    "Data",
    "Found",
    "ImageFolder",
    "Named",
    "Table",
    "check_declaration",
    "find",
    "named",
    "with_classes",
]
