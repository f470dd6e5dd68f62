"""What YouTube says, as mentions: comments, videos, and rows of the usual exports. Pure functions.

Resources: https://developers.google.com/youtube/v3/docs.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.base import mention
from connectors.reading import addresses, from_html, mapping, timestamp, whole
from connectors.youtube.place import written
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

SOURCE: Final = "youtube"
SITE: Final = "https://www.youtube.com"

Row = dict[str, Any]

_HTML: Final = re.compile(r"</?(?:br|a|b|i|s)\b|&(?:#\d+|amp|quot|lt|gt);", re.IGNORECASE)
_AGO: Final = re.compile(r"\b(\d+|an?)\s+(second|minute|hour|day|week|month|year)s?\s+ago\b")
_SECONDS: Final = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_746,
    "year": 31_556_952,
}


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object of YouTube's is; None where it is none."""
    kind = row.get("kind")
    if kind == "youtube#comment":
        return comment(str(row["id"]), row["snippet"], now)
    if kind in ("youtube#searchResult", "youtube#video", "youtube#playlistItem"):
        return video(row, now)
    return exported(row, now)


def comment(native: str, said: Row, now: datetime, **more: Any) -> Mention | None:
    """Return a comment. Its thread is the comment it is under, or itself; what that one answers is the video."""
    shown, original = said.get("textDisplay"), said.get("textOriginal")
    rich = from_html(shown) if isinstance(shown, str) and _HTML.search(shown) else None
    text = str(original or (rich.text if rich else shown) or "")
    if not text.strip():
        return None
    place, channel = said.get("videoId"), said.get("channelId")
    parent = said.get("parentId") or (native.partition(".")[0] if "." in native else None)
    written_at, edited_at = timestamp(said.get("publishedAt")), timestamp(said.get("updatedAt"))
    is_edited = written_at is not None and edited_at is not None and edited_at > written_at
    above = parent or place
    if place:
        url: str | None = f"{SITE}/watch?v={place}&lc={native}"
    else:
        url = f"{SITE}/channel/{channel}/discussion?lc={native}" if channel else None
    return mention(
        SOURCE,
        native,
        created_at=written_at,
        now=now,
        text=text,
        kind=Kind.COMMENT,
        state=State.EDITED if is_edited else None,
        revision=int(edited_at.timestamp() * 1000) if is_edited and edited_at else 0,
        url=url,
        author=_commenter(said),
        conversation=f"{SOURCE}:{parent or native}",
        in_reply_to=f"{SOURCE}:{above}" if above else None,
        engagement=Engagement(likes=whole(said.get("likeCount")), replies=whole(said.get("totalReplyCount"))),
        subject=str(place or channel or "") or None,
        links=(*(rich.links if rich else ()), *addresses(text)),
        **more,
    )


def _commenter(said: Row) -> Author | None:
    name, channel = said.get("authorDisplayName"), said.get("authorChannelId")
    native = channel.get("value") if isinstance(channel, dict) else channel
    if not name and not native:
        return None
    url = str(said.get("authorChannelUrl") or "").replace("http://", "https://", 1)
    is_handle = str(name or "").startswith("@")
    return Author(
        id=str(native) if native else None,
        handle=str(name).lstrip("@") if is_handle else None,
        name=str(name) if name else None,
        url=url or (f"{SITE}/channel/{native}" if native else None),
    )


