"""The tree of choices as far as trials have walked it: a choice is known once a trial was asked for it.

So it works for declared spaces, where a choice may exist below one option only, and for a ``build(hp)``, whose choices
nobody knows before it runs.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Step", "Tree"]

Step = tuple[str, int]
"""A choice and the position of what was chosen."""


class _Node:
    """What is asked after some choices; without a name where no trial was asked for more."""

    __slots__ = ("children", "closed", "count", "first", "holder", "name", "seen")

    def __init__(self) -> None:
        self.name = ""
        self.count = 0
        self.children: dict[int, _Node] = {}
        self.first = 0  # the lowest position that may still be free
        self.closed = False  # whether nothing below can be free any more
        self.holder: int | None = None  # the open trial that is here, or on its way
        self.seen = False  # whether a trial has ended here

    def expand(self, name: str, count: int) -> None:
        self.name, self.count = name, count
        self.holder, self.seen = None, False

    def child(self, at: int) -> _Node:
        return self.children.setdefault(at, _Node())

    def free(self) -> list[Step] | None:
        """The steps to the first place that no trial has or had; None where there is none."""
        if not self.name:
            if self.holder is None and not self.seen:
                return []
            self.closed = self.holder is None
            return None
        if self.closed:
            return None
        while self.first < self.count and self.first in self.children and self.children[self.first].closed:
            self.first += 1
        for at in range(self.first, self.count):
            below = self.child(at).free() if at in self.children else []
            if below is not None:
                return [(self.name, at), *below]
        self.closed = all(self.children[at].closed for at in range(self.first, self.count))
        return None


class Tree:
    """All choices that trials made, and where each open trial stands and goes."""

    def __init__(self) -> None:
        self._root = _Node()
        self._paths: dict[int, list[tuple[_Node, int]]] = {}  # of each open trial: where it was asked, what it chose
        self._here: dict[int, _Node | None] = {}
        self._plans: dict[int, dict[str, int]] = {}
        self._goals: dict[int, _Node] = {}

    def free(self) -> list[Step] | None:
        """The steps to the first place that is free; None where, as far as is known, there is none."""
        return self._root.free()

    def grow(self, path: Iterable[tuple[str, int, int]]) -> None:
        """Learn what is asked, from a trial that was recorded.

        Args:
            path: Its choices in order: name, number of values, position of the chosen one.
        """
        node = self._root
        for name, count, at in path:
            if not node.name:
                node.expand(name, count)
            if node.name != name or at >= node.count:
                return
            node = node.child(at)

    def enter(self, number: int, plan: Iterable[Step]) -> None:
        """Let a trial start.

        Args:
            number: The trial.
            plan: Where it goes; the place is kept for it.
        """
        self._plans[number] = dict(plan)
        node = self._root
        for name, at in self._plans[number].items():
            if node.name != name or at >= node.count:
                break
            node = node.child(at)
        self._here[number], self._paths[number] = self._root, []
        self._hold(number, node)

    def choice(self, number: int, name: str) -> int:
        """What a trial chooses; nothing changes by asking.

        Args:
            number: The trial.
            name: The choice it is asked for.

        Returns:
            The position of the value.
        """
        node = self._here[number]
        if node is None or node.name != name:
            return 0  # nobody was asked for it here before, or the trial left the tree
        planned = self._plans[number].get(name)
        if planned is not None and planned < node.count:
            return planned
        free = node.free()
        return free[0][1] if free else 0

    def take(self, number: int, name: str, count: int, at: int) -> None:
        """Let a trial make a choice.

        Args:
            number: The trial.
            name: The choice.
            count: How many values there are.
            at: The position of the chosen one.
        """
        node = self._here[number]
        if node is None:
            return
        if not node.name:
            node.expand(name, count)
            for above, chosen in self._paths[number]:
                above.closed, above.first = False, min(above.first, chosen)
        if node.name != name or at >= node.count:
            # The same choices, and another question: what decides it is no choice. It goes on outside of the tree.
            self._here[number] = None
            return
        self._paths[number].append((node, at))
        self._here[number] = node.child(at)
        if not node.child(at).name:
            self._hold(number, node.child(at))

    def _hold(self, number: int, node: _Node) -> None:
        """Keep a place for a trial, and no other."""
        before = self._goals.get(number)
        if before is not None and before.holder == number:
            before.holder = None
        self._goals[number] = node
        if not node.name and node.holder is None and not node.seen:
            node.holder = number

    def leave(self, number: int) -> None:
        """Let a trial end; the place that was kept for it is not visited again.

        Args:
            number: The trial.
        """
        for node in (self._goals.pop(number), self._here.pop(number)):
            if node is not None and not node.name and node.holder in (None, number):
                node.holder, node.seen = None, True
        del self._plans[number], self._paths[number]
