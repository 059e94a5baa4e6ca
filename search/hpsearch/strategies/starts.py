"""Where a search begins: recipes as a practitioner would write them first, said for whatever space there is.

A start says what it would like for a choice by the address at which the choice stands, such as ``learning_rate`` or
``stages[1].filters[0]``, or by its name in a ``build(hp)``, such as ``units_1`` or ``dropout_rate``; each choice then
takes what comes nearest among what its space allows. A choice that no start knows is taken from the middle of its
range. Several starts that differ are a portfolio: Wistuba et al., "Sequential model-free hyperparameter tuning", ICDM
2015.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from hpsearch.addresses import Choices, Parameter
from hpsearch.domains import Between, Scalar

__all__ = ["STARTS", "Start"]

Wish = float | tuple[Scalar, ...] | Callable[[str], float]
"""A number, of which the nearest is taken; labels, the first of which that is there is taken; or a number that follows
the address."""

_COUNTS = 8
"""A whole number that may not be larger is how many there are of something, not how wide they are."""
_BACKBONES = (
    "MobileNetV2",
    "EfficientNetV2B0",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "ResNet50",
    "VGG16",
)

_ANNEALED = ("cosine", "one_cycle", "onecycle", "cycle", "triangular")


def _doubling(first: int, most: int = 256) -> Callable[[str], float]:
    """Filters that double from stage to stage; in a name, the first number is taken for that of the stage."""

    def filters(address: str) -> float:
        stage = re.search(r"stages\[(\d+)\]", address) or re.search(r"(\d+)", address)
        return float(min(first * 2 ** (int(stage[1]) if stage else 0), most))

    return filters


_INPUT_SIZE = r"\b(?:input|image|img)_?size$|^size$"

_USUAL: Mapping[str, Wish] = {
    r"\bbody$": (*_BACKBONES, "Pretrained", "Concat", "ConvNet"),
    r"\bstages$": 3,
    r"\bconvs#$|\bfilters#$": 2,
    r"\bfilters\b": _doubling(32),
    r"\bkernel_size$": 3,
    r"\bpool_(?:size|stride)$": 2,
    r"\bbatch_?norm$": ("after_activation", "before_activation", "once_per_stage", True, None),
    r"\bpool$": ("max",),
    r"\bresidual$|\bseparable$": (False,),
    r"\bactivation$": ("relu",),
    r"\binitializer$": ("he_uniform", "he_normal"),
    r"\blogit_scale$": 1.0,
    r"\bpooling$": ("average", "avg", "flatten", "max"),
    r"\bdense#$|\bdense_layers#$": 0,
    r"\bunits$|\bdense$": 128,
    r"\bdense\[\d+\].*\bdropout$": 0.3,
    r"\bdropout$": 0.1,
    _INPUT_SIZE: 128,
    r"\bunfreeze_last$": 0,
    r"\bfrozen$": (True,),
    r"\boptimizer$": ("Adam", "AdamW", "RMSprop", "SGD", "Muon"),
    r"\boptimizer\(SGD\).*learning_rate$": 3e-2,
    r"\boptimizer\(Muon\).*learning_rate$": 2e-2,
    r"\bfine_tune\b.*learning_rate$": 1e-5,
    r"learning_rate$|\blr$": 2e-3,
    r"\bweight_decay$": 1e-4,
    r"\bbatch_size$": 64,
    r"\bschedule$": (None, "none"),
    r"\baugment$": (None, "none"),
    r"\blabel_smoothing$": 0.0,
    r"\bbias_rate$": 1,
    r"\bcutout$|\brandaugment$|\bmixup$|\bcutmix$": 0.0,
    r"\bclass_weight$": (None,),
}
"""What is usual in the field, by a regular expression on the address; see `_expression`."""


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """A regular expression in which ``\\b`` is where letters begin or end, and ``$`` is the end of a name.

    The name may have a number behind it, or ``_rate``. ``#`` stands after the address of a count; a pattern that does
    not say it does not mind.
    """
    letters = r"(?:(?<![a-zA-Z])(?=[a-zA-Z])|(?<=[a-zA-Z])(?![a-zA-Z]))"
    parts = [part.replace(r"\b", letters) for part in re.split(r"(#?\$)", pattern)]
    ends = {"#$": r"(?:_rate)?[_\d]*#$", "$": r"(?:_rate)?[_\d]*#?$"}
    return re.compile("".join(ends.get(part, part) for part in parts))


@dataclass(frozen=True)
class Start:
    """One way to begin.

    Args:
        name: What it is called.
        wishes: What it likes otherwise than is usual, by a regular expression on the address.
    """

    name: str
    wishes: Mapping[str, Wish]

    def choice(self, parameter: Parameter) -> Scalar:
        """What it chooses.

        Args:
            parameter: The choice.
        """
        domain = parameter.domain
        address = parameter.name + ("#" if _is_count(domain) else "")
        for pattern, wish in (*self.wishes.items(), *_USUAL.items()):
            if _expression(pattern).search(address):
                found = _nearest(domain, wish(parameter.name) if callable(wish) else wish)
                if found is not None:
                    return found[0]
        return _middle(domain)


def _is_count(domain: Choices | Between) -> bool:
    numbers = domain.labels if isinstance(domain, Choices) else (domain.low, domain.high)
    return all(isinstance(number, int) and not isinstance(number, bool) and number <= _COUNTS for number in numbers)


def _nearest(domain: Choices | Between, wish: float | tuple[Scalar, ...]) -> tuple[Scalar] | None:
    """What comes nearest to a wish; None where it says nothing about such a domain."""
    if isinstance(wish, tuple):
        labels = domain.labels if isinstance(domain, Choices) else ()
        return next(((label,) for liked in wish for label in labels if _alike(liked, label)), None)
    if isinstance(domain, Between):
        return (domain.snapped(min(max(wish, domain.low), domain.high)),)
    numbers = [label for label in domain.labels if isinstance(label, int | float) and not isinstance(label, bool)]
    return (min(numbers, key=lambda number: _apart(number, wish)),) if numbers else None


def _alike(liked: Scalar, label: Scalar) -> bool:
    if isinstance(liked, str) and isinstance(label, str):
        return liked.casefold() == label.casefold()
    return type(liked) is type(label) and liked == label


def _apart(number: float, wish: float) -> float:
    """How far apart two numbers are: by their ratio where both are above 0."""
    return abs(math.log(number / wish)) if number > 0 and wish > 0 else abs(number - wish)


def _middle(domain: Choices | Between) -> Scalar:
    """The middle of a range; the first of a few options that are in no order."""
    if isinstance(domain, Choices):
        return domain.labels[(len(domain.labels) - 1) // 2 if domain.ordinal else 0]
    wide = domain.log or (domain.low > 0 and domain.high / domain.low > 10)
    return domain.snapped(math.sqrt(domain.low * domain.high) if wide else (domain.low + domain.high) / 2)


STARTS: Sequence[Start] = (
    Start(
        "quick",
        {
            r"\bfilters\b": _doubling(16),
            r"\bdropout$": 0.0,
            r"\bunits$": 64,
            r"learning_rate$|\blr$": 2e-3,
        },
    ),
    Start("usual", {}),
    Start(
        "head",
        {
            r"\bdense#$|\bdense_layers#$": 1,
            r"\bdropout$": 0.2,
            r"learning_rate$|\blr$": 1e-3,
        },
    ),
    Start(
        "small",  # of those that train all their weights, and where those of a backbone are not to be had, the first
        {
            r"\bbody$": ("ConvNet",),
            r"\bfilters\b": _doubling(16),
            r"\bdropout$": 0.0,
            r"\bunits$": 64,
            _INPUT_SIZE: 64,
            r"learning_rate$|\blr$": 2e-3,
        },
    ),
    Start(
        "wide",
        {
            r"\bbody$": ("ConvNet",),
            r"\bfilters\b": _doubling(64),
            r"\bdropout$": 0.2,
            r"\bschedule$": _ANNEALED,
        },
    ),
    Start(
        "plain",
        {
            r"\bbody$": ("ConvNet",),
            r"\bbatch_?norm$": (None,),
            r"\bstages$": 2,
            r"\bpooling$": ("flatten",),
            r"\bdense#$|\bdense_layers#$": 1,
            r"\bdropout$": 0.0,
            r"\bunits$": 64,
            r"learning_rate$|\blr$": 1e-3,
        },
    ),
    Start(
        "momentum",
        {
            r"\bbody$": ("ConvNet",),
            r"\boptimizer$": ("SGD",),
            r"\bbatch_?norm$": ("before_activation", "after_activation"),
            r"\bschedule$": _ANNEALED,
        },
    ),
    Start(
        "careful",
        {
            r"\bdense#$|\bdense_layers#$": 1,
            r"\bdropout$": 0.4,
            r"\bunits$": 256,
            r"learning_rate$|\blr$": 5e-4,
            r"\baugment$": ("light", "flip"),
            r"\bunfreeze_last$": 20,
        },
    ),
)
"""The portfolio, in the order in which it is tried."""
