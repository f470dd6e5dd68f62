"""From a `Mention` to a `JudgedMention`, field by field: quicker than any copying by name, and checked by types."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pipeline.contract.events import Decision, JudgedMention, Mention, Outcome, Priority, Reason, Sentiment, Towards

_NONE: Final[dict[str, Towards]] = {}  # shared by all mentions of one brand: nobody writes to it


def judged_from(
    mention: Mention,
    now: datetime,
    *,
    outcome: Outcome,
    language: str | None,
    sentiment: Sentiment,
    decision: Decision,
    department_scores: dict[str, float],
    priority: Priority,
    reason: Reason | None = None,
    brands: tuple[str, ...] = (),
    towards: dict[str, Towards] = _NONE,
    spam: float = 0.0,
    intents: tuple[str, ...] = (),
    departments: tuple[str, ...] = (),
    story: str | None = None,
    campaigns: tuple[str, ...] = (),
) -> JudgedMention:
    """Return a mention with what was found about it: the fields of JudgedMention."""
    return JudgedMention(
        id=mention.id,
        source=mention.source,
        native_id=mention.native_id,
        created_at=mention.created_at,
        collected_at=mention.collected_at,
        text=mention.text,
        title=mention.title,
        revision=mention.revision,
        state=mention.state,
        kind=mention.kind,
        url=mention.url,
        author=mention.author,
        conversation=mention.conversation,
        in_reply_to=mention.in_reply_to,
        rating=mention.rating,
        engagement=mention.engagement,
        subject=mention.subject,
        tags=mention.tags,
        links=mention.links,
        connector=mention.connector,
        backfill=mention.backfill,
        outcome=outcome,
        language=language,
        sentiment=sentiment,
        decision=decision,
        reason=reason,
        brands=brands,
        towards=towards,
        spam=spam,
        intents=intents,
        departments=departments,
        department_scores=department_scores,
        priority=priority,
        story=story,
        campaigns=campaigns,
        judged_at=now,
    )


def bare(mention: Mention, revision: int) -> Mention:
    """Return a withdrawn mention without text, author, tags and links; its revision is at least `revision`."""
    return Mention(
        id=mention.id,
        source=mention.source,
        native_id=mention.native_id,
        created_at=mention.created_at,
        collected_at=mention.collected_at,
        revision=max(mention.revision, revision),
        state=mention.state,
        kind=mention.kind,
        conversation=mention.conversation,
        connector=mention.connector,
        backfill=mention.backfill,
    )
