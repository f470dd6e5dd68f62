"""A query after parsing: leaves that a mention has or has not, joined by All, Any and Not.

Leaves are values: the same leaf in many queries is looked for once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Words next to each other; one word is the simplest case. `*` and `?` in a word stand for other letters.

    `field` None is title, text and tags.
    """

    words: tuple[str, ...]
    field: str | None = None
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Near:
    """Words in any order with at most `slop` other words between them all together."""

    parts: tuple[tuple[str, ...], ...]
    slop: int
    field: str | None = None
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression (RE2 syntax, without case) that is found anywhere in the raw text."""

    regex: str
    field: str | None = None
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Same:
    """A field whose whole value is this, without case."""

    field: str
    value: str
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Like:
    """A field whose whole value fits this pattern of `*` and `?`, given as a regular expression."""

    field: str
    regex: str
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Between:
    """A number or instant (epoch seconds) within bounds. None is no bound."""

    field: str
    low: float | None
    high: float | None
    includes_low: bool = True
    includes_high: bool = True
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Present:
    """A field that has a value."""

    field: str
    shown: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Everything:
    """Every mention: `*`."""

    shown: str = dataclasses.field(default="*", compare=False)


Leaf = Words | Near | Pattern | Same | Like | Between | Present | Everything


@dataclass(frozen=True, slots=True)
class All:
    """Each of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this part. Never alone: only inside an All that also has something to look for."""

    part: Node


Node = Leaf | All | Any | Not


@dataclass(frozen=True, slots=True)
class Named:
    """A field that is held against a name, and where that stands: the configuration checks brands and departments."""

    field: str
    value: str
    position: int


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query."""

    text: str
    root: Node
    named: tuple[Named, ...] = ()


def leaves(node: Node, *, wanted: bool = True) -> Iterator[tuple[Leaf, bool]]:
    """Yield every leaf, and whether its presence speaks for the query (False under Not)."""
    if isinstance(node, All | Any):
        for part in node.parts:
            yield from leaves(part, wanted=wanted)
    elif isinstance(node, Not):
        yield from leaves(node.part, wanted=not wanted)
    else:
        yield node, wanted
