"""What people corrected about feeling and spam, on top of what the shipped parts say. Without corrections: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final

from pipeline.contract.events import Label, Sentiment
from pipeline.core.routing.learned import Learner, features, probabilities

_LABELS: Final = tuple(label.value for label in (Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE))
_SPAM: Final = ("wanted", "spam")
_LEAST, _MOST = 0.02, 0.95  # a shipped part is never so sure that no label could change it


class Taught:
    """Two learners over the words of a text: feeling (`negative`, `neutral`, `positive`) and spam."""

    def __init__(self) -> None:
        self._feeling = Learner(_LABELS)
        self._spam = Learner(_SPAM)

    @property
    def version(self) -> str:
        """A digest of all corrections in order; empty without any."""
        return f"{self._feeling.version}{self._spam.version}" if self._feeling.count or self._spam.count else ""

    def learn_sentiment(self, words: Sequence[str], said: Sentiment, label: str) -> None:
        """Learn the feeling of a text. Raises ValueError where the label is none of the three."""
        self._feeling.learn(features(words), _odds(said), label)

    def learn_spam(self, words: Sequence[str], said: float, *, is_spam: bool) -> None:
        """Learn whether a text is spam."""
        self._spam.learn(features(words), _even(said), _SPAM[is_spam])

    def sentiment(self, words: Sequence[str], said: Sentiment) -> Sentiment:
        """Return the feeling of a text, corrected; `vader` stays what it is."""
        if not self._feeling.count:
            return said
        adds = self._feeling.adds(features(words))
        if max(adds) - min(adds) < 0.05:
            return said
        shares = probabilities([known + more for known, more in zip(_odds(said), adds, strict=True)])
        best = max(range(3), key=shares.__getitem__)
        return Sentiment(
            label=Label(_LABELS[best]),
            score=round(shares[2] - shares[0], 4),
            vader=said.vader,
            confidence=round(shares[best], 4),
        )

    def spam(self, words: Sequence[str], said: float) -> float:
        """Return the spam score of a text, corrected."""
        if not self._spam.count:
            return said
        adds = self._spam.adds(features(words))
        shares = probabilities([known + more for known, more in zip(_even(said), adds, strict=True)])
        return said if abs(adds[1]) < 0.05 else round(shares[1], 4)


def _odds(said: Sentiment) -> list[float]:
    sure = min(_MOST, max(0.4, said.confidence))
    return [log(sure if label == said.label.value else (1 - sure) / 2) for label in _LABELS]


def _even(share: float) -> list[float]:
    bounded = min(1 - _LEAST, max(_LEAST, share))
    return [log(1 - bounded), log(bounded)]
