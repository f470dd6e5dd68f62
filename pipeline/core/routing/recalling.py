"""What was learned, read for a text: the sums of the features' weights without making the features.

What a word adds is worked out once and looked up until the next label is learned; a pair of words is looked for only
where something was learned of a pair that begins so. `recall` says the same as adding up the features one by one, but
for the last digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from struct import Struct
from typing import Final

from pipeline.core.native import pick
from pipeline.core.routing.features import (
    AFTER,
    ALWAYS,
    FEELING,
    MOST_WORDS,
    OPENING,
    PAIR,
    RULE,
    SCALE,
    WEAK_PAIR,
    of_word,
)

SPEAKS: Final = 0.01  # a feature that adds less is no reason
_REMEMBERED: Final = 50_000  # words whose sums are kept; then the memory begins anew

Row = list[float]  # weights of a feature, one a class
Entry = bytes | tuple[bytes, Mapping[str, Row]]
"""What a word adds for each class, the square of its features and whether it is common (1, else 0), packed as doubles, so
that they lie in one place; where it begins pairs, with their weights by their second word."""
Sizes = tuple[float, float, float, float, float, float, float, float]
SIZES: Final[Sizes] = (SCALE, PAIR, WEAK_PAIR, AFTER, ALWAYS, RULE, FEELING, SPEAKS)
COUNTS: Final = (MOST_WORDS, OPENING)


@lru_cache
def packing(classes: int) -> Struct:
    """Return how what a word adds is packed."""
    return Struct(f"{classes + 2}d")


class Entries(dict[str, Entry]):
    """What each word adds by the weights as they are now."""

    def __init__(self, weights: Mapping[str, Row], pairs: Mapping[str, Mapping[str, Row]], classes: int) -> None:
        super().__init__()
        self._weights, self._pairs, self._nothing = weights, pairs, (0.0,) * classes
        self._pack = packing(classes).pack

    def __missing__(self, word: str) -> Entry:
        seen, square, is_common = of_word(word)
        get, sums = self._weights.get, list(self._nothing)
        for name, value in seen:
            row = get(name)
            if row is not None:
                for index, weight in enumerate(row):
                    sums[index] += weight * value
        packed, following = self._pack(*sums, square, is_common), self._pairs.get(word)
        entry = self[word] = packed if following is None else (packed, following)
        return entry

    def bound(self) -> None:
        """Forget all when there are too many; not while a text is read."""
        if len(self) > _REMEMBERED:
            self.clear()


Tables = tuple[Entries, Mapping[str, Row], Sequence[float], Sequence[float], float, Sizes, tuple[int, int]]
"""What words add, weights of rules, of every text and of the feeling, trust, SIZES and COUNTS."""
Recalled = tuple[list[float], tuple[str, ...]]


def recall_twin(tables: Tables, words: Sequence[str], rules: Sequence[str], feeling: float, most: int) -> Recalled:
    """Return what was learned of a text, as far as it is trusted, and at most `most` features that speak for it."""
    entries, by_rule, always, feels, trust, sizes, (longest, opening) = tables
    scale, pair, weak_pair, after, share, of_rule, of_feeling, speaks = sizes
    kept, unpack = words[:longest], packing(len(always)).unpack
    begins: dict[str, tuple[bool, Mapping[str, Row] | None]] = {}  # by word: is it common, the pairs that it begins
    sums = [0.0] * len(always)
    square = 0.0
    told: list[tuple[Sequence[float], float, str]] = []  # weights, value, name of what may be a reason
    for at, word in enumerate(dict.fromkeys(kept)):
        entry = entries[word]
        packed, following = (entry, None) if isinstance(entry, bytes) else entry
        *adds, size, common = unpack(packed)
        begins[word] = bool(common), following
        part = 1.0 if at < opening else after
        square += part * part * size
        for index, value in enumerate(adds):
            sums[index] += part * value
        if not common:
            told.append((adds, part, word))
    for one, two in dict.fromkeys(pairwise(kept)):
        is_common, following = begins[one]
        is_weak = is_common and begins[two][0]
        part = weak_pair if is_weak else pair
        square += part * part
        row = None if following is None else following.get(two)
        if row is not None:
            for index, value in enumerate(row):
                sums[index] += part * value
            if not is_weak:
                told.append((row, part, f"{one} {two}"))
    grown = scale / sqrt(square) if square else 0.0
    sums = [share * base + grown * value for base, value in zip(always, sums, strict=True)]
    fired = [(row, name) for name in rules if (row := by_rule.get(name)) is not None]
    for row, _ in fired:
        for index, value in enumerate(row):
            sums[index] += of_rule * value
    if feeling:
        felt = of_feeling * feeling
        sums = [value + felt * weight for value, weight in zip(sums, feels, strict=True)]
    if not most:
        return [trust * value for value in sums], ()
    best = max(range(len(sums)), key=sums.__getitem__)
    strong = [(-adding, name) for row, part, name in told if (adding := grown * (part * row[best])) > speaks]
    strong += [(-adding, f"rule:{name}") for row, name in fired if (adding := of_rule * row[best]) > speaks]
    return [trust * value for value in sums], tuple(name for _, name in sorted(strong)[:most])


recall: Final[Callable[[Tables, Sequence[str], Sequence[str], float, int], Recalled]] = pick("recall", recall_twin)
