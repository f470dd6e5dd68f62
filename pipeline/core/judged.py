"""From a `Mention` to a `JudgedMention`, field by field: quicker than any copying by name, and checked by types."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipeline.contract.events import JudgedMention, Mention


def judged_from(mention: Mention, now: datetime, **found: Any) -> JudgedMention:
    """Return a mention with what was found about it; `found` are fields of JudgedMention."""
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
        judged_at=now,
        **found,
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
