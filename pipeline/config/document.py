"""A YAML text as plain values that know where they stand.

Only what a configuration needs: mappings, lists, texts, numbers, true and false. Dates and times stay texts, keys are
texts as written (a brand may be called `no`). Bounded: depth, size, and the size after aliases are written out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

MAX_SIZE: Final = 2_000_000
"""Characters of the file."""
MAX_DEPTH: Final = 30
MAX_VALUES: Final = 200_000
"""Values of the file with all aliases written out."""

Path = tuple[str | int, ...]
_MERGE: Final = "tag:yaml.org,2002:merge"
_TAGS: Final = "tag:yaml.org,2002:"
_SAFE_KINDS: Final = ("null", "bool", "int", "float", "str", "timestamp", "binary", "value")


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that is wrong: where in the file (counted from 1), in which setting, what, and what to write."""

    line: int
    column: int
    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.what} — {self.advice}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: its key, if it has one, and itself. Lines and columns from 1."""

    line: int
    column: int
    value_line: int
    value_column: int
    node: yaml.Node = field(compare=False)


@dataclass(slots=True)
class Document:
    """The values of a YAML text, where each stands, and what is wrong with the YAML itself."""

    text: str
    data: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path) -> tuple[int, int]:
        """Return line and column of a setting; of the nearest setting around it where it is not in the file."""
        while path:
            if path in self.places:
                return self.places[path].line, self.places[path].column
            path = path[:-1]
        return 1, 1

    def value_place(self, path: Path) -> tuple[int, int]:
        """Return line and column of a setting's value."""
        found = self.places.get(path)
        return (found.value_line, found.value_column) if found else self.place(path)

    def inside(self, path: Path, offset: int) -> tuple[int, int]:
        """Return line and column of a character inside a text, however the text is written in the file."""
        found = self.places.get(path)
        if found is None or not isinstance(found.node, yaml.ScalarNode):
            return self.place(path)
        value: str = found.node.value
        raw = self.text[found.node.start_mark.index : found.node.end_mark.index]
        start = min(offset, len(value))
        while start and not value[start - 1].isspace():
            start -= 1
        word = re.match(r"\S*", value[start:])
        assert word is not None
        times = value[:start].count(word[0]) if word[0] else 0
        at = -1
        for _ in range(times + 1):  # folding changes spaces and line ends, never words
            at = raw.find(word[0], at + 1)
        if not word[0] or at < 0:
            return found.value_line, found.value_column
        at += found.node.start_mark.index + min(offset, len(value)) - start
        return self.text.count("\n", 0, at) + 1, at - (self.text.rfind("\n", 0, at) + 1) + 1


