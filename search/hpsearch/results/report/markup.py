"""HTML that is escaped by construction: a text is always a text, and only what `tag` made is markup."""

from __future__ import annotations

import json
from html import escape
from typing import Any

__all__ = ["Html", "as_script_data", "join", "plot_text", "tag"]

_VOID = ("br", "hr", "img", "meta")
_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Html(str):
    """Markup that is ready to be written; every other text is escaped when it becomes part of one."""

    __slots__ = ()


def tag(name: str, /, *content: object, **attributes: object) -> Html:
    """An element.

    Args:
        name: Such as ``p``.
        content: What stands in it: `Html` as it is, anything else as an escaped text; None is left out.
        attributes: Attributes; ``class_`` is ``class``, ``aria_label`` is ``aria-label``. None and False are left out,
            True stands without a value.
    """
    said = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Html(f"<{name}{said}>" if name in _VOID else f"<{name}{said}>{join(*content)}</{name}>")


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def join(*content: object) -> Html:
    """Several pieces, one after the other.

    Args:
        content: As of `tag`.
    """
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in content if part is not None))


def plot_text(text: str) -> str:
    """A text for a plot: Plotly reads tags in it, such as links and bold type, and entities.

    Args:
        text: Any text, such as the name of a class.
    """
    return escape(text, quote=False)


def as_script_data(value: Any) -> Html:
    """A value as JSON that can stand in a script element, whatever texts are in it.

    Args:
        value: What JSON knows; not-a-number and infinities are not allowed.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return Html("".join(_SCRIPT.get(character, character) for character in text))
