"""What may become of a mention that is not routed: only counted, set aside with its reason, or taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.contract.events import Decision, JudgedMention, Label, Mention, Outcome, Priority, Reason, Sentiment
from pipeline.core.dedup import Memory, Remembered
from pipeline.core.judged import bare, judged_from
from pipeline.core.matching import Matched

GONE: Final = "withdrawn"  # the story of what was taken back; marks it in the memory, which is rebuilt from headers
_NO_FEELING: Final = Sentiment(label=Label.NEUTRAL, score=0.0, vader=None, confidence=0.0)
_NO_SHARES: Final = {"service": 0.0, "support": 0.0, "design": 0.0, "marketing": 0.0}


@dataclass(frozen=True, slots=True)
class Discard:
    """A mention that is only counted."""

    reason: Reason


Verdict = JudgedMention | Discard


def set_aside(mention: Mention, brands: Matched, reason: Reason, now: datetime, version: str) -> JudgedMention:
    """Return a mention that is about a brand and goes to nobody; its text was not read."""
    return judged_from(
        mention,
        now,
        outcome=Outcome.DISCARDED,
        reason=reason,
        language=mention.language,
        brands=tuple(brands),
        sentiment=_NO_FEELING,
        department_scores=_NO_SHARES,
        priority=Priority.LOW,
        decision=Decision(by="discard", version=version, matched=dict(brands)),
    )


def withdraw(mention: Mention, known: Remembered | None, memory: Memory, now: datetime, version: str) -> Verdict:
    """Tell those who had it that it is gone. What is written keeps no text, author, tags or links."""
    if known is None:
        return Discard(Reason.WITHDRAWN)
    if known.story == GONE and mention.revision <= known.revision:
        return Discard(Reason.DUPLICATE)
    gone = judged_from(
        bare(mention, known.revision),
        now,
        outcome=Outcome.DISCARDED,
        reason=Reason.WITHDRAWN,
        language=None,
        brands=known.brands,
        sentiment=_NO_FEELING,
        departments=known.departments,
        department_scores=_NO_SHARES,
        priority=Priority.LOW,
        story=GONE,
        decision=Decision(by="discard", version=version),
    )
    remember(memory, gone)
    return gone


def remember(memory: Memory, judged: JudgedMention) -> None:
    """Keep what became of a mention."""
    seen = Remembered(
        revision=judged.revision, departments=judged.departments, brands=judged.brands, story=judged.story
    )
    memory.remember(judged.id, seen)
