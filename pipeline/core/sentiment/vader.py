"""vaderSentiment's compound, exactly, at a fraction of its time.

VADER (Hutto and Gilbert, ICWSM 2014) is a lexicon and rules for the words before a lexicon word. The original looks
every word's class up again for every rule. Most words of a text carry no feeling (15 of 17 in a post), so here
each distinct token is classified once, kept in a bounded cache, and the rules run only where a lexicon word stands
behind a word that a rule speaks of. The original's order of floating-point operations is kept, so the result is equal
to the last bit before rounding; its lexicons and constants are taken from the installed package. Time is linear in the
length of the text, also where the original's is quadratic (`but`). `tests/core/test_vader.py` holds it against the
original on generated texts.
"""

from __future__ import annotations

import heapq
import math
import string
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import compress, count
from typing import Final

from pipeline.core.native import compiled
from pipeline.core.sentiment.tokens import CACHE, LONGEST, PLAIN, Seen, Token, Tokens, installed
from pipeline.core.signs import replaced, set_of

_FAR: Final = -9  # a place so far back that no rule reaches it

Walk = Callable[[str], tuple[float, float]]
"""The totals of two lexicons for a readable text."""


def compiled_walk(first: Mapping[str, Seen], second: Mapping[str, Seen] | None) -> Walk | None:
    """Return the compiled walk over the classes of one lexicon or of two; None where nothing is compiled."""
    if compiled is None:
        return None
    original = installed()
    return partial(compiled.vader, first, second, (original.caps, original.negate, original.follows, original.phrased))


def normalised(total: float) -> float:
    """Return a sum of valences between -1 and 1: VADER's curve, alpha = 15."""
    return max(-1.0, min(1.0, total / math.sqrt((total * total) + 15)))


