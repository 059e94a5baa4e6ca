"""``build_model()`` of a script: the graph of a network, layer by layer, as the Keras code that builds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from hpsearch.blocks.dirac import begins_with_identity
from hpsearch.blocks.whitening import whitening_layers
from hpsearch.declare import LINE_LENGTH, source
from hpsearch.training.script.calls import Call, Raw, ScriptError, call_of, operation_call

__all__ = ["Nested", "Written", "remark", "statement", "written_network"]

_INDENT = 4
_TAKEN = ("inputs", "keras", "layers", "np", "ops", "json", "model")


@dataclass(frozen=True)
class Nested:
    """A network within a network that is made by code of its own.

    Args:
        made: The call that makes it.
        after: Lines that follow, in which ``NAME`` stands for its variable.
        said: The comment above it.
        variable: What it is called.
    """

    made: Call
    after: tuple[str, ...]
    said: str
    variable: str


@dataclass
class Written:
    """Functions of a script, and what they need.

    Args:
        functions: The source of each, those that are called first.
        classes: The source of a user's own layers, by name.
    """

    functions: list[str] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All functions."""
        return "\n\n\n".join(self.functions)


def remark(text: str) -> str:
    """A text with names from outside as a comment or a docstring holds it: on one line, and without what would end it.

    Args:
        text: It.
    """
    said = " ".join(text.split()).replace("\\", "/").replace('""', "''")
    return f"{said[:-1]}'" if said.endswith('"') else said


def statement(variable: str, call: Call | Raw, given: str, indent: int = _INDENT) -> str:
    """A line such as ``x = layers.Flatten()(x)``, broken where it is too long.

    Args:
        variable: What takes the result.
        call: What is called.
        given: What its result is called with in turn, brackets included; empty where it is not.
        indent: Of the line.
    """
    begin = f"{variable} = " if variable else ""
    flat = source(call, indent, before=len(begin), after=len(given))
    if "\n" in flat and isinstance(call, Call):
        name, args, options = call.source_call()
        inside = ", ".join([*map(source, args), *(f"{key}={source(value)}" for key, value in options.items())])
        inside = " ".join(inside.split())
        if indent + _INDENT + len(inside) <= LINE_LENGTH and "(\n" not in inside:
            flat = f"{name}(\n{' ' * (indent + _INDENT)}{inside}\n{' ' * indent})"
    return f"{' ' * indent}{begin}{flat}{given}"


def written_network(
    network: Any,
    nested: Callable[[Any], Nested | None],
    branches: Sequence[str],
    explained: Mapping[str, str],
    name: str = "build_model",
    doc: str = "",
    begin: Sequence[str] = (),
) -> Written:
    """The functions that build a network.

    Args:
        network: A functional or sequential Keras model.
        nested: How a model within it is made; None writes a function for it.
        branches: The names of branches, with which the names of their layers begin.
        explained: Comments by what the name of a layer begins with.
        name: Of the function.
        doc: What it says of itself.
        begin: Lines before all others.

    Raises:
        ScriptError: It cannot be written as plain Keras code.
    """
    written = Written()
    _Writer(written, nested, branches, explained).function(network, name, doc, begin)
    return written


class _Writer:
    """Writes one network, and those within it before it."""

    def __init__(
        self,
        written: Written,
        nested: Callable[[Any], Nested | None],
        branches: Sequence[str],
        explained: Mapping[str, str],
    ) -> None:
        self.written = written
        self.nested = nested
        self.branches = branches
        self.explained = explained

    def function(self, network: Any, name: str, doc: str, begin: Sequence[str] = ()) -> None:
        """Write the function of a network."""
        graph = network._functional if isinstance(network, keras.Sequential) else network  # noqa: SLF001  # Keras shows calls in no public way
        if not hasattr(graph, "_nodes_by_depth"):
            raise ScriptError(f"the model {network.name} has no graph of layers")
        body = _Body(self, graph)
        lines = [f"def {name}():", f'    """{remark(doc)}"""', *(f"    {line}" for line in begin), *body.lines()]
        self.written.functions.append("\n".join(lines))


