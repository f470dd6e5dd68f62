"""What Instagram says, as mentions: captions, comments, and the changes its webhooks tell of. Pure.

Fields: https://developers.facebook.com/docs/instagram-platform/reference/instagram-media, …/instagram-comment; of
webhooks: https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from connectors import reading
from connectors.base import mention
from connectors.graph import Row, asked_for, hash_tags, heard_at, time_of
from connectors.reading import timestamp, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention

SOURCE: Final = "instagram"
SITE: Final = "https://www.instagram.com"
OWN_FIELDS: Final = "id,permalink,timestamp,comments_count"
MEDIA_FIELDS: Final = "id,caption,permalink,timestamp,username,media_type,comments_count,like_count"
TAGGED_FIELDS: Final = "id,caption,permalink,timestamp,media_type,comments_count,like_count"  # no author is given there
_COMMENT: Final = "id,text,timestamp,username,from,like_count,parent_id"
COMMENT_FIELDS: Final = f"{_COMMENT},replies.limit(100){{{_COMMENT}}}"

_COMMENTS: Final = ("comments", "live_comments")


@dataclass(frozen=True, slots=True)
class Above:
    """What an object stands in: an account, a medium, a comment."""

    account: Row | None = None
    media: Row | None = None
    comment: str | None = None


def rows(value: Any, above: Above | None = None, depth: int = 0) -> Iterator[Row]:
    """Yield the objects of an answer with what they stand in: `earshot_account`, `earshot_media`, `earshot_comment`."""
    if depth > reading.MAX_DEPTH:
        return
    above = above or Above()
    if isinstance(value, list):
        for one in value:
            yield from rows(one, above, depth + 1)
    if not isinstance(value, dict):
        return
    named = {"earshot_account": above.account, "earshot_media": above.media, "earshot_comment": above.comment}
    yield {**value, **named}
    inside = above
    listed = asked_for(value)
    if listed is not None:
        made = {"comments": Above(media={"id": listed[0]}), "media": Above(account={"id": listed[0]})}
        inside = made.get(listed[1], replace(above, comment=listed[0]) if listed[1] == "replies" else above)
    elif isinstance(value.get("media"), dict) and "data" in value["media"]:
        inside = Above(account=value)
    elif "text" in value and value.get("id"):
        inside = replace(above, comment=str(value["id"]))
    elif value.get("id") and any(key in value for key in ("caption", "permalink", "media_type", "comments")):
        inside = Above(media=value)
    for inner in value.values():
        if isinstance(inner, dict | list):
            yield from rows(inner, inside, depth + 1)


def last_said(comment: Row) -> int | None:
    """Return the time of the newest word under a comment, its own or an answer's, in epoch seconds."""
    replies = comment.get("replies")
    answers = replies.get("data") if isinstance(replies, dict) else None
    every = [comment, *(one for one in (answers if isinstance(answers, list) else ()) if isinstance(one, dict))]
    return max((time for one in every if (time := time_of(one)) is not None), default=None)


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object or a change is; None where it is another kind, or has no words."""
    if row.get("earshot_field") is not None and row["earshot_field"] not in _COMMENTS:
        return None
    if not row.get("id"):
        return None
    if row.get("text") and isinstance(row["text"], str):
        return _comment(row, now) if _is_comment(row) else None
    if row.get("caption") and isinstance(row["caption"], str):
        return _media(row, now)
    return None


def _is_comment(row: Row) -> bool:
    """Whether an object with a text is a comment: those say when, by whom or under what; messages do not."""
    return any(row.get(key) for key in ("timestamp", "username", "from", "user", "media", "earshot_media", "parent_id"))


def _media(row: Row, now: datetime) -> Mention:
    return mention(
        SOURCE,
        row["id"],
        created_at=timestamp(row.get("timestamp")),
        now=now,
        text=row["caption"],
        kind=Kind.POST,
        url=row.get("permalink") or None,
        author=_author(row, row.get("earshot_account")),
        engagement=_engagement(row),
        tags=hash_tags(row["caption"]),
        links=reading.addresses(row["caption"]),
    )


def _comment(row: Row, now: datetime) -> Mention:
    given = row.get("media")
    media = given if isinstance(given, dict) and given.get("id") else row.get("earshot_media") or {}
    parent = row.get("parent_id") or row.get("earshot_comment")
    thread, address = media.get("id"), media.get("permalink")
    return mention(
        SOURCE,
        row["id"],
        created_at=timestamp(row.get("timestamp")) or heard_at(row),
        now=now,
        text=row["text"],
        kind=Kind.COMMENT,
        url=f"{str(address).rstrip('/')}/c/{row['id']}/" if address else None,
        author=_author(row),
        conversation=f"{SOURCE}:{thread}" if thread else f"{SOURCE}:{parent}" if parent else None,
        in_reply_to=f"{SOURCE}:{parent or thread}" if parent or thread else None,
        engagement=_engagement(row),
        tags=hash_tags(row["text"]),
        links=reading.addresses(row["text"]),
    )


def _author(row: Row, account: Row | None = None) -> Author | None:
    """Return who wrote it; of a medium listed under an account, that account."""
    who: Row = {}
    for part in (account, row.get("owner"), row.get("user"), row.get("from")):
        if isinstance(part, dict):
            who |= {key: value for key, value in part.items() if value}
    handle = row.get("username") or who.get("username")
    if not handle and not who.get("id"):
        return None
    return Author(
        id=str(who["id"]) if who.get("id") else None,
        handle=handle or None,
        name=who.get("name") or None,
        url=f"{SITE}/{handle}/" if handle else None,
        followers=whole(who.get("followers_count")),
    )


def _engagement(row: Row) -> Engagement | None:
    likes, replies, views = (whole(row.get(name)) for name in ("like_count", "comments_count", "view_count"))
    counted = (likes, replies, views)
    return None if counted == (None, None, None) else Engagement(likes=likes, replies=replies, views=views)