class FastVader:
    """Scores texts. Safe to use from several threads; memory is bounded by the cache.

    `changes` gives words another valence than the lexicon's or adds words (lower-case): then the results are no longer
    VADER's own, but its rules work on them all the same.
    """

    def __init__(self, changes: Mapping[str, float] | None = None) -> None:
        self._original = original = installed()
        self.tokens = Tokens(original, {**original.lexicon, **changes} if changes else original.lexicon)
        self.classes = self.tokens.__getitem__
        self._emoji = set_of(map(ord, original.spaced))
        self.walk = compiled_walk(self.tokens, None)

    def compound(self, text: str) -> float:
        """Return what vaderSentiment's `polarity_scores(text)["compound"]` returns: -1 to 1, four digits."""
        total = self.total(text)
        return round(normalised(total), 4) if total else 0.0

    def total(self, text: str) -> float:
        """Return the sum of the valences with the emphasis of punctuation, before it is normalised."""
        text = self.readable(text)
        if self.walk is not None:
            return self.walk(text)[0]
        scored, but = self.score(list(map(self.classes, text.split())))
        return sum_of(scored, but, text)

    def readable(self, text: str) -> str:
        """Return the text with every emoji as its description, as the rules read it.

        A description is set apart by a space; more spaces than the original's change no token.
        """
        return text if text.isascii() else replaced(self._emoji, self._original.spaced, text)

    def score(self, tokens: list[Seen]) -> tuple[dict[int, float], int]:
        """Return place -> valence, in order, and the place of the first `but` (negative where there is none).

        Zero is left out: it changes no sum.
        """
        scored: dict[int, float] = {}
        but = acting = _FAR
        caps: bool | None = None
        for place in compress(count(), tokens):  # C code passes over plain words
            token = tokens[place]
            assert token
            valence = token[1]
            if valence is not None:
                if token[8] or place - acting <= 3:
                    if caps is None:
                        caps = _caps_differ(tokens)
                    valence = self.ruled(tokens, token, place, caps=caps)
                if valence:
                    scored[place] = valence
            elif but < 0 and token[0] == "but":
                but = place
            if token[7]:
                acting = place
        return scored, but

    def ruled(self, tokens: list[Seen], token: Token, place: int, *, caps: bool) -> float:
        """Return the valence of one lexicon word as the rules leave it, in the original's order."""
        original = self._original
        base = valence = token.valence or 0.0
        one = (tokens[place - 1] or PLAIN) if place > 0 else PLAIN
        two = (tokens[place - 2] or PLAIN) if place > 1 else PLAIN
        three = (tokens[place - 3] or PLAIN) if place > 2 else PLAIN
        following = (tokens[place + 1] or PLAIN) if place + 1 < len(tokens) else PLAIN
        if token.lower == "kind" and following.lower == "of":
            return 0.0
        if token.lower == "no" and following.in_lexicon:
            valence = 0.0
        if one.lower == "no" or two.lower == "no" or (three.lower == "no" and one.lower in ("or", "nor")):
            valence = base * original.negate
        if token.is_upper and caps:
            valence = valence + original.caps if valence > 0 else valence - original.caps
        if place > 0 and not one.in_lexicon:
            valence += self._boost(one, valence, caps=caps)
            if one.is_negation:
                valence *= original.negate
        if place > 1 and not two.in_lexicon:
            valence += self._boost(two, valence, caps=caps) * 0.95
            if two.lower == "never" and one.lower in ("so", "this"):
                valence *= 1.25
            elif two.is_negation and not (two.lower == "without" and one.lower == "doubt"):
                valence *= original.negate
        if place > 2 and not three.in_lexicon:
            valence += self._boost(three, valence, caps=caps) * 0.9
            if (three.lower == "never" and two.lower in ("so", "this")) or one.lower in ("so", "this"):
                valence *= 1.25
            elif three.is_negation and not (three.lower == "without" and "doubt" in (one.lower, two.lower)):
                valence *= original.negate
            if token.is_special or one.is_special or two.is_special:
                valence = self._idioms(valence, tokens, place)
        if one.lower == "least" and not one.in_lexicon and (place == 1 or two.lower not in ("at", "very")):
            valence *= original.negate
        return valence

    def _boost(self, token: Token, valence: float, *, caps: bool) -> float:
        scalar = token.booster
        if scalar:
            if valence < 0:
                scalar *= -1
            if token.is_upper and caps:
                scalar = scalar + self._original.caps if valence > 0 else scalar - self._original.caps
        return scalar

    def _idioms(self, valence: float, tokens: list[Seen], place: int) -> float:
        near = [(token or PLAIN).lower for token in (*tokens[place - 3 : place + 3], None, None)[:6]]
        three, two, one, zero, next_one, next_two = near
        return self._original.phrased(valence, (three, two, one, zero, next_one, next_two))


class _Changed(dict[str, Seen]):
    """Token classes of a changed lexicon: the very objects of the first, but for the words that were changed."""

    def __init__(self, first: Callable[[str], Seen], own: Callable[[str], Seen], changes: Iterable[str]) -> None:
        super().__init__()
        self._first = first
        self._own = own
        self._changes = frozenset(changes)
        self.rare = (CACHE, LONGEST, self._changes)  # for the compiled part

    def __missing__(self, raw: str) -> Seen:
        stripped = raw.strip(string.punctuation)
        word = (raw if len(stripped) <= 2 else stripped).lower()
        token = self._own(raw) if word in self._changes else self._first(raw)
        if len(raw) <= LONGEST:
            if len(self) >= CACHE:
                self.clear()
            self[raw] = token
        return token


