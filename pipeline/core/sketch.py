"""Sketches of texts: the smallest hashes of their words, and how much of two texts is the same.

A sketch is up to SKETCH numbers of 32 bits as bytes, smallest first, in the machine's order: it never leaves the process.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Final

from pipeline.core.native import pick

SKETCH: Final = 24
MAX_WORDS: Final = 400
"""Words of a text that are looked at."""

Sketch = tuple[int, bytes, list[str]]
"""How many different words there are, the sketch, and the words in their order."""


def packed(hashes: set[int]) -> bytes:
    """Return the sketch of hashes."""
    return array("I", sorted(hashes)[:SKETCH]).tobytes()


def sketch_twin(table: Mapping[str, int | None], words: Sequence[str], http: int, https: int) -> Sketch | None:
    """Return what the words of a text are in the table of hashes, which has None for a word that does not count.

    None where a word is one of the two protocols: an address has to be taken out first.
    """
    if len(words) > MAX_WORDS:
        words = words[:MAX_WORDS]
    found = list(map(table.__getitem__, words))  # in C code
    hashes: set[int] = set(filter(None, found))
    if http in hashes or https in hashes:
        return None
    return len(hashes), packed(hashes), list(compress(words, found))


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


sketch: Final[Callable[[Mapping[str, int | None], Sequence[str], int, int], Sketch | None]] = pick(
    "sketch", sketch_twin
)
in_common: Final[Callable[[bytes, bytes, float], float]] = pick("in_common", in_common_twin)
