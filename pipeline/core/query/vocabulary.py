"""From a chunk of text to the words that queries ask for: a table that is filled as texts come by.

Texts repeat their chunks (the 20,000 most frequent make up nine tenths of a stream), so cutting, normalising and
wildcards are paid once a chunk, and a text costs a dictionary look-up per chunk, however many words queries ask for.
"""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from pipeline.core.query.words import Forms, positions

MAX_CHUNKS: Final = 50_000
"""Chunks the table holds; a full table starts anew, which costs a few milliseconds."""
MAX_CHUNK: Final = 40
"""Longer chunks hardly repeat: they are cut each time."""
_NOTHING: Final[tuple[Forms, ...]] = ((),)


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
            if len(first) > 1 or first == longest:
                self._at_start[first].append((pattern, fits))
            else:
                self._anywhere[longest].append((pattern, fits))
        self._start_lengths = sorted({len(piece) for piece in self._at_start})
        self._lengths = sorted({len(piece) for piece in self._anywhere})

    def fitting(self, word: str) -> list[str]:
        """Return the patterns that fit the whole word."""
        found = []
        for length in self._start_lengths:
            found += [pattern for pattern, fits in self._at_start.get(word[:length], ()) if fits(word)]
        for length in self._lengths:
            for piece in {word[start : start + length] for start in range(len(word) - length + 1)}:
                found += [pattern for pattern, fits in self._anywhere.get(piece, ()) if fits(word)]
        return found


class Vocabulary(dict[str, tuple[Forms, ...]]):
    """Chunk of text to its positions, each with the words asked for that stand there; most are empty.

    Bounded in memory; the answer for a chunk never depends on what was asked before.
    """

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__()
        asked = set(words)
        wild = {word for word in asked if "*" in word or "?" in word}
        self._plain = asked - wild
        self._wildcards = Wildcards(sorted(wild)) if wild else None

    def __missing__(self, chunk: str) -> tuple[Forms, ...]:
        found = tuple([self._asked(forms) for forms in positions(chunk)])
        if len(found) == 1 and not found[0]:
            found = _NOTHING
        if len(chunk) <= MAX_CHUNK:
            if len(self) >= MAX_CHUNKS:
                self.clear()
            self[chunk] = found
        return found

    def _asked(self, forms: Forms) -> Forms:
        plain = self._plain
        if self._wildcards is None:
            return tuple([form for form in forms if form in plain])
        found = [form for form in forms if form in plain]
        for form in forms:
            found += self._wildcards.fitting(form)
        return tuple(dict.fromkeys(found))