def video(row: Row, now: datetime) -> Mention | None:
    """Return a video: a result of a search, an item of a playlist, or the video itself, which alone has all of it."""
    said, native = row["snippet"], video_id(row)
    if native is None:
        return None
    is_escaped = row["kind"] == "youtube#searchResult"  # there alone
    title, text = str(said.get("title") or ""), str(said.get("description") or "")
    channel = said.get("videoOwnerChannelId") or said.get("channelId")
    name = said.get("videoOwnerChannelTitle") or said.get("channelTitle")
    counts = row.get("statistics") or {}
    language = str(said.get("defaultAudioLanguage") or said.get("defaultLanguage") or "")
    return mention(
        SOURCE,
        native,
        created_at=timestamp(said.get("publishedAt")),
        now=now,
        title=(html.unescape(title) if is_escaped else title) or None,
        text=html.unescape(text) if is_escaped else text,
        language=language.partition("-")[0].lower() or None,
        url=f"{SITE}/watch?v={native}",
        author=Author(id=channel, name=name, url=f"{SITE}/channel/{channel}" if channel else None) if channel else None,
        conversation=f"{SOURCE}:{native}",
        engagement=_engagement(counts) if counts else None,
        subject=channel,
        tags=[str(tag).lower() for tag in said.get("tags") or ()],
        links=addresses(text),
    )


def video_id(row: Mapping[str, Any]) -> str | None:
    """Return which video this is about; None where it is a channel or a list."""
    native = row.get("id")
    if row.get("kind") == "youtube#searchResult":
        native = native.get("videoId") if isinstance(native, dict) else None
    elif row.get("kind") == "youtube#playlistItem":
        native = mapping(mapping(row.get("snippet")).get("resourceId")).get("videoId")
    return str(native) if native else None


def is_video_id(native: str) -> bool:
    """Whether an id is a video's: those of comments are longer."""
    return len(native) == 11


def _engagement(counts: Mapping[str, Any]) -> Engagement:
    likes, replies, views = (whole(counts.get(name)) for name in ("likeCount", "commentCount", "viewCount"))
    return Engagement(likes=likes, replies=replies, views=views)


def exported(row: Row, now: datetime) -> Mention | None:
    """Return a comment as programs that save comments write it: flat, with the video beside it; None for other rows."""
    native, text = row.get("cid") or row.get("id"), row.get("comment") or row.get("text") or row.get("textDisplay")
    is_comment = "cid" in row or {"id", "text", "author"} <= row.keys() & {
        "id",
        "text",
        "author",
        "video_id",
        "videoId",
    }
    if not is_comment or not (row.keys() & {"video_id", "videoId", "time", "publishedTimeText", "published_at"}):
        return None
    if not isinstance(native, str) or not isinstance(text, str):
        return None
    written = row.get("published_at") or row.get("time_parsed") or row.get("publishedTimeText") or row.get("time")
    author = row.get("author")
    return comment(
        native,
        {
            "textOriginal": text,
            "videoId": row.get("video_id") or row.get("videoId"),
            "parentId": row.get("replyToCid") or row.get("parent_id"),
            "authorDisplayName": author if isinstance(author, str) else None,
            "authorChannelId": row.get("channel") if isinstance(row.get("channel"), str) else None,
            "publishedAt": when(written, now),
            "updatedAt": timestamp(row.get("updated_at")),
            "likeCount": row.get("like_count", row.get("voteCount", row.get("votes"))),
            "totalReplyCount": row.get("reply_count", row.get("replyCount")),
        },
        now,
    )


def when(value: Any, now: datetime) -> datetime | None:
    """Return an instant that is written as one, or as `2 months ago`."""
    ago = _AGO.search(str(value))
    if ago is None:
        return timestamp(value)
    count = int(ago[1]) if ago[1].isdecimal() else 1
    try:
        return now - timedelta(seconds=count * _SECONDS[ago[2]])
    except OverflowError:
        return None


def published(row: Row) -> str:
    """Return when it was published, as YouTube writes it; such texts are compared as they are."""
    return _moment(row, "publishedAt")


def changed(row: Row) -> str:
    """Return when it was written or last changed."""
    return max(_moment(row, "publishedAt"), _moment(row, "updatedAt"))


def _moment(row: Row, name: str) -> str:
    at = timestamp(mapping(row.get("snippet")).get(name))
    return written(at) if at else ""


def with_place(row: Row, here: Row) -> Row:
    """Return a comment that says where it stands: in some answers only its thread does."""
    return {**row, "snippet": {**here, **mapping(row.get("snippet"))}}
