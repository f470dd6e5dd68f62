"""From a chunk of text to the words that queries ask for: a table that is filled as texts come by.

Texts repeat their chunks (the 20,000 most frequent make up nine tenths of a stream), so cutting, normalising and
wildcards are paid once a chunk, and a text costs a dictionary look-up per chunk, however many words queries ask for.
"""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, count
from typing import Final

from pipeline.core.native import pick
from pipeline.core.query.words import LONGEST_WORD, Forms, positions

MAX_CHUNKS: Final = 50_000
"""Chunks the table holds; a full table starts anew, which costs a few milliseconds."""
MAX_CHUNK: Final = 40
"""Longer chunks hardly repeat: they are cut each time."""
_NOTHING: Final = (None,)
_EDGES: Final = '.,!?;:()[]{}"*<>|~^=%$-\u2026'
"""What `positions()` leaves out around a word; a chunk that holds anything else is cut by it."""
_SIGNS: Final = ("#", "@")


class Wildcards:
    """Finds the patterns that fit a word, at a cost that depends on the word and hardly on how many patterns there are.

    A pattern is looked up by the longest run of letters it contains; at the beginning of a word where it begins so.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._at_start: dict[str, list[tuple[str, Callable[[str], object]]]] = defaultdict(list)
        self._anywhere: dict[str, list[tuple[str, Callable[[str], object]]]] = defaultdict(list)
        for pattern in patterns:
            fits = re.compile(fnmatch.translate(pattern)).match
            first, *_ = pieces = re.split(r"[*?]+", pattern)
            longest = max(pieces, key=len)
            if len(first) > 1:
                self._at_start[first].append((pattern, fits))
            else:
                self._anywhere[longest].append((pattern, fits))
        self._starts: dict[str, set[int]] = defaultdict(set)  # two letters to the lengths of what begins with them
        for piece in self._at_start:
            self._starts[piece[:2]].add(len(piece))
        self._lengths = sorted({len(piece) for piece in self._anywhere})

    def fitting(self, word: str) -> list[str]:
        """Return the patterns that fit the whole word."""
        found = []
        for length in self._starts.get(word[:2], ()):
            found += [pattern for pattern, fits in self._at_start.get(word[:length], ()) if fits(word)]
        for length in self._lengths:
            for piece in {word[start : start + length] for start in range(len(word) - length + 1)}:
                found += [pattern for pattern, fits in self._anywhere.get(piece, ()) if fits(word)]
        return found


class Step:
    """A node in the trie of words: the leaves that are complete here, the queries they bring up, the words that go on.

    `leads` says whether a query is brought up further on.
    """

    __slots__ = ("leads", "leaves", "next", "queries")

    def __init__(self) -> None:
        self.leaves: dict[int, str] = {}
        self.queries: tuple[int, ...] = ()
        self.leads = False
        self.next: dict[str, Step] = {}

    def plant(self, words: Sequence[str]) -> Step:
        """Return the step where these words lead, which is made if need be."""
        step = self
        for word in words:
            step = step.next.setdefault(word, Step())
        return step

    def bring(self, words: Sequence[str], queries: Sequence[int]) -> None:
        """Let these words bring up these queries; the words were planted before."""
        step = self
        for word in words:
            step.leads = True
            step = step.next[word]
        step.queries = tuple(queries)

    def words(self) -> set[str]:
        """Return all words from here on."""
        found: set[str] = set()
        steps = [self]
        while steps:
            step = steps.pop()
            found.update(step.next)
            steps.extend(step.next.values())
        return found


class Place:
    """A position of a text where words stand that queries ask for, and what follows from them alone."""

    __slots__ = ("forms", "is_anchor", "leaves", "queries", "steps")

    def __init__(self, forms: Forms, root: Step) -> None:
        steps = [root.next[form] for form in forms if form in root.next]
        self.forms = forms
        self.leaves = {number: shown for step in steps for number, shown in step.leaves.items()}
        self.queries = tuple(sorted({query for step in steps for query in step.queries}))
        self.steps = [step for step in steps if step.next]
        self.is_anchor = bool(self.queries) or any(step.leads for step in steps)


Places = tuple[Place | None, ...]


class Vocabulary(dict[str, Places]):
    """Chunk of text to its positions: None where no word stands that is asked for, as in most.

    Bounded in memory; the answer for a chunk never depends on what was asked before. The trie must be complete
    before the first chunk is looked up.
    """

    def __init__(self, root: Step) -> None:
        super().__init__()
        asked = root.words()
        wild = {word for word in asked if "*" in word or "?" in word}
        self._root = root
        self._plain = asked - wild
        self._wildcards = Wildcards(sorted(wild)) if wild else None
        self.rare = (MAX_CHUNKS, MAX_CHUNK, None if wild else self._plain, _NOTHING)  # for the compiled part
        self._places: dict[Forms, Place] = {}
        self._before: dict[str, Places] = {}

    def __missing__(self, chunk: str) -> Places:
        found = self._before.get(chunk)
        if found is None:
            found = self._cut(chunk)
        if len(chunk) <= MAX_CHUNK:
            if len(self) >= MAX_CHUNKS:  # frequent chunks come back from the generation before
                self._before = dict(self)
                self.clear()
            self[chunk] = found
        return found

    def _cut(self, chunk: str) -> Places:
        word = chunk.strip(_EDGES).lower()
        if word.isascii() and len(word) <= LONGEST_WORD:  # the short way for three chunks in four
            if word.isalnum():
                place = self._place((word,))
                return _NOTHING if place is None else (place,)
            if word[:1] in _SIGNS and word[1:].isalnum():
                place = self._place((word, word[1:]))
                return _NOTHING if place is None else (place,)
        return tuple([self._place(forms) for forms in positions(chunk)])

    def _place(self, forms: Forms) -> Place | None:
        plain = self._plain
        asked = [form for form in forms if form in plain]
        if self._wildcards is not None:
            for form in forms:
                asked += self._wildcards.fitting(form)
        if not asked:
            return None
        key = tuple(dict.fromkeys(asked))
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= MAX_CHUNKS:
                self._places.clear()
            place = self._places[key] = Place(key, self._root)
        return place

    def look_up(self, chunks: Sequence[str]) -> list[Place | None]:
        """Return the positions of a text that was cut at white space."""
        return _places(self, chunks)

    def find(self, found: Sequence[Place | None], hits: dict[int, str], queries: set[int]) -> None:
        """Add the leaves of all words and phrases that stand in these positions, and the queries they bring up."""
        for at in compress(count(), found):  # C code passes over positions where nothing stands that is asked for
            place = found[at]
            assert place is not None
            if place.leaves:
                hits.update(place.leaves)
            if place.queries:
                queries.update(place.queries)
            if place.steps:
                _go_on(place.steps, found, at + 1, hits, queries)


def places_twin(vocabulary: Vocabulary, chunks: Sequence[str]) -> list[Place | None]:
    """Return the positions of chunks, one after another."""
    return list(chain.from_iterable(map(vocabulary.__getitem__, chunks)))


_places: Final[Callable[[Vocabulary, Sequence[str]], list[Place | None]]] = pick("places", places_twin)


def _go_on(
    steps: Sequence[Step], found: Sequence[Place | None], at: int, hits: dict[int, str], queries: set[int]
) -> None:
    """Follow phrases from here, word by word."""
    while steps and at < len(found):
        place = found[at]
        if place is None:
            return
        steps = [after for step in steps for form in place.forms if (after := step.next.get(form)) is not None]
        for step in steps:
            hits.update(step.leaves)
            queries.update(step.queries)
        at += 1