class _Body:
    """The lines of one function."""

    def __init__(self, writer: _Writer, graph: Any) -> None:
        self.writer = writer
        self.graph = graph
        self.nodes = _in_order(graph)
        self.whitening = list(whitening_layers(graph))
        self.uses: dict[int, int] = {}  # the last place where a tensor is needed
        for place, node in enumerate(self.nodes):
            for tensor in node.input_tensors:
                self.uses[id(tensor)] = place
        for tensor in graph.outputs:
            self.uses[id(tensor)] = len(self.nodes)
        operations = [id(node.operation) for node in self.nodes]
        self.shared = {each for each in operations if operations.count(each) > 1}
        self.names: dict[int, str] = {}  # of tensors
        self.holders: dict[str, int] = {}  # until where a variable is needed
        self.made: dict[int, str] = {}  # variables of layers that are called several times
        self.group = ""

    def lines(self) -> list[str]:
        entries = list(self.graph.inputs)
        found = self._entries(entries)
        for place, node in enumerate(self.nodes):
            found += self._comment(node.operation)
            found += self._statement(place, node)
        outputs = [self.names[id(tensor)] for tensor in self.graph.outputs]
        result = outputs[0] if len(outputs) == 1 else f"[{', '.join(outputs)}]"
        return [*found, f"    return keras.Model(inputs, {result})"]

    def _entries(self, entries: list[Any]) -> list[str]:
        if len(entries) == 1:
            self.names[id(entries[0])] = "inputs"
            return [statement("inputs", Call("keras.Input", (tuple(entries[0].shape[1:]),), _typed(entries[0])), "")]
        lines = ["    inputs = {"]
        for entry in entries:
            self.names[id(entry)] = f'inputs["{entry.name}"]'
            call = Call("keras.Input", (tuple(entry.shape[1:]),), {**_typed(entry), "name": entry.name})
            lines.append(f'        "{entry.name}": {source(call)},')
        return [*lines, "    }"]

    def _comment(self, operation: Any) -> list[str]:
        """A comment where another part of the network begins."""
        name = operation.name
        for pattern, said in self.writer.explained.items():
            found = re.match(pattern, name)
            if found is not None:
                comment = found.expand(said)
                new, self.group = comment != self.group, comment
                return ["", f"    # {remark(comment)}"] if new else []
        return []

    def _statement(self, place: int, node: Any) -> list[str]:
        operation, (output,) = node.operation, node.outputs
        args = tuple(self._said(each) for each in node.arguments.args)
        kwargs = {name: self._said(each) for name, each in node.arguments.kwargs.items() if each is not None}
        if not (isinstance(operation, keras.Model) and kwargs.get("training") is False):
            kwargs.pop("training", None)  # what Keras would pass by itself
        lines, callee = self._callee(operation)
        variable = self._variable(place, node)
        for each in node.outputs:
            self.names[id(each)] = variable
        self.holders[variable] = self.uses.get(id(output), place)
        if callee is None:
            return [*lines, statement(variable, operation_call(operation, args, kwargs), "")]
        if begins_with_identity(operation):
            return [*lines, statement(variable, Call("dirac", (callee, *args), kwargs), "")]
        given = ", ".join([*map(source, args), *(f"{name}={source(each)}" for name, each in kwargs.items())])
        return [*lines, statement(variable, callee, f"({given})")]

    def _callee(self, operation: Any) -> tuple[list[str], Call | Raw | None]:
        """What is called, with the lines that make it; None for an operation that is no layer."""
        if id(operation) in self.made:
            return [], Raw(self.made[id(operation)])
        if isinstance(operation, keras.Model):
            return self._nested(operation)
        if not isinstance(operation, keras.layers.Layer):
            return [], None
        call = call_of(operation, self.writer.written.classes)
        if any(operation is layer for layer, _ in self.whitening):
            call = Call(call.name, call.args, {**call.options, "name": operation.name})  # by which it is found again
        if id(operation) not in self.shared:
            return [], call
        name = self._fresh(re.sub(r"\W", "_", operation.name))
        self.made[id(operation)] = name
        return [statement(name, call, "")], Raw(name)

    def _nested(self, model: Any) -> tuple[list[str], Call | Raw]:
        said = self.writer.nested(model)
        if said is None:
            name = re.sub(r"\W", "_", model.name)
            self.writer.function(model, f"build_{name}", f"The part of the network that is called {model.name}.")
            said = Nested(Call(f"build_{name}"), (), "", name)
            if id(model) not in self.shared:
                return [], Call(f"build_{name}")
        variable = self._fresh(said.variable)
        self.made[id(model)] = variable
        after = [f"    {line.replace('NAME', variable)}" for line in said.after]
        comment = [f"    # {remark(said.said)}"] if said.said else []
        return [*comment, statement(variable, said.made, ""), *after], Raw(variable)

    def _said(self, value: Any) -> Any:
        """An argument as it is written, tensors by their variables."""
        if isinstance(value, keras.KerasTensor):
            return Raw(self.names[id(value)])
        if isinstance(value, list | tuple):
            return [self._said(each) for each in value]
        if isinstance(value, dict):
            return {name: self._said(each) for name, each in value.items()}
        return value

    def _variable(self, place: int, node: Any) -> str:
        """What takes the result: a variable that nothing needs any more."""
        prefix = next((each for each in self.writer.branches if node.operation.name.startswith(f"{each}_")), None)
        base = "x" if prefix is None else f"{prefix}_" if prefix in _TAKEN else prefix
        given = [self.names[id(tensor)] for tensor in node.input_tensors]
        if prefix is None and given[0] in self.writer.branches and len(given) == 1:
            base = given[0]  # an operation without a name of its own goes on with its branch
        held = {name for name, until in self.holders.items() if until > place or (until == place and name not in given)}
        candidates = [base, *(name for name in given if name in self.holders)]
        return next((name for name in candidates if name not in held), None) or self._fresh(base, held)

    def _fresh(self, base: str, held: Iterable[str] = ()) -> str:
        """A name that is not in use."""
        taken = {*self.holders, *self.made.values(), *_TAKEN} if not held else {*held, *self.made.values(), *_TAKEN}
        if base == "x":
            choices = iter(("y", "z", "w", *(f"x{number}" for number in range(1, 100))))
        else:
            choices = iter((base, *(f"{base}_{number}" for number in range(2, 100))))
        return next(name for name in choices if name not in taken)


