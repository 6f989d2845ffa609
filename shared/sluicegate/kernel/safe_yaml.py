"""YAML text to plain values, without what YAML can do to its reader.

A small file can hold aliases that expand to billions of nodes, brackets nested deeper than the C parser's
stack, and the same key twice, of which most readers silently take the last.
"""

from collections.abc import Iterator
from typing import Any

import yaml

MAX_DEPTH = 32
MAX_NODES = 250_000
"""Nodes of a document with all of its aliases expanded."""

_MERGE = "tag:yaml.org,2002:merge"
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(Exception):
    """The text is not acceptable YAML. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


def parse_yaml(text: str) -> tuple[Any, Any]:
    """The node tree of the only document in `text`, which knows lines, and its content; None where empty.

    Raises:
        YamlError: not YAML, more than one document, nested deeper than `MAX_DEPTH`, more than `MAX_NODES`
            nodes, a node that contains itself, a key given twice, or a value out of range.
    """
    try:
        _measure(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, None
            _refuse_duplicates(node)
            return node, loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise YamlError(line, f"not valid YAML: {_first_line(error)}") from None
    except (ValueError, OverflowError) as error:
        # A date that the calendar lacks, a number of thousands of digits: PyYAML lets these escape.
        raise YamlError(1, f"a value is out of range: {_first_line(error)}") from None


def _measure(text: str) -> None:
    """Bound depth and expanded size by the parser's events alone: they come one by one, unexpanded."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise YamlError(line, f"*{event.anchor} contains itself")
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
            if len(open_nodes) > MAX_DEPTH:
                raise YamlError(line, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if total > MAX_NODES:
            raise YamlError(line, f"more than {MAX_NODES} values once its aliases are expanded")


def _refuse_duplicates(root: Any) -> None:
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                waiting.append(value)
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    if key.value in names:
                        raise YamlError(key.start_mark.line + 1, f"{key.value[:80]!r} is given twice")
                    names.add(key.value)


def _first_line(error: Exception) -> str:
    problem = getattr(error, "problem", None)
    return str(problem or error).splitlines()[0][:200]
