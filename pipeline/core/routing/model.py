"""The model after the rules: from what was found in a mention to a score for each of the four departments.

A model is whatever has this shape (`RoutingModel`): it returns terms, each with a name and what it adds for each
department; `scores` sums rules and terms and turns the sums into shares with a softmax. So every decision can be
read as an addition, and repeated.

`HandSet` is the first model: a linear one whose weights were set by hand from what the words mean, not fitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Final, Protocol

from pipeline.contract.events import Kind, Rating
from pipeline.core.intents import Intent
from pipeline.core.routing.shipped import Rule, Vector, repeated

TEMPERATURE: Final = 1.6
"""Divides the sums before the softmax. At 1.6 a share of 0.7 was right about 7 times in 10 on texts of companies the
rules were not written for; a lower one would be surer than it is right."""


@dataclass(slots=True)
class Seen:
    """What the steps before found in a mention; all a model may look at."""

    words: Sequence[str]
    text: str
    rules: Mapping[int, Sequence[str]]  # index into the shipped rules -> wordings found
    intents: Sequence[Intent]
    sentiment: float  # -1 to 1
    rating: float | None  # 0 worst, 1 best
    kind: Kind


Term = tuple[str, Vector]


class RoutingModel(Protocol):
    """Adds to what the rules say. `version` changes with whatever changes an answer."""

    @property
    def version(self) -> str:
        """A digest of the model's weights."""
        ...

    def terms(self, seen: Seen, sums: Sequence[float]) -> list[Term]:
        """Return what the model adds, given what the rules summed up to (order: CANONICAL)."""
        ...


def stars(rating: Rating | None) -> float | None:
    """Return a rating as a share between its worst (0) and best (1); None where there is none or no scale."""
    if rating is None or rating.best <= rating.worst:
        return None
    return min(1.0, max(0.0, (rating.value - rating.worst) / (rating.best - rating.worst)))


def evidence(rules: Sequence[Rule], found: Mapping[int, Sequence[str]]) -> list[float]:
    """Return what the rules sum up to for each department."""
    service = support = design = marketing = 0.0
    for index, wordings in found.items():
        a, b, c, d = rules[index].weights
        if len(wordings) > 1:
            times = repeated(wordings)
            a, b, c, d = a * times, b * times, c * times, d * times
        service += a
        support += b
        design += c
        marketing += d
    return [service, support, design, marketing]


def shares(sums: Sequence[float]) -> list[float]:
    """Return sums as shares of 1 (softmax at TEMPERATURE)."""
    top = max(sums)
    grown = [exp((value - top) / TEMPERATURE) for value in sums]
    total = sum(grown)
    return [value / total for value in grown]


#                                    service support design marketing
_TERMS: Final[dict[str, Vector]] = {
    "always": (0.0, 0.0, 0.0, 0.5),  # a mention without any matter is talk about the brand
    "positive": (-0.5, -0.4, -0.1, 1.0),  # times how positive
    "negative": (0.9, 0.3, 0.2, -1.1),  # times how negative
    "few words": (0.0, 0.0, 0.0, 0.7),  # and none of a matter: a plain verdict
    "asks": (0.3, 0.4, 0.2, -0.7),
    "full stars": (-0.4, -0.4, 0.0, 1.0),
    "few stars": (0.3, 0.4, 0.1, -0.2),
    "asked as a question": (0.0, 0.8, 0.0, 0.0),
    "an article": (0.0, 0.0, 0.0, 1.5),
    "praise before a matter": (0.0, 0.0, 0.0, -1.0),  # times half of what praise gave: politeness, then the matter
    "but": (0.2, 0.3, 0.4, -0.9),
    "technical text": (-0.5, 1.0, 0.4, -0.8),
}
_MATTER: Final = 1.9  # what rules of a department must reach to be a matter
_CONTRAST_WORDS: Final = """
    but however although though except unless unfortunately aber leider trotzdem pero aunque mais malheureusement ma però
    purtroppo mas porém infelizmente"""
_CONTRASTS: Final = frozenset(_CONTRAST_WORDS.split())
_FEW: Final = 7
_TECHNICAL: Final = ("```", "<!--", "::", "()", "</", "{", "github.com", "0x", "**", "###", "- [ ]", "->")


class HandSet:
    """The hand-set linear model: sentiment, stars, form and length of the text."""

    @property
    def version(self) -> str:
        """A digest of the weights."""
        return hashlib.sha256(repr((_TERMS, TEMPERATURE)).encode()).hexdigest()

    def terms(self, seen: Seen, sums: Sequence[float]) -> list[Term]:
        """Return the terms that apply, with their weights."""
        found = [("always", _TERMS["always"])]
        matter = max(sums[0], sums[1], sums[2])
        feeling = seen.sentiment
        if feeling > 0.05:
            found.append(("positive", _times(_TERMS["positive"], round(feeling, 2))))
        elif feeling < -0.05:
            found.append(("negative", _times(_TERMS["negative"], round(-feeling, 2))))
        if matter < _MATTER and len(seen.words) <= _FEW:
            found.append(("few words", _TERMS["few words"]))
        if "?" in seen.text or "？" in seen.text:
            found.append(("asks", _TERMS["asks"]))
        if matter >= _MATTER and sums[3] > 0:
            found.append(("praise before a matter", _times(_TERMS["praise before a matter"], sums[3] / 2)))
        if not _CONTRASTS.isdisjoint(seen.words):
            found.append(("but", _TERMS["but"]))
        if _is_technical(seen.text):
            found.append(("technical text", _TERMS["technical text"]))
        if seen.rating is not None:
            if seen.rating >= 0.75:
                found.append(("full stars", _TERMS["full stars"]))
            elif seen.rating <= 0.25:
                found.append(("few stars", _TERMS["few stars"]))
        if seen.kind is Kind.QUESTION:
            found.append(("asked as a question", _TERMS["asked as a question"]))
        elif seen.kind is Kind.ARTICLE:
            found.append(("an article", _TERMS["an article"]))
        return found


def _is_technical(text: str) -> bool:
    """Whether a text has two signs of code or of a technical form. Most texts have none, and that is seen at once."""
    if not ("`" in text or "<" in text or "{" in text or "(" in text or "*" in text or "#" in text or "::" in text):
        return False
    return sum(mark in text for mark in _TECHNICAL) >= 2


def _times(weights: Vector, factor: float) -> Vector:
    service, support, design, marketing = weights
    return service * factor, support * factor, design * factor, marketing * factor