def read(text: str) -> Document:
    """Return the values of a YAML text; where it is no YAML, `data` is None and `problems` says why."""
    text = text.removeprefix("\ufeff")
    document = Document(text)
    if len(text) > MAX_SIZE:
        document.problems.append(
            Problem(1, 1, "", f"the file has more than {MAX_SIZE:,} characters", "leave out what is no configuration")
        )
        return document
    try:
        _check_depth(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        document.problems.append(_not_yaml(error, text))
        return document
    except _TooDeepError as error:
        document.problems.append(
            Problem(error.line, 1, "", f"more than {MAX_DEPTH} levels", "a configuration has five or six")
        )
        return document
    if node is not None:
        _Reader(document).read(node)
    return document


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                raise _TooDeepError(mark.line + 1 if mark else 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Turns nodes into values."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.values = 0
        self.constructor = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.Node) -> None:
        try:
            self.document.data = self.value(node, (), ())
        except _TooManyError:
            self.document.data = None
            self.problem(node, (), "aliases (*name) make it too large", "write out what you need instead")

    def problem(self, node: yaml.Node, path: Path, what: str, advice: str) -> None:
        mark = node.start_mark
        self.document.problems.append(Problem(mark.line + 1, mark.column + 1, shown(path), what, advice))

    def value(self, node: yaml.Node, path: Path, around: tuple[int, ...]) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or len(around) > MAX_DEPTH:
            raise _TooManyError
        if id(node) in around:
            self.problem(node, path, "an alias that contains itself", "write out what you need instead")
            return None
        if not isinstance(node, yaml.ScalarNode) and node.tag not in (_TAGS + "map", _TAGS + "seq"):
            self.unknown_tag(node, path)
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, (*around, id(node)))
        if isinstance(node, yaml.SequenceNode):
            return [self.item(child, (*path, at), (*around, id(node))) for at, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self.scalar(node, path)

    def item(self, node: yaml.Node, path: Path, around: tuple[int, ...]) -> Any:
        mark = node.start_mark
        self.document.places[path] = Place(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 1, node)
        return self.value(node, path, around)

    def mapping(self, node: yaml.MappingNode, path: Path, around: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, child in node.value:
            if key_node.tag == _MERGE:
                merged = self.value(child, path, around)
                for one in reversed(merged if isinstance(merged, list) else [merged]):
                    found = {**(one if isinstance(one, dict) else {}), **found}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(
                    key_node, path, "a key that is no text", "write key: value; put { } in quotes if it is text"
                )
                continue
            key: str = key_node.value
            mark, at = key_node.start_mark, child.start_mark
            if key in lines:
                what = f"{key} is there twice, first in line {lines[key]}"
                self.problem(key_node, (*path, key), what, "keep one of the two")
                continue
            lines[key] = mark.line + 1
            place = Place(mark.line + 1, mark.column + 1, at.line + 1, at.column + 1, child)
            self.document.places[*path, key] = place
            found[key] = self.value(child, (*path, key), around)
        return found

    def unknown_tag(self, node: yaml.Node, path: Path) -> None:
        self.problem(node, path, "a tag that is not known", "leave out what begins with !")

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Hashable:
        kind = node.tag.removeprefix(_TAGS)
        if kind not in _SAFE_KINDS:
            self.unknown_tag(node, path)
            return None
        if kind in ("timestamp", "binary", "value", "str") or (kind in ("int", "float") and ":" in node.value):
            return str(node.value)
        try:
            value: Hashable = self.constructor.construct_object(node)
        except (ValueError, yaml.YAMLError):
            return str(node.value)
        return value


class _TooManyError(Exception):
    pass


def shown(path: Path) -> str:
    """Return a path as people write it: brands.acme.query, routes[2].when."""
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _not_yaml(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        line = text.count("\n", 0, position) + 1
        code = error.character if isinstance(error.character, int) else 0
        return Problem(
            line, 1, "", f"a character that no text file has (U+{code:04X})", "remove it, or save the file as UTF-8"
        )
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = str(getattr(error, "problem", None) or "not readable")
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    return Problem(line, column, "", f"this is not YAML: {what}", _yaml_advice(what, here, text, error))


def _yaml_advice(what: str, here: str, text: str, error: yaml.YAMLError) -> str:
    if "\\t" in what or here[: len(here) - len(here.lstrip())].count("\t"):
        return "indent with spaces, not with tabs"
    if "undefined alias" in what or re.search(r":\s+[*&@`%]", here):
        return "put a text that begins with * & @ ` or % in single quotes"
    if re.search(r"^\s*(-\s+)?(query|when)\s*:", here):
        return "put the query in single quotes: query: '\"acme corp\" OR #acme'"
    if "mapping values are not allowed" in what:
        return "put a text with a colon in quotes, and check the indentation"
    if "another document" in str(error) or "single document" in str(error) or text.count("\n---"):
        return "keep one document: leave out the line ---"
    if re.search(r"stream end|end of stream|block end", what):
        return "check the indentation of this line and the ones above, and that quotes and brackets are closed"
    return "check quotes, colons and indentation here; put texts with special characters in single quotes"
