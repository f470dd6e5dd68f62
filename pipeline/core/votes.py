"""Words that vote for languages: each for those that have it, the more of them the less for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from sys import byteorder
from typing import Final

from pipeline.core.native import pick

SCALE: Final = 27_720  # divisible by 1 to 12: a word of so many languages gives each of them its share
_FIELD: Final = 4  # bytes of a language in a sum of votes: enough for a hundred thousand words


def _index(languages: Iterable[str]) -> dict[str, int]:
    """Return word -> its votes, a number with a field for each language, the first lowest: so a text's votes are one sum.

    A word of several languages says less about each.
    """
    of: dict[str, list[int]] = {}
    for place, words in enumerate(languages):
        for word in dict.fromkeys(words.split()):
            of.setdefault(word, []).append(place)
    return {
        word: sum((SCALE // len(places)) << (8 * _FIELD * place) for place in places) for word, places in of.items()
    }


def table_of(languages: Sequence[str]) -> dict[str, bytes]:
    """Return word -> its votes for each language, of which the words are given, 32 bits each in the machine's order."""
    bits = 8 * _FIELD
    packed = Struct(f"={len(languages)}I")
    return {
        word: packed.pack(*(votes >> (bits * place) & (1 << bits) - 1 for place in range(len(languages))))
        for word, votes in _index(languages).items()
    }


Votes = tuple[int, int, int]


def votes_twin(table: Mapping[str, bytes], words: Sequence[str], most: int, languages: int) -> Votes | None:
    """Return the place of the language with most votes of the first `most` words, its votes, and those of the next one.

    None where no word has any. The table has for a word the votes for each of so many languages.
    """
    total = 0
    for said in filter(None, map(table.get, words[:most])):
        total += int.from_bytes(said, byteorder)
    if not total:
        return None
    weights = list(memoryview(total.to_bytes(_FIELD * languages, byteorder)).cast("I"))
    best_weight = max(weights)
    best = weights.index(best_weight)
    weights[best] = 0
    return best, best_weight, max(weights)


votes: Final[Callable[[Mapping[str, bytes], Sequence[str], int, int], Votes | None]] = pick("votes", votes_twin)
