"""What people taught, on top of what the shipped parts say. Without lessons: nothing.

Three lines: where mentions belong, how they feel, whether they are spam. Whoever takes the same lessons in the same
order says the same, so the lessons are what workers share (topic `lessons`), and a decision can be repeated by taking
them up to the version that the decision names.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from math import log
from typing import Final

import msgspec

from pipeline.contract.events import About, Label, Lesson, Sentiment
from pipeline.core.learning.line import PROOF, Line, Predicted
from pipeline.core.routing.features import features
from pipeline.core.routing.learned import Example, Learner, probabilities
from pipeline.core.routing.shipped import CANONICAL

LABELS: Final = tuple(label.value for label in (Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE))
SPAM: Final = ("wanted", "spam")
CLASSES: Final[Mapping[About, tuple[str, ...]]] = {
    About.DEPARTMENT: CANONICAL,
    About.SENTIMENT: LABELS,
    About.SPAM: SPAM,
}
KEEPS: Final[Mapping[About, float]] = {About.DEPARTMENT: 0.7}
"""How much of what the shipped parts say still counts beside what was learned and is trusted, 1 for others: rules are surer
than they are right about a company that they were not written for."""
KEEP_EVERY: Final = 100  # lessons after which the state is written down
_LEAST, _MOST = 0.02, 0.95  # a shipped part is never so sure that no label could change it
_DIGITS: Final = 8


class Taught:
    """What was learned so far. `number` is that of the last lesson taken."""

    def __init__(self, proof: float = PROOF) -> None:
        self.lines = {about: Line(classes, proof, KEEPS.get(about, 1.0)) for about, classes in CLASSES.items()}
        self.number = 0
        self.version = ""
        """Names what is in service: the number of the last lesson that changed it, and a digest. Empty: as shipped."""
        self._feeling: Learner | None = None
        self._spam: Learner | None = None

    @property
    def department(self) -> Learner | None:
        """What says where mentions belong, beside rules and model; None where nothing learned is in service."""
        return self.lines[About.DEPARTMENT].serving

    def take(self, lesson: Lesson) -> Predicted:
        """Learn one lesson; return what was said about it before. Raises ValueError where its truth is no class.

        After every KEEP_EVERY lessons everything is settled, so that who goes on and who reads it anew agree.
        """
        line = self.lines[lesson.about]
        before = line.version
        example = example_of(lesson)
        predicted = line.take(example.seen, example.offset, lesson.truth, weight=lesson.weight, number=lesson.number)
        self.number = lesson.number
        if line.version != before:
            self._name(lesson.number)
        if lesson.number % KEEP_EVERY == 0:
            self._settle()
        return predicted

    def forget(self, numbers: AbstractSet[int]) -> bool:
        """Forget lessons, whose mentions were erased; say whether any was still seen again.

        Everything is settled by it, so that the state can be written down: who reads it anew never saw those lessons.
        """
        if not sum(line.forget(numbers) for line in self.lines.values()):
            return False
        self._settle()
        self._name(self.number)
        return True

    def _name(self, number: int) -> None:
        versions = " ".join(line.version for line in self.lines.values())
        is_shipped = all(line.serving is None for line in self.lines.values())
        self.version = "" if is_shipped else f"{number}-{sha256(versions.encode()).hexdigest()[:_DIGITS]}"
        self._feeling, self._spam = self.lines[About.SENTIMENT].serving, self.lines[About.SPAM].serving

    def sentiment(self, words: Sequence[str], said: Sentiment) -> Sentiment:
        """Return the feeling of a text, corrected; `vader` stays what it is."""
        if self._feeling is None:
            return said
        adds, _ = self._feeling.read(words)
        if max(adds) - min(adds) < 0.05:
            return said
        shares = probabilities(self._feeling.joined(odds(said), adds))
        best = max(range(3), key=shares.__getitem__)
        return Sentiment(
            label=Label(LABELS[best]),
            score=round(shares[2] - shares[0], 4),
            vader=said.vader,
            confidence=round(shares[best], 4),
        )

    def spam(self, words: Sequence[str], said: float) -> float:
        """Return the spam score of a text, corrected."""
        if self._spam is None:
            return said
        adds, _ = self._spam.read(words)
        shares = probabilities(self._spam.joined(even(said), adds))
        return said if abs(adds[1]) < 0.05 else round(shares[1], 4)

    @property
    def remembered(self) -> set[int]:
        """The numbers of the lessons that any version sees again."""
        return {number for line in self.lines.values() for number in line.remembered}

    def _settle(self) -> None:
        """Bring everything into the form in which it is written down."""
        for line in self.lines.values():
            line.settle()

    def dump(self) -> bytes:
        """Return the state as bytes; to be called after every KEEP_EVERY lessons, when it is settled."""
        return zlib.compress(
            msgspec.json.encode(
                {
                    "number": self.number,
                    "version": self.version,
                    "lines": {about.value: line.dump() for about, line in self.lines.items()},
                }
            ),
            6,
        )

    def load(self, kept: bytes, lesson: Callable[[int], Lesson | None]) -> None:
        """Become what `dump` wrote down. `lesson` gives the lesson of a number, None where it is gone."""
        state = msgspec.json.decode(zlib.decompress(kept))

        def example(number: int) -> Example | None:
            found = lesson(number)
            return None if found is None else example_of(found)

        for about, line in self.lines.items():
            line.load(state["lines"][about.value], example)
        self.number, self.version = state["number"], state["version"]
        self._feeling, self._spam = self.lines[About.SENTIMENT].serving, self.lines[About.SPAM].serving


def example_of(lesson: Lesson) -> Example:
    """Return what is learned of a lesson."""
    target = CLASSES[lesson.about].index(lesson.truth)
    seen = features(lesson.words, lesson.rules, lesson.feeling)
    return Example(seen, tuple(lesson.known), target, lesson.weight, lesson.number)


def odds(said: Sentiment) -> list[float]:
    """Return a feeling as log-odds of the three labels."""
    sure = min(_MOST, max(0.4, said.confidence))
    return [log(sure if label == said.label.value else (1 - sure) / 2) for label in LABELS]


def even(share: float) -> list[float]:
    """Return a spam score as log-odds of `wanted` and `spam`."""
    bounded = min(1 - _LEAST, max(_LEAST, share))
    return [log(1 - bounded), log(bounded)]
