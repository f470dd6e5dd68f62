"""vaderSentiment's compound, exactly, at a fraction of its time.

VADER (Hutto and Gilbert, ICWSM 2014) is a lexicon and rules for the words before a lexicon word. The original looks
every word's class up again for every rule. Most words of a text carry no feeling (15 of 17 in a post), so here
each distinct token is classified once, kept in a bounded cache, and the rules run only where a lexicon word stands.
The original's order of floating-point operations is kept, so the result is equal to the last bit before rounding; its
lexicons and constants are taken from the installed package. Time is linear in the length of the text, also where the
original's is quadratic (`but`). `tests/core/test_vader.py` holds it against the original on generated texts.
"""

from __future__ import annotations

import heapq
import math
import string
from functools import lru_cache
from typing import Final, NamedTuple

CACHE: Final = 50_000  # distinct tokens kept; a text has 17, a language some 100,000
LONGEST: Final = 40  # characters of a token worth keeping: longer ones are addresses and seldom come again


# Words that the rules name one by one.
_RULED: Final = frozenset({"no", "or", "nor", "never", "so", "this", "without", "doubt", "least", "at", "very", "kind"})


class Token(NamedTuple):
    """What the rules ask about one token."""

    lower: str
    valence: float | None  # of a lexicon word that is scored; None for others and for boosters
    in_lexicon: bool
    booster: float  # 0.0 where it is none
    is_negation: bool
    is_upper: bool
    is_special: bool  # part of an idiom or of a two-word booster
    matters: bool  # some rule may speak when this stands at or before a lexicon word


class _Tokens(dict[str, Token]):
    """A cache that classifies what it does not know. C code does the look-up: no Python call for a known token."""

    def __init__(self, original: _Original) -> None:
        super().__init__()
        self._original = original

    def __missing__(self, raw: str) -> Token:
        token = self._original.classify(raw)
        if len(raw) <= LONGEST:
            if len(self) >= CACHE:
                self.clear()
            self[raw] = token
        return token


class _Original:
    """The installed vaderSentiment: its lexicons, its constants, its idea of a word."""

    def __init__(self) -> None:
        from vaderSentiment import vaderSentiment as original  # noqa: N813 - a module

        analyzer = original.SentimentIntensityAnalyzer()
        self.lexicon: dict[str, float] = analyzer.lexicon
        self.boosters: dict[str, float] = original.BOOSTER_DICT
        self.negations = frozenset(original.NEGATE)
        self.idioms: dict[str, float] = original.SPECIAL_CASES
        self.caps: float = original.C_INCR
        self.negate: float = original.N_SCALAR
        self.emoji: dict[str, str] = {key: text for key, text in analyzer.emojis.items() if len(key) == 1}
        self.special = frozenset(
            word for phrase in (*self.idioms, *self.boosters) if " " in phrase for word in phrase.split()
        )

    def classify(self, raw: str) -> Token:
        """Return the class of one white-space separated token."""
        stripped = raw.strip(string.punctuation)
        word = raw if len(stripped) <= 2 else stripped  # what is shorter is an emoticon
        lower = word.lower()
        booster = self.boosters.get(lower, 0.0)
        is_negation = lower in self.negations or "n't" in lower
        is_special = lower in self.special
        return Token(
            lower=lower,
            valence=None if lower in self.boosters else self.lexicon.get(lower),
            in_lexicon=lower in self.lexicon,
            booster=booster,
            is_negation=is_negation,
            is_upper=word.isupper(),
            is_special=is_special,
            matters=word.isupper() or bool(booster) or is_negation or is_special or lower in _RULED,
        )


@lru_cache(maxsize=1)
def _original() -> _Original:
    return _Original()


