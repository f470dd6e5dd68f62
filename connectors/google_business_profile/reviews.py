"""What Google Business Profile says, as mentions: reviews, and questions of the years in which there were some. Pure.

Fields: https://developers.google.com/my-business/reference/rest/v4/accounts.locations.reviews.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from connectors import reading
from connectors.base import mention
from connectors.newest import Row
from connectors.reading import timestamp, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating, State

SOURCE: Final = "google-business-profile"
STARS: Final = {"ONE": 1.0, "TWO": 2.0, "THREE": 3.0, "FOUR": 4.0, "FIVE": 5.0}

LOCATION: Final = re.compile(r"accounts/[\w-]+/locations/[\w-]+")
"""A location's full name."""

_PLACE: Final = re.compile(r"^(?:accounts/[^/]+/)?(locations/[^/]+)/(?:reviews|questions)/[^/]+")
_ORIGINAL: Final = re.compile(r"^\(Translated by Google\).*?\(Original\)\s*(.*)$", re.DOTALL)
_TRANSLATED: Final = re.compile(r"^(.*?)\s*\(Translated by Google\).*$", re.DOTALL)


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that a review, question or answer is; None where it is another kind.

    The owner's reply to a review, and what merchants answer to questions, are not what customers say.
    """
    if "reviewId" in row and ("starRating" in row or "comment" in row):
        return _review(row, now)
    name = str(row.get("name") or "")
    if "/questions/" in name and row.get("text") and isinstance(row.get("author"), dict):
        return _question(row, name, now)
    return None


def _review(row: Row, now: datetime) -> Mention | None:
    text, stars = original(row.get("comment")), STARS.get(str(row.get("starRating")))
    if not text and stars is None:
        return None
    reviewer = row.get("reviewer") or {}
    who = None if reviewer.get("isAnonymous") is True else reviewer.get("displayName")
    return mention(
        SOURCE,
        row["reviewId"],
        now=now,
        text=text,
        kind=Kind.REVIEW,
        author=Author(name=str(who)) if who else None,
        rating=None if stars is None else Rating(value=stars, best=5.0, worst=1.0),
        subject=place_of(row.get("name")),
        links=reading.addresses(text),
        **_times(row),
    )


def _question(row: Row, name: str, now: datetime) -> Mention | None:
    if row["author"].get("type") == "MERCHANT":
        return None
    asked, _, answer = name.partition("/answers/")
    who, likes = row["author"].get("displayName"), whole(row.get("upvoteCount"))
    return mention(
        SOURCE,
        name,
        now=now,
        text=str(row["text"]),
        kind=Kind.COMMENT if answer else Kind.QUESTION,
        author=Author(name=str(who)) if who else None,
        conversation=f"{SOURCE}:{asked}" if answer else None,
        in_reply_to=f"{SOURCE}:{asked}" if answer else None,
        engagement=Engagement(likes=likes, replies=whole(row.get("totalAnswerCount"))) if likes is not None else None,
        subject=place_of(name),
        links=reading.addresses(str(row["text"])),
        **_times(row),
    )


def _times(row: Row) -> dict[str, Any]:
    """Return when it was written and, where it was changed since, the revision that the change is."""
    made, changed = timestamp(row.get("createTime")), timestamp(row.get("updateTime"))
    if changed is None or made is None or changed <= made:
        return {"created_at": made or changed}
    return {"created_at": made, "revision": int(changed.timestamp() * 1000), "state": State.EDITED}


def original(text: Any) -> str:
    """Return a text as it was written, without the translation that Google puts before or after it."""
    if not isinstance(text, str):
        return ""
    found = _ORIGINAL.match(text) or _TRANSLATED.match(text)
    return (found[1] if found and found[1].strip() else text).strip()


def place_of(name: Any) -> str | None:
    """Return the location that a review's or question's full name holds, `locations/7`; None where it holds none."""
    found = _PLACE.match(str(name or ""))
    return found[1] if found else None


def time_of(row: Row) -> float | None:
    """Return when a review was last changed, in epoch seconds; None where it does not say."""
    at = timestamp(row.get("updateTime") or row.get("createTime"))
    return None if at is None else at.timestamp()
