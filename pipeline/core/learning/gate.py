"""Which labels are taken: nobody teaches twice by saying the same again, and nobody more than their share.

Counted over a sliding time, by who says it and by the source it is about; stars have limits of their own, because
anybody can give stars. Who knows the lessons knows what was counted, so a new learner goes on where the last one was.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeVar

from pipeline.config.model import Learning
from pipeline.contract.events import Feedback, Lesson, Voice

T = TypeVar("T")

DONE_WEIGHT: Final = 0.5  # of "done" without a word on whose it was: who does the work does not always say so
_DIGITS: Final = 16


class Refused(StrEnum):
    """Why nothing was learned of a feedback: a closed set, used as a metric label."""

    DUPLICATE = "duplicate"  # the same, by the same, about the same mention
    CAPPED = "capped"  # more than one author or source may teach
    ERASED = "erased"  # its mention was taken back at its source
    NOTHING = "nothing_to_learn"  # it says nothing that is learned


def author_of(feedback: Feedback) -> str:
    """Return a digest of who said it, which does not give the name away."""
    said = f"{feedback.voice.value} {feedback.by}".encode("utf-8", "replace")
    return f"{feedback.voice.value}:{sha256(said).hexdigest()[:_DIGITS]}"


def weight_of(feedback: Feedback, limits: Learning) -> float:
    """Return how much a feedback counts, beside 1 for a person's plain word."""
    if feedback.voice is Voice.STARS:
        return limits.stars_weight
    is_work_only = feedback.done and not feedback.ours and feedback.department is None
    return DONE_WEIGHT if is_work_only and feedback.sentiment is None and feedback.spam is None else 1.0


class Gate:
    """What was taught lately, and by whom."""

    def __init__(self, limits: Learning) -> None:
        self._limits = limits
        self._window = timedelta(seconds=limits.window)
        self._lately: deque[Lesson] = deque()
        self._authors: Counter[str] = Counter()
        self._sources: Counter[tuple[bool, str]] = Counter()
        self._known: dict[tuple[str, ...], int] = {}

    def why_not(self, lesson: Lesson, now: datetime) -> Refused | None:
        """Return why a lesson is not to be learned, None where it is."""
        if _what(lesson) in self._known:
            return Refused.DUPLICATE
        self._pass(now)
        limits, by_stars = self._limits, _by_stars(lesson)
        most_of_author = limits.stars_per_author if by_stars else limits.per_author
        most_of_source = limits.stars_per_source if by_stars else limits.per_source
        if self._authors[lesson.author] >= most_of_author or self._sources[by_stars, lesson.source] >= most_of_source:
            return Refused.CAPPED
        return None

    def count(self, lesson: Lesson) -> None:
        """Count a lesson that was learned; in their order."""
        self._known[_what(lesson)] = lesson.number
        self._lately.append(lesson)
        self._authors[lesson.author] += 1
        self._sources[_by_stars(lesson), lesson.source] += 1

    def forget(self, lesson: Lesson) -> None:
        """Let what a lesson said be said again: it is no longer kept."""
        if self._known.get(_what(lesson)) == lesson.number:
            del self._known[_what(lesson)]

    def _pass(self, now: datetime) -> None:
        while self._lately and self._lately[0].at <= now - self._window:
            gone = self._lately.popleft()
            _less(self._authors, gone.author)
            _less(self._sources, (_by_stars(gone), gone.source))


def _less(counts: Counter[T], key: T) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def _by_stars(lesson: Lesson) -> bool:
    return lesson.author.startswith(Voice.STARS.value)


def _what(lesson: Lesson) -> tuple[str, ...]:
    return lesson.id, lesson.about.value, lesson.truth, lesson.author
