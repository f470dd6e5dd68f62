"""Label and score of a text: VADER with customer-service wordings for English, polarity words for five languages.

In English the tone of the words is read together with the form of the text and what its author is after
(`pipeline.core.sentiment.form`). What an author only quotes does not count. A better model takes this one's place behind
`SentimentModel`; `sentiment.vader` stays what vaderSentiment says about the whole text. Stars, where there are any, say
more than words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Protocol

from pipeline.contract.events import Label, Rating, Sentiment
from pipeline.core.native import rounded
from pipeline.core.routing.wordings import words as words_of
from pipeline.core.sentiment.form import ALPHA, FormModel
from pipeline.core.sentiment.lexicon import EMOJI, LANGUAGES, Lexicon, Phrases, read, undrawn, valences
from pipeline.core.sentiment.vader import PairedVader, normalised

_LABELS: Final = (Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE)
POSITIVE_FROM: Final = 0.3
NEGATIVE_FROM: Final = -0.3
STARS_WEIGHT: Final = 0.7  # what people rate says more than how they write
MOST_WORDS: Final = 2000  # a text's first words are judged; the rest of a book would not change it
_ENGLISH_EMOJI: Final = 0.5  # VADER reads their descriptions already
_LESS_SURE: Final = 0.12  # in languages with short lists: as often as that they are wrong where English is right
_OTHERS: Final = 2.0  # short lists find less of what is there than VADER's 7,500 words
_DRAWN: Final = re.compile(r"(\w)\1\1")
_FACE: Final = re.compile(r"(?<!\w)(?:[:;=][-']?([)D\]pP3*]+)|[:=][-']?([(\[/|cC]+)|(<3)|(</3))(?!\w)")


class SentimentModel(Protocol):
    """What a better model is, too."""

    version: str

    def judge(
        self, text: str, language: str, words: Sequence[str], rating: Rating | None, intents: tuple[str, ...] = ()
    ) -> Sentiment:
        """Return the feeling of a text; `words` are its lower-case words, `intents` what its author is after."""


class Lexical:
    """The shipped model. Safe to use from several threads."""

    version = "lexical-3"

    def __init__(self) -> None:
        self._vader = PairedVader(valences("en"))
        self._phrases = Phrases(read("en")["phrases"])
        self._form = FormModel()
        self._lexicons = {language: Lexicon(read(language)) for language in LANGUAGES if language != "en"}

    def judge(
        self, text: str, language: str, words: Sequence[str], rating: Rating | None, intents: tuple[str, ...] = ()
    ) -> Sentiment:
        """Return label, score, VADER's compound (English only) and a confidence.

        A text whose language nobody could tell is scored as English, without a compound and with little confidence.
        """
        compound = total = None
        if language == "en":
            plain, total = self._vader.totals(text)
            compound = rounded(normalised(plain), 4) if plain else 0.0
        if "\n>" in text or text.startswith(">"):
            text = own_words(text)
            words = words_of(text)
            total = None
        if language in ("en", "und"):
            if total is None:
                total = self._vader.second.total(text)
            label, score, confidence = self._in_english(total, text, words, intents)
            if language == "und":
                confidence = min(confidence, 0.5) if score else 0.2
        else:
            label, score, confidence = self._in_other(text, language, words)
        if rating is not None:
            score = (1 - STARS_WEIGHT) * score + STARS_WEIGHT * stars(rating)
            label, confidence = _labelled(score), max(confidence, _confidence(score), 0.8)
        return Sentiment(label=label, score=rounded(score, 4), vader=compound, confidence=rounded(confidence, 3))

    def _in_english(
        self, total: float, text: str, words: Sequence[str], intents: tuple[str, ...]
    ) -> tuple[Label, float, float]:
        """Return label, score and confidence; `total` is the sum of the valences of the changed lexicon."""
        total += self._phrases.total(words, MOST_WORDS)
        if not text.isascii():
            total += _ENGLISH_EMOJI * _emoji(words)
        label, score, confidence = self._form.feeling(total, text, words, intents)
        return _LABELS[label], score, confidence

    def _in_other(self, text: str, language: str, words: Sequence[str]) -> tuple[Label, float, float]:
        lexicon = self._lexicons.get(language)
        total = _faces(text, words)
        if lexicon is not None:
            if _DRAWN.search(text) is not None:
                words = undrawn(words)
            total = _OTHERS * (lexicon.total(words[:MOST_WORDS]) + total)
        score = total / math.sqrt(total * total + ALPHA)
        confidence = _confidence(score) - _LESS_SURE
        if lexicon is None:
            confidence = min(confidence, 0.5) if score else 0.2
        return _labelled(score), score, confidence


def own_words(text: str) -> str:
    """Return a text without the lines it quotes (`> ` in front), unless nothing else is there."""
    own = "\n".join(line for line in text.split("\n") if not line.startswith(">"))
    return own if own.strip() else text


def _labelled(score: float) -> Label:
    return Label.POSITIVE if score >= POSITIVE_FROM else Label.NEGATIVE if score <= NEGATIVE_FROM else Label.NEUTRAL


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
    """Return 0.5 at a border between labels, rising with the distance from it."""
    if NEGATIVE_FROM < score < POSITIVE_FROM:
        return 0.65 - 0.5 * abs(score)
    return min(0.95, 0.5 + 0.6 * min(abs(score - POSITIVE_FROM), abs(score - NEGATIVE_FROM)))
