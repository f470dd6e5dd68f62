"""The model after the rules: from what was found in a mention to a share for each of the four departments.

A model is whatever has the shape of `RoutingModel`: it says what it adds to the sums of the rules for each department,
and why. `shares` turns the sums into shares of 1. So every decision can be read as an addition, and repeated.

`HandSet` is the first model: a linear one whose weights were set by hand from what the words mean, not fitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from math import exp
from typing import Any, Final, NamedTuple, Protocol

from pipeline.contract.events import Fired, Kind, Rating
from pipeline.core.intents import Intent
from pipeline.core.native import pick, rounded
from pipeline.core.routing.shipped import CANONICAL, Vector

TEMPERATURE: Final = 1.6
"""Divides the sums before the softmax. At 1.6 a share of 0.7 was right about 7 times in 10 on texts of companies the
rules were not written for; a lower one would be surer than it is right."""


class Seen(NamedTuple):
    """What the steps before found in a mention; all a model may look at."""

    words: Sequence[str]
    text: str
    rules: Mapping[int, Sequence[str]]  # index into the shipped rules -> wordings found
    intents: Sequence[Intent]
    sentiment: float  # -1 to 1
    rating: float | None  # 0 worst, 1 best
    kind: Kind


class Said(NamedTuple):
    """What a model adds for each department, and its terms as they are written into a decision."""

    adds: Vector
    terms: tuple[Fired, ...]


class RoutingModel(Protocol):
    """Adds to what the rules say. `version` changes with whatever changes an answer."""

    @property
    def version(self) -> str:
        """A digest of the model's weights."""
        ...

    def judge(self, seen: Seen, sums: Sequence[float]) -> Said:
        """Return what the model adds, given what the rules summed up to (order: CANONICAL)."""
        ...


def stars(rating: Rating | None) -> float | None:
    """Return a rating as a share between its worst (0) and best (1); None where there is none or no scale."""
    if rating is None or rating.best <= rating.worst:
        return None
    return min(1.0, max(0.0, (rating.value - rating.worst) / (rating.best - rating.worst)))


def shares(sums: Sequence[float]) -> dict[str, float]:
    """Return sums as shares of 1 (softmax at TEMPERATURE), rounded to four digits, by department."""
    return _shares(sums, TEMPERATURE, CANONICAL)


def shares_twin(sums: Sequence[float], temperature: float, names: tuple[str, ...]) -> dict[str, float]:
    """Return four sums as shares of 1, rounded to four digits, by name."""
    service, support, design, marketing = sums
    top = max(sums)
    a = exp((service - top) / temperature)
    b = exp((support - top) / temperature)
    c = exp((design - top) / temperature)
    d = exp((marketing - top) / temperature)
    whole = a + b + c + d
    found = (round(a / whole, 4), round(b / whole, 4), round(c / whole, 4), round(d / whole, 4))
    return dict(zip(names, found, strict=True))


_shares: Final[Callable[[Sequence[float], float, tuple[str, ...]], dict[str, float]]] = pick("shares", shares_twin)


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
MATTER: Final = 1.9  # what rules of a department must reach to be a matter
_CONTRAST_WORDS: Final = """
    but however although though except unless unfortunately aber leider trotzdem pero aunque mais malheureusement ma però
    purtroppo mas porém infelizmente"""
CONTRASTS: Final = frozenset(_CONTRAST_WORDS.split())
FEW: Final = 7
_REMEMBERED: Final = 50_000  # forms whose terms are kept
TECHNICAL: Final = ("```", "<!--", "::", "()", "</", "{", "github.com", "0x", "**", "###", "- [ ]", "->")


class _Form(NamedTuple):
    """All the hand-set model looks at. Few forms there are: what each adds is worked out once."""

    feeling: float  # to one digit
    praise: float  # what rules say for marketing beside a matter, else 0
    is_short: bool  # few words and no matter
    asks: bool
    contrasts: bool
    is_technical: bool
    stars: str | None
    kind: Kind


class HandSet:
    """The hand-set linear model: sentiment, stars, form and length of the text."""

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], Said] = {}

    @property
    def version(self) -> str:
        """A digest of the weights."""
        return hashlib.sha256(repr((_TERMS, TEMPERATURE)).encode()).hexdigest()

    def judge(self, seen: Seen, sums: Sequence[float]) -> Said:
        """Return what the form of a mention adds, term by term."""
        service, support, design, marketing = sums
        has_matter = service >= MATTER or support >= MATTER or design >= MATTER
        text, rating = seen.text, seen.rating
        form = (  # a plain tuple: it is made for each mention, a _Form only for a new one
            rounded(seen.sentiment, 1),
            marketing if has_matter else 0.0,
            not has_matter and len(seen.words) <= FEW,
            "?" in text or "？" in text,
            not CONTRASTS.isdisjoint(seen.words),
            _is_technical(text),
            None if rating is None or 0.25 < rating < 0.75 else "full stars" if rating >= 0.75 else "few stars",
            seen.kind,
        )
        said = self.known.get(form)
        return self.learn(form) if said is None else said

    def learn(self, form: tuple[Any, ...]) -> Said:
        """Return what a form adds, and remember it: most come again."""
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        said = self.known[form] = _said(_Form(*form))
        return said


def _said(form: _Form) -> Said:
    """Return what a form adds: each term's weights, times how strongly it applies."""
    applies: dict[str, float] = {"always": 1.0}
    if form.feeling:
        applies["positive" if form.feeling > 0 else "negative"] = abs(form.feeling)
    if form.praise:
        applies["praise before a matter"] = form.praise / 2
    if form.stars:
        applies[form.stars] = 1.0
    for is_so, name in (
        (form.is_short, "few words"),
        (form.asks, "asks"),
        (form.contrasts, "but"),
        (form.is_technical, "technical text"),
        (form.kind is Kind.QUESTION, "asked as a question"),
        (form.kind is Kind.ARTICLE, "an article"),
    ):
        if is_so:
            applies[name] = 1.0
    sums = [0.0, 0.0, 0.0, 0.0]
    terms = []
    for name, times in applies.items():
        weights = [weight * times for weight in _TERMS[name]]
        sums = [known + weight for known, weight in zip(sums, weights, strict=True)]
        most = max(range(4), key=lambda index: abs(weights[index]))
        terms.append(Fired(name=name, department=CANONICAL[most], weight=round(weights[most], 3)))
    service, support, design, marketing = sums
    return Said((service, support, design, marketing), tuple(terms))


def _is_technical(text: str) -> bool:
    """Whether a text has two signs of code or of a technical form. Most texts have none, and that is seen at once."""
    if not ("`" in text or "<" in text or "{" in text or "(" in text or "*" in text or "#" in text or "::" in text):
        return False
    return sum(mark in text for mark in TECHNICAL) >= 2
