"""What VADER's rules ask about a token, and the installed vaderSentiment that says it."""

from __future__ import annotations

import string
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

CACHE: Final = 50_000  # distinct tokens kept; a text has 17, a language some 100,000
LONGEST: Final = 40  # characters of a token worth keeping: longer ones are addresses and seldom come again

# Words that the rules name one by one and that are in none of the lists.
_RULED: Final = frozenset({"no", "or", "nor", "never", "so", "this", "without", "doubt", "least", "at", "very", "kind"})
# The same and two more, numbered from 1: the compiled walk compares numbers (native/vader.c has the same order).
_NUMBERED: Final = (
    "no",
    "or",
    "nor",
    "never",
    "so",
    "this",
    "without",
    "doubt",
    "least",
    "at",
    "very",
    "kind",
    "of",
    "but",
)
_NUMBER: Final = {word: number for number, word in enumerate(_NUMBERED, start=1)}


class Token(NamedTuple):
    """What the rules ask about one token."""

    lower: str
    valence: float | None  # of a lexicon word that is scored; None for others and for boosters
    in_lexicon: bool
    booster: float  # 0.0 where it is none
    is_negation: bool
    is_upper: bool
    is_special: bool  # part of an idiom or of a two-word booster
    acts_behind: bool  # some rule may speak when a lexicon word stands up to three places behind it
    acts_alone: bool  # some rule may speak about it whatever stands before it
    ruled: int  # in _NUMBER, 0 where it is not


Seen = Token | Literal[False] | None
"""A token that rules ask about; None for a plain word, False for a plain word in capitals."""


class Tokens(dict[str, Seen]):
    """A cache that classifies what it does not know. C code does the look-up: no Python call for a known token."""

    def __init__(self, original: Original, lexicon: dict[str, float]) -> None:
        super().__init__()
        self._original = original
        self._lexicon = lexicon
        self._known = original.named | lexicon.keys()
        self.rare = (CACHE, LONGEST, self._known)  # for the compiled part

    def __missing__(self, raw: str) -> Seen:
        token = self._classify(raw)
        if len(raw) <= LONGEST:
            if len(self) >= CACHE:
                self.clear()
            self[raw] = token
        return token

    def _classify(self, raw: str) -> Seen:
        """Return the class of one white-space separated token."""
        stripped = raw.strip(string.punctuation)
        word = raw if len(stripped) <= 2 else stripped  # what is shorter is an emoticon
        lower = word.lower()
        if lower not in self._known and "n't" not in lower:
            return False if word.isupper() else None
        original = self._original
        is_booster = lower in original.boosters
        is_negation = lower in original.negations or "n't" in lower
        is_special = lower in original.special
        is_upper = word.isupper()
        is_ruled = lower in _RULED
        return Token(
            lower=lower,
            valence=None if is_booster else self._lexicon.get(lower),
            in_lexicon=lower in self._lexicon,
            booster=original.boosters.get(lower, 0.0),
            is_negation=is_negation,
            is_upper=is_upper,
            is_special=is_special,
            acts_behind=is_booster or is_negation or is_special or is_ruled,
            acts_alone=is_upper or is_special or is_ruled,
            ruled=_NUMBER.get(lower, 0),
        )


class Original:
    """The installed vaderSentiment: its lexicons and its constants."""

    def __init__(self) -> None:
        from vaderSentiment import vaderSentiment as theirs  # noqa: N813 - a module

        analyzer = theirs.SentimentIntensityAnalyzer()
        self.lexicon: dict[str, float] = analyzer.lexicon
        self.boosters: dict[str, float] = theirs.BOOSTER_DICT
        self.negations = frozenset(theirs.NEGATE)
        self.idioms: dict[str, float] = theirs.SPECIAL_CASES
        self.caps: float = theirs.C_INCR
        self.negate: float = theirs.N_SCALAR
        # The original looks at one character at a time: longer emoji in its table are never found.
        self.spaced: dict[str, str] = {key: " " + text for key, text in analyzer.emojis.items() if len(key) == 1}
        self.special = frozenset(
            word for phrase in (*self.idioms, *self.boosters) if " " in phrase for word in phrase.split()
        )
        self.named = self.boosters.keys() | self.negations | self.special | _RULED | {"but"}
        self.follows: dict[str, set[str]] = {}
        """Words that stand behind one another in an idiom or a booster of several words."""
        for phrase in (*self.idioms, *self.boosters):
            for before, behind in pairwise(phrase.split()):
                self.follows.setdefault(before, set()).add(behind)

    def phrased(self, valence: float, near: tuple[str, str, str, str, str, str]) -> float:
        """Return a valence as idioms and boosters of several words leave it: three words before, the word, two behind."""
        three, two, one, zero, next_one, next_two = near
        for phrase in (
            f"{one} {zero}",
            f"{two} {one} {zero}",
            f"{two} {one}",
            f"{three} {two} {one}",
            f"{three} {two}",
        ):
            if phrase in self.idioms:
                valence = self.idioms[phrase]
                break
        valence = self.idioms.get(f"{zero} {next_one}", valence)
        valence = self.idioms.get(f"{zero} {next_one} {next_two}", valence)
        for phrase in (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}"):
            valence += self.boosters.get(phrase, 0)
        return valence


@lru_cache(maxsize=1)
def installed() -> Original:
    """Return the installed vaderSentiment, read once."""
    return Original()


PLAIN: Final = Token(
    "",  # no rule names it
    None,
    in_lexicon=False,
    booster=0.0,
    is_negation=False,
    is_upper=False,
    is_special=False,
    acts_behind=False,
    acts_alone=False,
    ruled=0,
)
