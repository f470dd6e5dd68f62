"""From a feedback to what is learned of it: the one way, in the running system and with files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from pipeline.config.model import Learning
from pipeline.contract.events import Feedback, Lesson, Mention
from pipeline.core.learning.gate import Gate, Refused, author_of, weight_of
from pipeline.core.learning.line import Predicted
from pipeline.core.learning.saying import lessons
from pipeline.core.triage import Triage

Taken = tuple[Lesson, Predicted]


def take(
    triage: Triage, gate: Gate, limits: Learning, feedback: Feedback, mention: Mention, now: datetime
) -> Iterator[Taken | Refused]:
    """Learn a feedback; yield each lesson as it was learned with what had been said before, or why it was not.

    Yields nothing where the feedback says nothing that is learned.
    """
    weight, author = weight_of(feedback, limits), author_of(feedback)
    for plain in lessons(triage, feedback, mention):
        lesson = replace(
            plain,
            number=triage.taught.number + 1,
            said_at=feedback.at,
            at=now,
            weight=weight,
            author=author,
            source=mention.source,
        )
        why = gate.why_not(lesson, now)
        if why is not None:
            yield why
            continue
        predicted = triage.teach(lesson)
        gate.count(lesson)
        yield lesson, predicted