class FastVader:
    """Scores texts. Safe to use from several threads; memory is bounded by the cache."""

    def __init__(self) -> None:
        self._original = original = _original()
        self._tokens = _Tokens(original)
        self._emoji = frozenset(original.emoji)

    def compound(self, text: str) -> float:
        """Return what vaderSentiment's `polarity_scores(text)["compound"]` returns: -1 to 1, four digits."""
        if not text.isascii() and not self._emoji.isdisjoint(text):
            text = self._described(text)
        tokens = list(map(self._tokens.__getitem__, text.split()))
        hits = [place for place, token in enumerate(tokens) if token[1] is not None]
        if not hits:
            return 0.0
        scored = self._valences(tokens, hits)
        if "but" in text.lower():
            place = next((number for number, token in enumerate(tokens) if token.lower == "but"), None)
            if place is not None:
                _but(scored, place)
        # sum() as the original does: Python 3.12 and newer compensate, and zeros change nothing.
        total = float(sum(scored.values()))
        emphasis = _emphasis(text)
        if total > 0:
            total += emphasis
        elif total < 0:
            total -= emphasis
        return round(max(-1.0, min(1.0, total / math.sqrt((total * total) + 15))), 4)

    def _described(self, text: str) -> str:
        """Every emoji becomes its description, set apart by a space unless one stands before it."""
        emoji = self._original.emoji
        parts: list[str] = []
        space = True
        for char in text:
            description = emoji.get(char)
            if description is None:
                parts.append(char)
                space = char == " "
            else:
                parts.append(description if space else " " + description)
                space = False
        return "".join(parts)

    def _valences(self, tokens: list[Token], hits: list[int]) -> dict[int, float]:
        """Return place -> valence of the words that have one, in order. Zero is left out: it changes no sum."""
        last = len(tokens) - 1
        differs: bool | None = None
        scored: dict[int, float] = {}
        for place in hits:
            if not any([token[7] for token in tokens[place - 3 if place > 3 else 0 : place + 1]]):  # noqa: C419 - a list is twice as quick
                valence = tokens[place].valence or 0.0  # nothing near it that a rule speaks of
            elif tokens[place].lower == "kind" and place < last and tokens[place + 1].lower == "of":
                continue
            else:
                if differs is None:
                    differs = _caps_differ(tokens)
                valence = self._valence(tokens, place, last, caps=differs)
            if valence:
                scored[place] = valence
        return scored

    def _valence(self, tokens: list[Token], place: int, last: int, *, caps: bool) -> float:
        """Apply the rules to one lexicon word, in the original's order."""
        original = self._original
        token = tokens[place]
        base = valence = token.valence or 0.0
        one = tokens[place - 1] if place > 0 else _NONE
        two = tokens[place - 2] if place > 1 else _NONE
        three = tokens[place - 3] if place > 2 else _NONE
        if token.lower == "no" and place < last and tokens[place + 1].in_lexicon:
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
            boost = self._boost(two, valence, caps=caps)
            valence += boost * 0.95 if boost else boost
            if two.lower == "never" and one.lower in ("so", "this"):
                valence *= 1.25
            elif two.is_negation and not (two.lower == "without" and one.lower == "doubt"):
                valence *= original.negate
        if place > 2 and not three.in_lexicon:
            boost = self._boost(three, valence, caps=caps)
            valence += boost * 0.9 if boost else boost
            so = ("so", "this")
            if (three.lower == "never" and two.lower in so) or one.lower in so:
                valence *= 1.25
            elif three.is_negation and not (three.lower == "without" and "doubt" in (one.lower, two.lower)):
                valence *= original.negate
            if token.is_special or one.is_special or two.is_special:
                valence = self._idioms(valence, tokens, place, last)
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

    def _idioms(self, valence: float, tokens: list[Token], place: int, last: int) -> float:
        original = self._original
        three, two, one, zero = (tokens[place - back].lower for back in (3, 2, 1, 0))
        for phrase in (
            f"{one} {zero}",
            f"{two} {one} {zero}",
            f"{two} {one}",
            f"{three} {two} {one}",
            f"{three} {two}",
        ):
            if phrase in original.idioms:
                valence = original.idioms[phrase]
                break
        if place < last:
            valence = original.idioms.get(f"{zero} {tokens[place + 1].lower}", valence)
        if place + 1 < last:
            valence = original.idioms.get(f"{zero} {tokens[place + 1].lower} {tokens[place + 2].lower}", valence)
        for phrase in (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}"):
            valence += original.boosters.get(phrase, 0)
        return valence


_NONE: Final = Token(
    "", None, in_lexicon=False, booster=0.0, is_negation=False, is_upper=False, is_special=False, matters=False
)


def _caps_differ(tokens: list[Token]) -> bool:
    """Whether some but not all tokens are in capitals."""
    upper = [token[5] for token in tokens].count(True)
    return 0 < upper < len(tokens)


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