def _typed(entry: Any) -> dict[str, str]:
    dtype = keras.backend.standardize_dtype(entry.dtype)
    return {} if dtype == "float32" else {"dtype": dtype}


def _in_order(graph: Any) -> list[Any]:
    """The calls of a graph in the order in which a person would write them: branch by branch, shortcuts first."""
    found: list[Any] = []
    done: set[int] = set()
    within = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}  # noqa: SLF001  # as above
    entries = {id(entry) for entry in graph.inputs}

    def walk(tensors: Iterable[Any]) -> None:
        stack = [(tensor, False) for tensor in reversed(list(tensors))]
        while stack:
            tensor, ready = stack.pop()
            node = tensor._keras_history.operation._inbound_nodes[tensor._keras_history.node_index]  # noqa: SLF001  # as above
            if id(node) in done or id(tensor) in entries or id(node) not in within:
                continue
            if ready:
                done.add(id(node))
                found.append(node)
                continue
            stack.append((tensor, True))
            given = list(node.input_tensors)
            # Two ways that part and meet again: the shorter one stands first, as it begins where the other does.
            ordered = given if isinstance(node.operation, keras.layers.Concatenate) else given[::-1]
            stack += [(each, False) for each in reversed(ordered)]

    walk(graph.outputs)
    return found
