"""Where the brands of a mention stand in its text, from the terms by which the matcher found them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.core.query.words import without_accents

_FIELD: Final = re.compile(r"(?:text|title|tags?):", re.IGNORECASE)
_OTHER_FIELD: Final = re.compile(r"[a-z_.]+:\S")
_DISTANCE: Final = re.compile(r'"(?:~\d+)?$')
_REMEMBERED: Final = 2000
_PLURAL: Final = r"(?:['’]s|s['’])?"


class Place(NamedTuple):
    """One place of a text where brands are named; two brands share it where both have the same words."""

    start: int
    end: int
    brands: frozenset[str]


def places(text: str, brands: Mapping[str, tuple[str, ...]]) -> list[Place]:
    """Return where the terms stand, in order and without overlaps: the longest wins.

    Terms of fields that are not in the text (`source:…`) and expressions have no place.
    """
    plain = without_accents(text)
    if len(plain) != len(text):
        plain = text  # letters with marks of their own: places must be those of the text
    spans: dict[tuple[int, int], set[str]] = {}
    for brand, terms in brands.items():
        for term in terms:
            pattern = _pattern(term)
            if pattern is not None:
                for found in pattern.finditer(plain):
                    spans.setdefault(found.span(), set()).add(brand)
    kept: list[Place] = []
    for (start, end), named in sorted(spans.items(), key=lambda one: (one[0][0], -one[0][1])):
        if not kept or start >= kept[-1].end:
            kept.append(Place(start, end, frozenset(named)))
    return kept


@lru_cache(maxsize=_REMEMBERED)
def _pattern(term: str) -> re.Pattern[str] | None:
    """Return what finds a term as the matcher shows it; None where it has no place in a text."""
    field = _FIELD.match(term)
    bare = term[field.end() :] if field else term
    if bare.startswith("/") or (not field and _OTHER_FIELD.match(bare)):
        return None
    words = [part for part in re.split(r"\s+", _DISTANCE.sub("", bare.lstrip('"'))) if part]
    if not words:
        return None
    written = r"\W+".join(_word(without_accents(word)) for word in words)
    return re.compile(rf"(?<!\w)[@#]?{written}(?!\w){_PLURAL}", re.IGNORECASE)


def _word(word: str) -> str:
    written = re.escape(word.lstrip("@#")).replace(r"\*", r"\w*").replace(r"\?", r"\w")
    return written[:-1] + "['’]?s" if written.endswith("s") else written  # acmes finds Acme's, too
