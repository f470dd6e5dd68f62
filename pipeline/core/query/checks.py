"""From a query's tree to a function that says whether a mention with these hits matches."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from pipeline.contract.events import Mention
from pipeline.core.query import fields
from pipeline.core.query.parse import regex
from pipeline.core.query.tree import All, Between, Leaf, Like, Near, Node, Not, Pattern, Words
from pipeline.core.query.tree import Any as Either
from pipeline.core.query.vocabulary import Place, Step, Vocabulary

Hits: TypeAlias = dict[int, str]
"""Numbers of the leaves a mention has, with how they are shown."""


class Scene(Struct, eq=False, gc=False):
    """One mention while queries are held against it, and what was computed about it."""

    mention: Mention
    facts: Mapping[str, object]
    text: Sequence[Place | None]
    title: Sequence[Place | None]
    tags: Sequence[Sequence[Place | None]]
    known: dict[int, bool] = {}  # Struct copies it for each
    places: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    _raws: dict[str | None, tuple[bytes, ...]] = {}

    def raws(self, field: str | None) -> tuple[bytes, ...]:
        """Return the raw texts of a field in UTF-8; lone surrogates become question marks."""
        found = self._raws.get(field)
        if found is None:
            names = ("text", "title") if field is None else (field,)
            values = [fields.FIELDS[name].get(self.mention, self.facts) for name in names]
            texts = [text for value in values for text in ((value,) if isinstance(value, str) else value or ())]
            found = self._raws[field] = tuple(str(text).encode("utf-8", "replace") for text in texts if text)
        return found

    def sequences(self, field: str | None) -> Sequence[Sequence[Place | None]]:
        """Return the positions of title, text and tags, or of one of them."""
        if field is None:
            return (self.title, self.text, *self.tags)
        return (self.title,) if field == "title" else (self.text,)


Check = Callable[[Hits, Scene], bool]
Test = Callable[[Hits, Scene], bool]
Tests = Mapping[int, tuple[str, Test]]


def check_of(node: Node, numbers: Mapping[Leaf, int], tests: Tests) -> Check:
    """Return the function that evaluates a query. `tests` computes the leaves that are not looked up."""
    if isinstance(node, Not):
        inner = check_of(node.part, numbers, tests)
        return lambda hits, scene: not inner(hits, scene)
    if isinstance(node, All | Either):
        return _joined(node, numbers, tests)
    number = numbers[node]
    if number not in tests:
        return lambda hits, _: number in hits
    shown, test = tests[number]

    def computed(hits: Hits, scene: Scene) -> bool:
        known = scene.known.get(number)
        if known is None:
            known = scene.known[number] = number in hits or test(hits, scene)
            if known:
                hits[number] = shown
        return known

    return computed


def _joined(node: All | Either, numbers: Mapping[Leaf, int], tests: Tests) -> Check:
    """Return the check of an All or Any: leaves that are looked up as one set operation, the rest one by one."""
    simple = frozenset(
        numbers[part] for part in node.parts if not isinstance(part, Not | All | Either) and numbers[part] not in tests
    )
    rest = [
        check_of(part, numbers, tests)
        for part in node.parts
        if isinstance(part, Not | All | Either) or numbers[part] in tests
    ]
    if isinstance(node, All):
        if not rest:
            return lambda hits, _: simple <= hits.keys()
        return lambda hits, scene: simple <= hits.keys() and all(check(hits, scene) for check in rest)
    if not rest:
        return lambda hits, _: not simple.isdisjoint(hits)
    return lambda hits, scene: not simple.isdisjoint(hits) or any(check(hits, scene) for check in rest)


def test_of(leaf: Leaf, numbers: Mapping[Leaf, int]) -> Test:
    """Return the function that computes a leaf that is not looked up."""
    if isinstance(leaf, Near):
        return _near(leaf, numbers)
    if isinstance(leaf, Between):
        return _between(leaf)
    if isinstance(leaf, Pattern):
        pattern, field = regex(leaf.regex), leaf.field
        return lambda _, scene: any(pattern.search(raw) for raw in scene.raws(field))
    if isinstance(leaf, Like):
        fits, get = re.compile(leaf.regex).fullmatch, fields.FIELDS[leaf.field].get
        return lambda _, scene: any(fits(name) for name in fields.names_of(get(scene.mention, scene.facts)))
    assert isinstance(leaf, Words)
    return _words(leaf)


def _between(leaf: Between) -> Test:
    get, low, high = fields.FIELDS[leaf.field].get, leaf.low, leaf.high
    with_low, with_high = leaf.includes_low, leaf.includes_high

    def test(_: Hits, scene: Scene) -> bool:
        value = fields.number_of(get(scene.mention, scene.facts))
        if value is None:
            return False
        above = low is None or value > low or (with_low and value == low)
        return above and (high is None or value < high or (with_high and value == high))

    return test


def _words(leaf: Words) -> Test:
    """Return the test of words in a field that is not looked up: names and addresses."""
    assert leaf.field is not None
    field, words = fields.FIELDS[leaf.field], leaf.words
    root = Step()
    root.plant(words).leaves[0] = leaf.shown
    vocabulary = Vocabulary(root)

    def test(_: Hits, scene: Scene) -> bool:
        value = field.get(scene.mention, scene.facts)
        for text in (value,) if isinstance(value, str) else value or ():
            if field.form == "address":
                text = text.replace("://", " ").replace("www.", " ")  # noqa: PLW2901
            hits: Hits = {}
            vocabulary.find([place for chunk in text.split() for place in vocabulary[chunk]], hits, set())
            if hits:
                return True
        return False

    return test


def _places(words: tuple[str, ...], found: Sequence[Place | None]) -> list[int]:
    """Return where these words stand next to each other, by their first position."""
    places = [at for at, place in enumerate(found) if place is not None and words[0] in place.forms]
    for step, word in enumerate(words[1:], start=1):
        places = [at for at in places if at + step < len(found) and (place := found[at + step]) and word in place.forms]
    return places


def _near(leaf: Near, numbers: Mapping[Leaf, int]) -> Test:
    needed = Counter(leaf.parts)
    parts = frozenset(numbers[Words(part, leaf.field)] for part in needed)
    size = sum(len(part) for part in leaf.parts) + leaf.slop
    field = leaf.field

    def test(hits: Hits, scene: Scene) -> bool:
        if not parts <= hits.keys():
            return False
        return any(_within(needed, size, found, scene) for found in scene.sequences(field) if found)

    return test


def _within(needed: Mapping[tuple[str, ...], int], size: int, found: Sequence[Place | None], scene: Scene) -> bool:
    """Whether some `size` positions in a row hold every part as often as it is needed.

    Each part is counted by itself: parts that fit the same word may share it.
    """
    places = {}
    for part, times in needed.items():
        key = (id(found), part)
        if key not in scene.places:
            scene.places[key] = _places(part, found)
        places[part] = scene.places[key]
        if len(places[part]) < times:
            return False
    starts = sorted(set().union(*places.values()))
    return any(
        all(
            bisect_right(where, start + size - len(part)) - bisect_left(where, start) >= needed[part]
            for part, where in places.items()
        )
        for start in starts
    )
