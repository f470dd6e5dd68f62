"""What TikTok's Research API says, as mentions: videos and comments. Pure functions.

Fields: https://developers.tiktok.com/doc/research-api-codebook. Ids are numbers beyond 2^53 and are kept exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from connectors.base import mention
from connectors.reading import addresses, timestamp, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention

SOURCE: Final = "tiktok"
SITE: Final = "https://www.tiktok.com"
_OF_A_VIDEO: Final = {"video_description", "username", "region_code", "view_count", "hashtag_names", "voice_to_text"}

Row = dict[str, Any]


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that a video or a comment is; None where it has no words, or is another kind of object."""
    is_timed = "video_id" in row or "create_time" in row  # which of a comment's fields come is the asker's choice
    if isinstance(row.get("text"), str) and is_timed and row.get("id"):
        return _comment(row, now)
    if (row.get("id") or row.get("video_id")) and "create_time" in row and row.keys() & _OF_A_VIDEO:
        return _video(row, now)
    return None


def video_id(row: Row) -> str | None:
    """Return the id of a video, under either of its names."""
    native = row.get("id") or row.get("video_id")
    return str(native) if native else None


def address(handle: Any, native: Any) -> str:
    """Return where a person can see a video; TikTok leads on to its author's page from an address without a name."""
    return f"{SITE}/@{handle or ''}/video/{native}"


def _video(row: Row, now: datetime) -> Mention | None:
    written, spoken = str(row.get("video_description") or "").strip(), str(row.get("voice_to_text") or "").strip()
    text = "\n\n".join(filter(None, (written, spoken)))
    if not text:
        return None
    native = video_id(row)
    counts = ("like_count", "comment_count", "share_count", "view_count")
    likes, replies, shares, views = (whole(row.get(name)) for name in counts)
    return mention(
        SOURCE,
        native,
        created_at=timestamp(row["create_time"]),
        now=now,
        text=text,
        url=address(row.get("username"), native),
        author=_author(row.get("username")),
        conversation=f"{SOURCE}:{native}",
        engagement=Engagement(likes=likes, replies=replies, shares=shares, views=views),
        tags=[str(tag).lstrip("#").lower() for tag in row.get("hashtag_names") or ()],
        links=addresses(written),
    )


def _comment(row: Row, now: datetime) -> Mention | None:
    """Return a comment: what it answers is a comment, or the video itself. TikTok does not say who wrote it."""
    if not row["text"].strip():
        return None
    place = row.get("video_id")
    parent = row.get("parent_comment_id") or place
    return mention(
        SOURCE,
        row["id"],
        created_at=timestamp(row.get("create_time")),
        now=now,
        text=row["text"],
        kind=Kind.COMMENT,
        url=address(row.get("earshot_handle"), place) if place else None,
        author=_author(row.get("username")),
        conversation=f"{SOURCE}:{place}" if place else None,
        in_reply_to=f"{SOURCE}:{parent}" if parent else None,
        engagement=Engagement(likes=whole(row.get("like_count")), replies=whole(row.get("reply_count"))),
        subject=str(place) if place else None,
    )


def _author(handle: Any) -> Author | None:
    return Author(handle=str(handle), url=f"{SITE}/@{handle}") if handle else None


def query(words: Sequence[str], tags: Sequence[str], regions: Sequence[str]) -> Row:
    """Return the conditions of a question: one of the words or tags, and one of the regions."""
    said = [("keyword", words), ("hashtag_name", [tag.lstrip("#") for tag in tags])]
    found: Row = {"or": [_one_of(name, values) for name, values in said if values]}
    if regions:
        found["and"] = [_one_of("region_code", [region.upper() for region in regions])]
    return found


def _one_of(name: str, values: Sequence[str]) -> Row:
    return {"operation": "IN", "field_name": name, "field_values": list(values)}


def published(rows: list[Row]) -> dict[str, dict[str, str]]:
    """Return when each video was published and by whom, by its id."""
    return {
        native: {"published": at.isoformat(), "handle": str(row.get("username") or "")}
        for row in rows
        if (native := video_id(row)) and native.isdecimal() and (at := timestamp(row.get("create_time")))
    }
