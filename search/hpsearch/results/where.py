"""Conditions on trials, such as ``parameters<1e6 and state==COMPLETE``: read, checked, and never run as Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from hpsearch.errors import InputError
from hpsearch.results.fields import Field, Fields, Value, values
from hpsearch.results.leaderboard import Row

__all__ = ["where"]

Test = Callable[[Mapping[str, Value]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<sign><=|>=|==|!=|<|>|=|\(|\))|(?P<word>[^\s<>=!()'\"]+))"
)
_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([smhdkMG]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "k": 10**3, "M": 10**6, "G": 10**9}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_JOINS = ("and", "or", "not")
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}
_DEEPEST = 40


@dataclass(frozen=True)
class _Operand:
    """One side of a comparison: a field, or what was written in its place."""

    text: str
    field: Field | None = None
    quoted: bool = False

    @property
    def number(self) -> float | None:
        found = None if self.quoted else _NUMBER.fullmatch(self.text)
        return float(found[1].replace("_", "")) * _UNITS[found[2]] if found else None

    @property
    def none(self) -> bool:
        return self.text.lower() == "none" and not self.quoted and self.field is None


def _as_word(side: _Operand, beside: _Operand) -> _Operand:
    """What stands beside a field that can hold this word means the word, and no field of the same name."""
    words = beside.field.words if beside.field else ()
    return _Operand(side.text) if side.field and side.text.lower() in map(str.lower, words) else side


def where(text: str, fields: Fields) -> Callable[[Row], bool]:
    """Read a condition: comparisons of fields, joined by ``and``, ``or``, ``not`` and parentheses.

    Numbers are written as in Python, or with a unit: ``1.5M``, ``10m`` (minutes). Words need quotes only where they
    hold a space or a sign. What is not known (a score that a trial does not have) is neither more nor less than
    anything and equal to ``none`` alone. A field that stands alone asks whether it is known and not false.

    Args:
        text: Such as ``parameters<1e6 and (state==COMPLETE or epochs>=5)``.
        fields: What may stand in it.

    Returns:
        Whether a row fits.

    Raises:
        InputError: It cannot be read; the sentence says where and what is allowed.
    """
    test = _Reader(text, fields).read()
    return lambda row: test(values(row))


class _Reader:
    """Reads one condition, from left to right."""

    def __init__(self, text: str, fields: Fields) -> None:
        self.text = text
        self.fields = fields
        self.tokens = self._split()
        self.place = 0
        self.depth = 0

    def _split(self) -> list[str]:
        tokens, place = [], 0
        end = len(self.text.rstrip())
        while place < end:
            found = _TOKEN.match(self.text, place)
            if found is None:
                self._refuse(f"nothing can be made of {self.text[place:].strip()!r}")
            tokens.append(found[0].strip())
            place = found.end()
        return tokens

    def _refuse(self, problem: str) -> NoReturn:
        raise InputError(
            f"--where got {self.text!r}: {problem}. Write comparisons joined by and, or, not and parentheses, "
            'such as "parameters<1e6 and state==COMPLETE".'
        )

    # ---- what stands at a place

    @property
    def next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self, word: str) -> bool:
        if self.next.lower() != word:
            return False
        self.place += 1
        return True

    # ---- conditions

    def read(self) -> Test:
        test = self._any()
        if self.next:
            self._refuse(f"{self.next!r} stands where and, or or the end should")
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._take("or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._refuse(f"more than {_DEEPEST} parentheses or nots in one another")
        try:
            if self._take("not"):
                test = self._one()
                return lambda row: not test(row)
            if not self._take("("):
                return self._comparison()
            test = self._any()
            if not self._take(")"):
                self._refuse("a parenthesis is not closed")
            return test
        finally:
            self.depth -= 1

    def _comparison(self) -> Test:
        sides, tests = [self._operand()], []
        while self.next in _COMPARE or self.next in ("=", "!="):
            sign = self.next.replace("=", "==") if self.next == "=" else self.next
            self.place += 1
            sides.append(self._operand())
            tests.append(self._compared(sides[-2], sign, sides[-1]))
        if not tests:
            return self._alone(sides[0])
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _operand(self) -> _Operand:
        token = self.next
        if not token or token[0] in "<>=!()" or token.lower() in _JOINS:
            stands = f"{token!r} stands" if token else "it ends"
            self._refuse(f"{stands} where a field, a number or a word should")
        self.place += 1
        if token[0] in "'\"":
            return _Operand(token[1:-1], quoted=True)
        return _Operand(token, self.fields.get(token))

    def _alone(self, side: _Operand) -> Test:
        name = self._known(side).name
        return lambda row: row[name] not in (None, False)

    def _known(self, side: _Operand) -> Field:
        """The field that should stand here."""
        if side.field is None and (side.quoted or side.number is not None):
            self._refuse(f"{side.text!r} is compared with no field")
        return side.field or self.fields.find(side.text, "--where")

    def _compared(self, left: _Operand, sign: str, right: _Operand) -> Test:
        left, right = _as_word(left, right), _as_word(right, left)
        if left.field is None and right.field is None:
            self._known(right if left.quoted or left.number is not None else left)
        field = left.field or right.field
        assert field is not None
        if sign == "!=":
            same = self._compared(left, "==", right)
            return lambda row: not same(row)
        if sign != "==" and field.kind != "number":
            self._refuse(f"{field.name} is {_KINDS[field.kind]}, which is compared by == and != alone")
        if left.none or right.none:
            if sign != "==":
                self._refuse(f"none is compared by == and != alone, not by {sign}")
            return lambda row: row[field.name] is None
        first, second = self._side(left, field), self._side(right, field)
        compare = _COMPARE[sign]

        def test(row: Mapping[str, Value]) -> bool:
            a, b = first(row), second(row)
            return a is not None and b is not None and compare(a, b)  # type: ignore[arg-type]  # of one kind

        return test

    def _side(self, side: _Operand, beside: Field) -> Callable[[Mapping[str, Value]], Value]:
        """The value of a side that is compared with a field."""
        if side.field is not None:
            name = side.field.name
            if side.field.kind != beside.kind:
                self._refuse(f"{beside.name} is {_KINDS[beside.kind]} and {name} is {_KINDS[side.field.kind]}")
            return lambda row: row[name]
        value = self._literal(side, beside)
        return lambda _: value

    def _literal(self, side: _Operand, beside: Field) -> Value:
        if beside.kind == "number":
            if side.number is None:
                self._refuse(f"{beside.name} is a number, which {side.text!r} is not")
            return side.number
        if beside.kind == "flag":
            if side.text.lower() not in _FLAGS:
                self._refuse(f"{beside.name} is true or false, which {side.text!r} is not")
            return _FLAGS[side.text.lower()]
        if beside.words:
            words = {word.lower(): word for word in beside.words}
            if side.text.lower() not in words:
                listed = ", ".join(beside.words)
                self._refuse(f"{beside.name} is never {side.text!r}, but one of {listed}")
            return words[side.text.lower()]
        return side.text


_KINDS = {"number": "a number", "text": "a text", "flag": "true or false"}