class PairedVader:
    """VADER and VADER with a changed lexicon in one walk.

    Whether a rule speaks depends on no valence, so the walk is the same for both, and only a word that rules speak about
    near a changed one is worked out twice.
    """

    def __init__(self, changes: Mapping[str, float]) -> None:
        self.first = FastVader()
        self.second = FastVader(changes)
        changed = _Changed(self.first.classes, self.second.classes, changes)
        self._classes = changed.__getitem__
        self.walk = compiled_walk(self.first.tokens, changed)

    def totals(self, text: str) -> tuple[float, float]:
        """Return what `total` of the first and of the second would."""
        text = self.first.readable(text)
        if self.walk is not None:
            return self.walk(text)
        chunks = text.split()
        tokens = list(map(self.first.classes, chunks))
        others = list(map(self._classes, chunks))
        if tokens == others:  # the same objects, compared by C code
            total = sum_of(*self.first.score(tokens), text)
            return total, total
        scored, changed, but = self._score(tokens, others)
        if scored == changed:  # what differs is plain in both
            total = sum_of(scored, but, text)
            return total, total
        return sum_of(scored, but, text), sum_of(changed, but, text)

    def _score(self, tokens: list[Seen], others: list[Seen]) -> tuple[dict[int, float], dict[int, float], int]:
        """Return what `score` of both would, in the tokens of the one and the other lexicon."""
        scored: dict[int, float] = {}
        changed: dict[int, float] = {}
        but = acting = _FAR
        caps: bool | None = None
        for place in compress(count(), others):  # a changed lexicon has every word of the first
            other = others[place]
            assert other
            token = tokens[place]
            value = other[1]
            if value is not None:
                is_same = token is other
                valence = value if is_same else token[1] if token else None
                if other[8] or place - acting <= 3:
                    if caps is None:
                        caps = _caps_differ(others)
                    value = self.second.ruled(others, other, place, caps=caps)
                    near = slice(max(0, place - 3), place + 2)
                    if is_same and tokens[near] == others[near]:
                        valence = value
                    elif token and valence is not None:
                        valence = self.first.ruled(tokens, token, place, caps=caps)
                if value:
                    changed[place] = value
                if valence:
                    scored[place] = valence
            elif but < 0 and other[0] == "but":
                but = place
            if other[7]:
                acting = place
        return scored, changed, but


def sum_of(scored: dict[int, float], but: int, text: str) -> float:
    """Return the sum of valences, weighed around `but` (the place of it) and with the emphasis of a text.

    `scored` is changed.
    """
    if not scored:
        return 0.0
    if but >= 0:
        _but(scored, but)
    # sum() as the original does: Python 3.12 and newer compensate.
    total = float(sum(scored.values()))
    if total > 0:
        return total + _emphasis(text)
    if total < 0:
        return total - _emphasis(text)
    return 0.0


def _caps_differ(tokens: list[Seen]) -> bool:
    """Whether a token is not in capitals. Only asked of texts in which one is, so this says that they differ."""
    return None in tokens or any(token and not token[5] for token in tokens)


def _emphasis(text: str) -> float:
    """Up to four exclamation marks, and more than one question mark, make a text stronger."""
    questions = text.count("?")
    doubt = 0.0 if questions < 2 else questions * 0.18 if questions <= 3 else 0.96
    return min(text.count("!"), 4) * 0.292 + doubt


def _but(scored: dict[int, float], place: int) -> None:
    """Weaken what stands before the first `but`, strengthen what stands behind it.

    The original finds each value again by `index`, so the change goes to the first place that holds an equal value at
    that moment, and changed values are met again. That is kept, with a heap of places for each value instead of a
    search through the whole list for each word.
    """
    changes = {number: value * 0.5 if number < place else value * 1.5 for number, value in scored.items()}
    if len({*scored.values(), *changes.values()}) == 2 * len(scored):  # no two are equal: each finds itself
        scored |= changes
        return
    places: dict[float, list[int]] = {}
    for number, value in scored.items():
        places.setdefault(value, []).append(number)
    for number in list(scored):
        value = scored[number]
        heap = places[value]
        while scored[heap[0]] != value:
            heapq.heappop(heap)  # this place holds another value by now
        first = heap[0]
        if first == place:
            continue
        changed = value * 0.5 if first < place else value * 1.5
        scored[first] = changed
        heapq.heappush(places.setdefault(changed, []), first)
