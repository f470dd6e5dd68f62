"""Label and score of a text: VADER with customer-service wordings for English, polarity words for five languages.

This is the honest first model. A better one takes its place behind `SentimentModel`; `sentiment.vader` stays what
vaderSentiment says. Confidence is a function of the distance to the nearest label border, not yet calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from pipeline.contract.events import Label, Rating, Sentiment
from pipeline.core.sentiment.vader import FastVader
from pipeline.core.sentiment.wording import EMOJI, ENGLISH, NEGATIONS, NEGATIVE, POSITIVE

ALPHA: Final = 15.0  # VADER's: score = s / sqrt(s² + 15)
POSITIVE_FROM: Final = 0.45
NEGATIVE_FROM: Final = -0.05
STARS_WEIGHT: Final = 0.7  # what people rate says more than how they write
LONGEST_STEM: Final = 12
CACHE: Final = 50_000
Phrases = Mapping[str, Sequence[tuple[tuple[str, ...], bool, float]]]


class SentimentModel(Protocol):
    """What a better model is, too."""

    version: str

    def judge(self, text: str, language: str, words: Sequence[str], rating: Rating | None) -> Sentiment:
        """Return the feeling of a text; `words` are its lower-case words."""


class _Stems(dict[str, float]):
    """Polarity of words by their stems, found once a word."""

    def __init__(self, negative: str, positive: str) -> None:
        super().__init__()
        self._stems: dict[str, float] = {}
        self._whole: dict[str, float] = {}
        for words, value in ((negative, -1.0), (positive, 1.0)):
            for word in words.split():
                (self._whole if word.startswith("=") else self._stems)[word.removeprefix("=")] = value

    def __missing__(self, word: str) -> float:
        value = self._whole.get(word, 0.0)
        if not value:
            # The longest stem wins: "unfreundlich" before "freund". Short stems must be the whole word.
            for length in range(min(len(word), LONGEST_STEM), 1, -1):
                found = self._stems.get(word[:length])
                if found is not None and (length > 3 or length == len(word)):
                    value = found
                    break
        if len(self) < CACHE:
            self[word] = value
        return value


class Lexical:
    """The shipped model. Safe to use from several threads."""

    version = "lexical-1"

    def __init__(self) -> None:
        self._vader = FastVader()
        self._phrases = _phrases()
        self._stems = {language: _Stems(NEGATIVE[language], POSITIVE[language]) for language in NEGATIVE}
        self._emoji = {char: value for value, chars in EMOJI.items() for char in chars}
        self._emoji_set = frozenset(self._emoji)

    def judge(self, text: str, language: str, words: Sequence[str], rating: Rating | None) -> Sentiment:
        """Return label, score, VADER's compound (English only) and a confidence."""
        compound: float | None = None
        known = True
        if language == "en":
            compound = self._vader.compound(text)
            score = self._english(compound, words)
        elif language in self._stems:
            score = _squash(2.0 * (self._stemmed(language, words) + self._faces(text)))
        else:
            score, known = _squash(2.0 * self._faces(text)), False
        confidence = 0.2 if not known and not score else _confidence(score)
        if rating is not None:
            score = (1 - STARS_WEIGHT) * score + STARS_WEIGHT * stars(rating)
            confidence = max(confidence, _confidence(score), 0.8)
        label = (
            Label.POSITIVE if score >= POSITIVE_FROM else Label.NEGATIVE if score <= NEGATIVE_FROM else Label.NEUTRAL
        )
        return Sentiment(label=label, score=round(score, 4), vader=compound, confidence=round(confidence, 3))

    def _english(self, compound: float, words: Sequence[str]) -> float:
        """Add the wordings to VADER's sum, which is taken back from the compound."""
        extra = 0.0
        phrases = self._phrases
        for place, word in enumerate(words):
            candidates = phrases.get(word)
            if candidates is not None:
                for rest, is_open, value in candidates:
                    if _follows(words, place + 1, rest, is_open=is_open):
                        extra += value
                        break
        if not extra:
            return compound
        bounded = max(-0.999, min(0.999, compound))
        return _squash(bounded * math.sqrt(ALPHA / (1 - bounded * bounded)) + extra)

    def _stemmed(self, language: str, words: Sequence[str]) -> float:
        stems, negations = self._stems[language], NEGATIONS[language]
        total, negated = 0.0, 0
        for word in words:
            if word in negations:
                negated = 3
                total += stems[word] * 0.5
                continue
            value = stems[word]
            if value:
                total += -0.7 * value if negated and value > 0 else 0.3 * value if negated else value
            negated = max(0, negated - 1)
        return total

    def _faces(self, text: str) -> float:
        if text.isascii() or self._emoji_set.isdisjoint(text):
            return 0.0
        return max(-3.0, min(3.0, sum(self._emoji.get(char, 0.0) for char in text)))


def stars(rating: Rating) -> float:
    """Return a rating as -1 to 1; a scale without width says nothing."""
    width = rating.best - rating.worst
    return max(-1.0, min(1.0, 2 * (rating.value - rating.worst) / width - 1)) if width else 0.0


def _squash(total: float) -> float:
    return total / math.sqrt(total * total + ALPHA)


def _confidence(score: float) -> float:
    """Return 0.5 at a border between labels, rising with the distance from it."""
    distance = min(abs(score - POSITIVE_FROM), abs(score - NEGATIVE_FROM))
    return min(0.95, 0.5 + 0.6 * distance)


def _follows(words: Sequence[str], place: int, rest: tuple[str, ...], *, is_open: bool) -> bool:
    end = place + len(rest)
    if end > len(words):
        return False
    for offset, word in enumerate(rest):
        found = words[place + offset]
        if found != word and not (is_open and place + offset == end - 1 and found.startswith(word)):
            return False
    return True


def _phrases() -> dict[str, list[tuple[tuple[str, ...], bool, float]]]:
    """Return first word -> (rest, whether the last word is open, valence), longest first."""
    found: dict[str, list[tuple[tuple[str, ...], bool, float]]] = {}
    for value, phrases in ENGLISH.items():
        for phrase in phrases:
            first, *rest = phrase.removesuffix("*").split()
            found.setdefault(first, []).append((tuple(rest), phrase.endswith("*"), value))
    return {first: sorted(rests, key=lambda rest: -len(rest[0])) for first, rests in found.items()}
