"""Sketches of texts: the smallest hashes of their words, and how much of two texts is the same.

A sketch is up to SKETCH numbers of 32 bits as bytes, smallest first, in the machine's order: it never leaves the process.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.core.native import pick

SKETCH: Final = 24
MAX_WORDS: Final = 400
"""Words of a text that are looked at."""

Sketch = tuple[int, bytes, list[str]]
"""How many different words there are, the sketch, and the words in their order."""

_PROTOCOLS: Final = ("https", "http")


def packed(hashes: set[int]) -> bytes:
    """Return the sketch of hashes."""
    return array("I", sorted(hashes)[:SKETCH]).tobytes()


def without_addresses(words: Sequence[str], of_address: int) -> Sequence[str]:
    """Return words without protocols and the words behind each, so many, that are the rest of the address."""
    if "https" not in words and "http" not in words:
        return words
    kept = []
    skip = 0
    for word in words:
        if word in _PROTOCOLS:
            skip = of_address
        elif skip:
            skip -= 1
        else:
            kept.append(word)
    return kept


def sketch_twin(table: Mapping[str, int | None], words: Sequence[str], of_address: int) -> Sketch:
    """Return what the words of a text are in the table of hashes, which has None for a word that does not count.

    Addresses are left out: a protocol and so many words behind it.
    """
    words = without_addresses(words[:MAX_WORDS] if len(words) > MAX_WORDS else words, of_address)
    found = list(map(table.__getitem__, words))  # in C code
    hashes = {one for one in found if one is not None}
    return len(hashes), packed(hashes), [word for word, one in zip(words, found, strict=True) if one is not None]


def in_common_twin(one: bytes, other: bytes, least: float) -> float:
    """Return the estimated Jaccard index of two sketches: the share of the smallest of both that are in both.

    0 where it is surely below `least`, which is found out sooner.
    """
    ones, others = memoryview(one).cast("I"), memoryview(other).cast("I")
    both = {*ones}.intersection(others)
    if not both or len(both) < least * max(len(ones), len(others)):
        return 0.0
    size = len(ones) + len(others) - len(both)
    if size <= SKETCH:  # short texts, as most are: the sketches hold all their words
        return len(both) / size
    smallest = sorted({*ones, *others})[:SKETCH]
    return len(both.intersection(smallest)) / len(smallest)


sketch: Final[Callable[[Mapping[str, int | None], Sequence[str], int], Sketch]] = pick("sketch", sketch_twin)
in_common: Final[Callable[[bytes, bytes, float], float]] = pick("in_common", in_common_twin)
