"""Two models for sentiment: the shipped one for all, a stronger one for what the shipped one is not sure about.

The stronger model is slow, so it is asked about a batch of texts before they are judged (`pipeline.runtime.deep`), and
its answers are looked up here. A text without an answer keeps what the shipped model says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.config.model import Deep
from pipeline.contract.events import Label, Rating, Sentiment
from pipeline.core.language import primary
from pipeline.core.native import rounded
from pipeline.core.sentiment.score import SentimentModel

DIGITS: Final = 3  # of an answer: which texts shared a batch must not show


class Answer(NamedTuple):
    """How likely each label is, as the stronger model says; they sum to 1."""

    negative: float
    neutral: float
    positive: float


Answers = Mapping[str, Answer]
"""The stronger model's answers by whole text."""
_NONE: Final[Answers] = {}


class Tiered:
    """The shipped model with the stronger one's answers on top."""

    def __init__(self, shipped: SentimentModel, settings: Deep, version: str) -> None:
        self._shipped = shipped
        self._uncertain = settings.uncertain
        self._languages = frozenset(filter(None, map(primary, settings.languages)))
        self.deep = version
        self.version = f"{shipped.version}+{version} below {self._uncertain} in {sorted(self._languages) or 'all'}"
        self.answers: Answers = _NONE
        self.spoke: str | None = None

    def judge(
        self, text: str, language: str, words: Sequence[str], rating: Rating | None, intents: tuple[str, ...] = ()
    ) -> Sentiment:
        """Return the stronger model's feeling of a text where it was asked and is needed, else the shipped one's.

        `spoke` says afterwards which of the two it is: the stronger one's version, or None.
        """
        said = self._shipped.judge(text, language, words, rating, intents)
        answer = self.answers.get(text)
        if answer is None or not self.doubts(said, language):
            self.spoke = None
            return said
        self.spoke = self.deep
        return _with(said, answer)

    def doubts(self, said: Sentiment, language: str) -> bool:
        """Whether the stronger model should be asked about what the shipped one said."""
        return said.confidence < self._uncertain and self.reads(language)

    def reads(self, language: str) -> bool:
        """Whether the stronger model knows a language."""
        return not self._languages or language in self._languages


def _with(said: Sentiment, answer: Answer) -> Sentiment:
    best = max(answer)
    label = (Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE)[answer.index(best)]
    return Sentiment(
        label=label,
        score=rounded(answer.positive - answer.negative, DIGITS),
        vader=said.vader,
        confidence=rounded(best, DIGITS),
    )
