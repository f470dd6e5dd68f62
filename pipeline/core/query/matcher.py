"""One matcher over all queries: the cost of a mention hardly depends on how many queries there are.

1. Each chunk of the text is looked up in one table (`vocabulary.py`): which words that any query asks for stand
   there. Phrases are followed through one trie of words. Fields that queries compare with a value are looked up in
   one table a field. The result is the set of leaves the mention has.
2. A query is evaluated only when one of its anchors was hit: leaves of which at least one must be there for the query
   to hold, chosen by rarity (long words, phrases and leaves of few queries first). Near words, ranges and other
   leaves that are not looked up are computed then, once a mention.

Regular expressions that are a query's only anchor are tried in groups, so a thousand of them do cost; queries of
words and fields do not. Everything is linear in the length of the text.

Measured, ordinary tweets, one core, against vaderSentiment in the same run: see `tests/core/test_query_speed.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any as Anything
from typing import Final

from pipeline.contract.events import Mention
from pipeline.core.query import fields
from pipeline.core.query.anchors import anchors
from pipeline.core.query.checks import Check, Hits, Scene, check_of, test_of
from pipeline.core.query.parse import parse, regex
from pipeline.core.query.tree import (
    Everything,
    Leaf,
    Near,
    Pattern,
    Present,
    Query,
    Same,
    Words,
    leaves,
)
from pipeline.core.query.vocabulary import Place, Step, Vocabulary

_NO_FACTS: Final[Mapping[str, object]] = {}
_NO_LEAVES: Final[Mapping[int, str]] = {}
_DEFAULT: Final = ("title", "text", "tags")
"""What a word without a field is looked for in."""
_GROUP: Final = 50
"""Regular expressions that are tried as one."""


class _Compiled:
    """A query ready to be evaluated."""

    __slots__ = ("check", "name", "wanted")

    def __init__(self, name: str, check: Check, wanted: frozenset[int]) -> None:
        self.name = name
        self.check = check
        self.wanted = wanted


class Matcher:
    """Finds, for a mention, all queries that match it. Holds no mention.

    Raises QueryError when a query is wrong.
    """

    def __init__(self, queries: Mapping[str, str | Query]) -> None:
        self._numbers: dict[Leaf, int] = {}
        parsed = {name: query if isinstance(query, Query) else parse(query) for name, query in queries.items()}
        usage = Counter(leaf for query in parsed.values() for leaf in {leaf for leaf, _ in leaves(query.root)})
        chosen = {name: anchors(query.root, usage) for name, query in parsed.items()}
        for query in parsed.values():
            for leaf, _ in leaves(query.root):
                self._number(leaf)
        for found in chosen.values():
            for leaf in found or ():
                self._number(leaf)
        self._roots = self._plant()
        distinct = {id(root): Vocabulary(root) for root in self._roots.values()}
        self._title, self._text, self._tags = (distinct[id(self._roots[name])] for name in _DEFAULT)
        self._same, self._present = self._tables()
        self._gates = self._regex_gates({leaf for found in chosen.values() for leaf in found or ()})
        self._compile(parsed, chosen)

    # --------------------------------------------------------------------------------------------- building

    def _number(self, leaf: Leaf) -> int:
        number = self._numbers.setdefault(leaf, len(self._numbers))
        if isinstance(leaf, Near):  # its parts are found by the trie, too
            for part in leaf.parts:
                self._number(Words(part, leaf.field, " ".join(part)))
        return number

    def _plant(self) -> dict[str, Step]:
        """Return the tries of title, text and tags; one for all where no query names one of them."""
        words = [leaf for leaf in self._numbers if isinstance(leaf, Words) and leaf.field in (None, *_DEFAULT)]
        if any(leaf.field for leaf in words):
            roots = {name: Step() for name in _DEFAULT}
        else:
            roots = dict.fromkeys(_DEFAULT, Step())
        for leaf in words:
            for name in (leaf.field,) if leaf.field else _DEFAULT:
                roots[name].plant(leaf.words).leaves[self._numbers[leaf]] = leaf.shown
        return roots

    def _tables(
        self,
    ) -> tuple[list[tuple[fields.Getter, dict[str, dict[int, str]]]], list[tuple[fields.Getter, int, str]]]:
        same: dict[str, dict[str, dict[int, str]]] = {}
        present = []
        for leaf, number in self._numbers.items():
            if isinstance(leaf, Same):
                same.setdefault(leaf.field, {}).setdefault(leaf.value, {})[number] = leaf.shown
            elif isinstance(leaf, Present):
                getter = fields.WHOLES.get(leaf.field) or fields.FIELDS[leaf.field].get
                present.append((getter, number, leaf.shown))
        return [(fields.FIELDS[name].get, values) for name, values in same.items()], present

    def _regex_gates(self, anchored: set[Leaf]) -> list[tuple[Anything, list[tuple[int, Anything, str]]]]:
        patterns = [
            leaf for leaf in self._numbers if isinstance(leaf, Pattern) and leaf.field is None and leaf in anchored
        ]
        gates = []
        for start in range(0, len(patterns), _GROUP):
            group = patterns[start : start + _GROUP]
            one = regex("|".join(f"(?:{leaf.regex})" for leaf in group))
            gates.append((one, [(self._numbers[leaf], regex(leaf.regex), leaf.shown) for leaf in group]))
        return gates

    def _compile(self, parsed: Mapping[str, Query], chosen: Mapping[str, frozenset[Leaf] | None]) -> None:
        self._queries: list[_Compiled] = []
        self._always: list[int] = []
        triggers: list[list[int]] = [[] for _ in self._numbers]
        looked_up = frozenset(
            number
            for leaf, number in self._numbers.items()
            if isinstance(leaf, Same | Present | Everything)
            or (isinstance(leaf, Words) and (leaf.field is None or leaf.field in _DEFAULT))
        )
        tests = {
            number: (leaf.shown, test_of(leaf, self._numbers))
            for leaf, number in self._numbers.items()
            if number not in looked_up
        }
        for at, (name, query) in enumerate(parsed.items()):
            wanted = frozenset(self._numbers[leaf] for leaf, is_wanted in leaves(query.root) if is_wanted)
            self._queries.append(_Compiled(name, check_of(query.root, self._numbers, tests), wanted))
            found = chosen[name]
            if found is None:
                self._always.append(at)
            else:
                for leaf in found:
                    triggers[self._numbers[leaf]].append(at)
        for leaf, number in self._numbers.items():
            if isinstance(leaf, Words) and leaf.field in (None, *_DEFAULT):
                for name in (leaf.field,) if leaf.field else _DEFAULT:
                    if triggers[number]:
                        self._roots[name].bring(leaf.words, triggers[number])
        self._triggers = [tuple(queries) for queries in triggers]
        self._everything = {
            number: leaf.shown for leaf, number in self._numbers.items() if isinstance(leaf, Everything)
        }

    # --------------------------------------------------------------------------------------------- matching

    def match(
        self, mention: Mention, tokens: Sequence[str] | None = None, facts: Mapping[str, object] = _NO_FACTS
    ) -> dict[str, tuple[str, ...]]:
        """Return the queries that match, in the order they were given, each with its terms that the mention has.

        `tokens` is the text cut at white space, where that was done already. `facts` is what triage found out, by the
        names of judged fields. A mention without a fact has no value in that field.
        """
        text = self._text.look_up(mention.text.split() if tokens is None else tokens)
        title = self._title.look_up(mention.title.split()) if mention.title else ()
        tags = self._of_tags(mention.tags) if mention.tags else ()
        hits: Hits = self._everything.copy()
        queries = set(self._always)
        if self._same or self._present:
            self._compare(mention, facts, hits, queries)
        if not queries and not self._gates:
            # Most mentions of a firehose end here: words that only go with others do not count yet.
            for place in filter(None, chain(text, title, *tags) if title or tags else text):
                if place.is_anchor:
                    break
            else:
                return {}
        if text:
            self._text.find(text, hits, queries)
        if title:
            self._title.find(title, hits, queries)
        for tag in tags:
            self._tags.find(tag, hits, queries)
        if not queries and not self._gates:
            return {}
        scene = Scene(mention, facts, text, title, tags)
        if self._gates:
            self._try_gates(scene, hits, queries)
        return self._evaluate(hits, queries, scene) if queries else {}

    def _of_tags(self, tags: Sequence[str]) -> list[list[Place | None]]:
        return [self._tags.look_up(("#" + tag).split()) for tag in tags]

    def _compare(self, mention: Mention, facts: Mapping[str, object], hits: Hits, queries: set[int]) -> None:
        """Add the leaves that a field's value or presence fulfils, and the queries they bring up."""
        triggers = self._triggers
        for get, values in self._same:
            for value in fields.names_of(get(mention, facts)):
                for number, shown in values.get(value, _NO_LEAVES).items():
                    hits[number] = shown
                    queries.update(triggers[number])
        for get, number, shown in self._present:
            if fields.is_present(get(mention, facts)):
                hits[number] = shown
                queries.update(triggers[number])

    def _try_gates(self, scene: Scene, hits: Hits, queries: set[int]) -> None:
        raws = scene.raws(None)
        for gate, patterns in self._gates:
            if any(gate.search(raw) for raw in raws):
                for number, pattern, shown in patterns:
                    if any(pattern.search(raw) for raw in raws):
                        hits[number] = shown
                        queries.update(self._triggers[number])

    def _evaluate(self, hits: Hits, queries: set[int], scene: Scene) -> dict[str, tuple[str, ...]]:
        found = {}
        for at in sorted(queries) if len(queries) > 1 else queries:
            query = self._queries[at]
            if query.check(hits, scene):
                found[query.name] = _shown(hits, query.wanted)
        return found


def _shown(hits: Hits, wanted: frozenset[int]) -> tuple[str, ...]:
    """Return the terms of a query that a mention has, each once."""
    if len(hits) == 1:
        ((number, shown),) = hits.items()
        return (shown,) if number in wanted else ()
    return tuple(dict.fromkeys([shown for number, shown in hits.items() if number in wanted]))
