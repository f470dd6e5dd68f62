"""Label and score of a text: VADER with customer-service wordings for English, polarity words for five languages.

This is the honest first model. A better one takes its place behind `SentimentModel`; `sentiment.vader` stays what
vaderSentiment says. Stars, where there are any, say more than words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Protocol

from pipeline.contract.events import Label, Rating, Sentiment
from pipeline.core.sentiment.lexicon import EMOJI, LANGUAGES, Lexicon, Phrases, read, undrawn, valences
from pipeline.core.sentiment.vader import FastVader

ALPHA: Final = 15.0  # VADER's: score = s / sqrt(s² + 15)
POSITIVE_FROM: Final = 0.3
NEGATIVE_FROM: Final = -0.3
STARS_WEIGHT: Final = 0.7  # what people rate says more than how they write
MOST_WORDS: Final = 2000  # a text's first words are judged; the rest of a book would not change it
_ENGLISH_EMOJI: Final = 0.5  # VADER reads their descriptions already
_OTHERS: Final = 2.0  # short lists find less of what is there than VADER's 7,500 words
_DRAWN: Final = re.compile(r"(\w)\1\1")
_FACE: Final = re.compile(r"(?<!\w)(?:[:;=][-']?([)D\]pP3*]+)|[:=][-']?([(\[/|cC]+)|(<3)|(</3))(?!\w)")


class SentimentModel(Protocol):
    """What a better model is, too."""

    version: str

    def judge(self, text: str, language: str, words: Sequence[str], rating: Rating | None) -> Sentiment:
        """Return the feeling of a text; `words` are its lower-case words."""


class Lexical:
    """The shipped model. Safe to use from several threads."""

    version = "lexical-2"

    def __init__(self) -> None:
        self._vader = FastVader()
        self._service = FastVader(valences("en"))
        self._phrases = Phrases(read("en")["phrases"])
        self._lexicons = {language: Lexicon(read(language)) for language in LANGUAGES if language != "en"}

    def judge(self, text: str, language: str, words: Sequence[str], rating: Rating | None) -> Sentiment:
        """Return label, score, VADER's compound (English only) and a confidence.

        A text whose language nobody could tell is scored as English, without a compound and with little confidence.
        """
        compound = self._vader.compound(text) if language == "en" else None
        known = True
        if language in ("en", "und"):
            total = self._english(text, words)
            known = language == "en"
        elif (lexicon := self._lexicons.get(language)) is not None:
            if _DRAWN.search(text) is not None:
                words = undrawn(words)
            total = _OTHERS * (lexicon.total(words[:MOST_WORDS]) + _faces(text, words))
        else:
            total, known = _faces(text, words), False
        score = total / math.sqrt(total * total + ALPHA)
        confidence = _confidence(score)
        if not known:
            confidence = 0.2 if not score else min(confidence, 0.5)
        if rating is not None:
            score = (1 - STARS_WEIGHT) * score + STARS_WEIGHT * stars(rating)
            confidence = max(confidence, _confidence(score), 0.8)
        label = (
            Label.POSITIVE if score >= POSITIVE_FROM else Label.NEGATIVE if score <= NEGATIVE_FROM else Label.NEUTRAL
        )
        return Sentiment(label=label, score=round(score, 4), vader=compound, confidence=round(confidence, 3))

    def _english(self, text: str, words: Sequence[str]) -> float:
        total = self._service.total(text) + self._phrases.total(words[:MOST_WORDS])
        return total if text.isascii() else total + _ENGLISH_EMOJI * _emoji(words)


def stars(rating: Rating) -> float:
    """Return a rating as -1 to 1; a scale without width says nothing."""
    width = rating.best - rating.worst
    return max(-1.0, min(1.0, 2 * (rating.value - rating.worst) / width - 1)) if width else 0.0


def _emoji(words: Sequence[str]) -> float:
    """Return the sum of the emoji, each counted once: a row of ten hearts is one feeling."""
    return sum(map(EMOJI.__getitem__, EMOJI.keys() & words))


def _faces(text: str, words: Sequence[str]) -> float:
    """Return what emoji and typed faces say."""
    total = 0.0 if text.isascii() else _emoji(words)
    for glad, _, heart, broken in _FACE.findall(text):
        total += 1.5 if glad or heart else -2.0 if broken else -1.5
    return max(-4.0, min(4.0, total))


def _confidence(score: float) -> float:
    """Return 0.5 at a border between labels, rising with the distance from it. Set by hand, not calibrated on labels."""
    if NEGATIVE_FROM < score < POSITIVE_FROM:
        return 0.65 - 0.5 * abs(score)
    return min(0.95, 0.5 + 0.6 * min(abs(score - POSITIVE_FROM), abs(score - NEGATIVE_FROM)))
