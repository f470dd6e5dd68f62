"""What is learned from: the words of a text, their beginnings, what they are about, neighbouring pairs, fired rules.

A feature has a name and a value. What a word brings is the same in every text and is worked out once; a text's features
are the sum of its words' and its pairs', scaled so that long texts count as much as short ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from typing import Final, NamedTuple

from pipeline.core.routing.topics import topics

Features = tuple[tuple[str, float], ...]

MOST_WORDS: Final = 300  # of a text
ALWAYS: Final = 0.3  # a feature that every text has: how often each class is said at all
COMMON: Final = 0.4  # of a word that is in every text, beside 1 for others
STEM: Final = 0.7  # of the beginning of a long word, so that its other forms count, too
PAIR: Final = 0.7  # of two words in a row
WEAK_PAIR: Final = PAIR * COMMON  # of two common ones
OPENING: Final = 8  # words that a text opens with (a title, the matter) count in full
AFTER: Final = 0.7  # of a word further on
SCALE: Final = 1.4  # the root of what the squares of a text's features sum to, about
RULE: Final = 0.3  # of a fired rule
FEELING: Final = 0.4
_LONG: Final = 5  # letters of a word's beginning
_REMEMBERED: Final = 50_000

_EVERYWHERE: Final = """
    the and of to is in it that for on are with as at this have from or be by was a an i der die das und ist in zu den
    el la de que y en le les et il e di che o os da do"""
COMMON_WORDS: Final = frozenset(_EVERYWHERE.split())


class OfWord(NamedTuple):
    """What a word brings to a text. `square` is the sum of the squares of the values."""

    seen: Features
    square: float
    is_common: bool


@lru_cache(_REMEMBERED)
def of_word(word: str) -> OfWord:
    """Return the features of a word: itself, its beginning where it is long, and what it is about."""
    is_common = word in COMMON_WORDS
    found = [(word, COMMON if is_common else 1.0)]
    if len(word) > _LONG:
        found.append(("~" + word[:_LONG], STEM))
    found += [("about:" + name, value) for name, value in topics().of(word)]
    return OfWord(tuple(found), sum(value * value for _, value in found), is_common)


def features(words: Sequence[str], rules: Iterable[str] = (), feeling: float = 0.0) -> Features:
    """Return the features of a text with its words, the rules that fired and the feeling (-1 to 1)."""
    kept = words[:MOST_WORDS]
    found: dict[str, float] = {}
    square = 0.0
    for at, word in enumerate(dict.fromkeys(kept)):
        brings, part = of_word(word), 1.0 if at < OPENING else AFTER
        square += part * part * brings.square
        for name, value in brings.seen:
            found[name] = found.get(name, 0.0) + part * value
    for one, two in dict.fromkeys(pairwise(kept)):
        value = WEAK_PAIR if one in COMMON_WORDS and two in COMMON_WORDS else PAIR
        found[f"{one} {two}"] = value
        square += value * value
    scale = SCALE / sqrt(square) if square else 0.0
    felt = (("feels", FEELING * feeling),) if feeling else ()
    return (
        ("", ALWAYS),
        *((name, value * scale) for name, value in found.items()),
        *((f"rule:{name}", RULE) for name in rules),
        *felt,
    )
