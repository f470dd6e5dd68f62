"""What a feedback says about a mention, in the terms of what is learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from pipeline.contract.events import Feedback, Label, Lesson, Mention, Voice
from pipeline.core.departments import REVIEW
from pipeline.core.routing.model import stars
from pipeline.core.triage import Triage

GOOD, BAD = 0.75, 0.25  # shares of the full stars from and up to which a review is glad or angry


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be learned of a feedback, each part None where it says nothing of it."""

    department: str | None
    sentiment: str | None
    spam: bool | None

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to learn."""
        return self.department is None and self.sentiment is None and self.spam is None


def said(feedback: Feedback) -> Said:
    """Return what a feedback says. `ours` and `done` speak for the department they name, else for the one that had it.

    Where several had it and none is named, the answer says nothing of where it belongs.
    """
    department = feedback.department
    if department is None and (feedback.ours or feedback.done):
        had = [name for name in feedback.departments if name != REVIEW]
        department = had[0] if len(had) == 1 else None
    return Said(department, None if feedback.sentiment is None else feedback.sentiment.value, feedback.spam)


def of_stars(mention: Mention) -> Label | None:
    """Return the feeling that a review's stars say, None where there are none or nothing was written with them."""
    share = stars(mention.rating)
    if share is None or not (mention.text or mention.title):
        return None
    return Label.POSITIVE if share >= GOOD else Label.NEGATIVE if share <= BAD else Label.NEUTRAL


def lessons(triage: Triage, feedback: Feedback, mention: Mention) -> Iterator[Lesson]:
    """Yield what a feedback teaches, each with `number` 1 and the weight of a person's word.

    Stars are held against the text alone: the shipped parts would else know the answer. A department of the company
    that stands for none of the shipped four teaches nothing.
    """
    what = said(feedback)
    seen = replace(mention, rating=None) if feedback.voice is Voice.STARS else mention
    department = what.department if what.department in triage.learnable else None
    yield from triage.lessons(seen, department=department, sentiment=what.sentiment, spam=what.spam)


HAD_RIGHT: Final = "right"
HAD_WRONG: Final = "wrong"


def verdicts(feedback: Feedback) -> dict[str, str]:
    """Return whether each department that had the mention had it rightly, as far as the feedback says so.

    Another department named is a verdict on all who had it; whose it was is not known of those beside one who says
    that it is theirs.
    """
    department = said(feedback).department
    had = [name for name in feedback.departments if name != REVIEW]
    if department is None:
        return {}
    if department in had:
        return {department: HAD_RIGHT}
    return dict.fromkeys(had, HAD_WRONG)
