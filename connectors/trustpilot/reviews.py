"""Trustpilot's ways to write a review down, as mentions. Pure.

The public and the private API, reviews of products (`content` instead of `text`), and what its webhooks send: events
with a name, of which the one about a deletion has hardly more than the id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from connectors.base import mention
from connectors.reading import from_plain, timestamp, walk, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating, State

Row = dict[str, Any]

SOURCE: Final = "trustpilot"
SITE: Final = "https://www.trustpilot.com"
DELETED: Final = "review-deleted"  # the end of such an event's name: service-review-deleted, product-review-deleted


def rows_of(values: Iterable[Any]) -> Iterator[Row]:
    """Yield every object in the values; those inside an event carry its name as `earshot_event`."""
    for row in walk(iter(values)):
        for name, inner in (("eventName", "eventData"), ("eventType", "review")):
            if isinstance(row.get(name), str) and isinstance(row.get(inner), dict):
                row[inner]["earshot_event"] = row[name]
        yield row


def time_of(row: Row) -> float | None:
    """Return when a review was written, in epoch seconds; None where it does not say."""
    at = timestamp(row.get("createdAt"))
    return None if at is None else at.timestamp()


def to_mention(row: Any, now: datetime) -> Mention | None:
    """Return the mention that a review is, or its withdrawal; None when the object is another kind."""
    if str(row.get("earshot_event") or "").endswith(DELETED):
        at = timestamp(row.get("deletedAt")) or now
        return mention(
            SOURCE,
            row["id"],
            created_at=timestamp(row.get("createdAt")) or at,
            now=now,
            revision=int(at.timestamp() * 1000),
            state=State.DELETED,
            kind=Kind.REVIEW,
        )
    if not {"id", "stars"} <= row.keys() or not row.keys() & {"text", "content", "title"}:
        return None
    created, updated = timestamp(row.get("createdAt")), timestamp(row.get("updatedAt"))
    is_edited = created is not None and updated is not None and updated > created
    stars = float(row["stars"])
    if not 0 <= stars <= 5:
        raise ValueError
    rich = from_plain(row.get("text") or row.get("content"))
    return mention(
        SOURCE,
        row["id"],
        created_at=created or updated,
        now=now,
        text=rich.text,
        title=from_plain(row.get("title")).text or None,
        revision=int(updated.timestamp() * 1000) if updated is not None and is_edited else 0,
        state=State.EDITED if is_edited else None,
        kind=Kind.REVIEW,
        language=str(row.get("language") or "").split("-")[0].lower() or None,
        url=f"{SITE}/reviews/{row['id']}",
        author=_author(row.get("consumer") or {}),
        rating=Rating(value=stars, best=5.0, worst=1.0),
        engagement=Engagement(likes=whole(row.get("numberOfLikes")), replies=int(bool(row.get("companyReply")))),
        subject=_subject(row),
        tags=list(_tags(row)),
        links=rich.links,
    )


def _author(consumer: Row) -> Author | None:
    who, name = consumer.get("id"), consumer.get("displayName") or consumer.get("name")
    if not who and not name:
        return None
    return Author(id=str(who) if who else None, name=name, url=f"{SITE}/users/{who}" if who else None)


def _subject(row: Row) -> str | None:
    """Return whom a review is about: the company's site, or its name or number where the answer has no more."""
    unit = row.get("businessUnit") or {}
    names = (unit.get("identifyingName"), row.get("earshot_unit"), unit.get("displayName"), unit.get("id"))
    return next((str(name) for name in names if name), None)


def _tags(row: Row) -> Iterator[str]:
    """Yield how it was verified, and the company's own tags of private reviews."""
    if row.get("isVerified"):
        yield "verified"
    if row.get("reviewVerificationLevel"):
        yield f"verification-{str(row['reviewVerificationLevel']).lower()}"
    for tag in row.get("tags") or ():
        if isinstance(tag, dict) and tag.get("value"):
            yield str(tag["value"]).lower()
