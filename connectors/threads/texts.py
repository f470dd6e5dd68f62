"""What Threads says, as mentions: posts, replies, quotes, and the changes its webhooks tell of. Pure.

Fields: https://developers.facebook.com/docs/threads/reference/media-retrieval; of webhooks:
https://developers.facebook.com/docs/threads/webhooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from connectors import reading
from connectors.base import mention
from connectors.graph import Row, hash_tags, heard_at
from connectors.reading import timestamp
from pipeline.contract.events import Author, Kind, Mention, State

SOURCE: Final = "threads"
SITE: Final = "https://www.threads.net"
FIELDS: Final = (
    "id,text,username,timestamp,permalink,media_type,is_reply,is_quote_post,has_replies,topic_tag,link_attachment_url"
)
REPLY_FIELDS: Final = f"{FIELDS},root_post,replied_to,is_reply_owned_by_me,hide_status"
OWN_FIELDS: Final = "id,timestamp,has_replies"


def rows(value: Any) -> Iterator[Row]:
    """Yield the objects of an answer."""
    return reading.walk(iter((value,)))


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object or a change is; None where it is another kind, or has no words."""
    if row.get("earshot_field") == "delete":
        return _deleted(row, now)
    if not row.get("id") or not isinstance(row.get("text"), str) or not row["text"]:
        return None
    if not any(row.get(key) for key in ("timestamp", "username", "permalink", "earshot_time")):
        return None
    parent, root = _id(row.get("replied_to")), _id(row.get("root_post"))
    is_reply = bool(parent or root or row.get("is_reply") is True)
    topic = row.get("topic_tag")
    shared = (row.get("link_attachment_url"), _part(row, "quoted_post").get("permalink"))
    return mention(
        SOURCE,
        row["id"],
        created_at=timestamp(row.get("timestamp")) or heard_at(row),
        now=now,
        text=row["text"],
        kind=Kind.COMMENT if is_reply else Kind.POST,
        url=row.get("permalink") or None,
        author=_author(row),
        conversation=f"{SOURCE}:{root or parent}" if root or parent else None,
        in_reply_to=f"{SOURCE}:{parent or root}" if parent or root else None,
        tags=[*hash_tags(row["text"]), *([str(topic).lower()] if topic else [])],
        links=[*reading.addresses(row["text"]), *(str(link) for link in shared if link)],
    )


def _deleted(row: Row, now: datetime) -> Mention:
    at = timestamp(row.get("deleted_at")) or heard_at(row) or now
    return mention(
        SOURCE,
        row["id"],
        created_at=timestamp(row.get("timestamp")) or at,
        now=now,
        state=State.DELETED,
        revision=int(at.timestamp() * 1000),
        conversation=f"{SOURCE}:{_id(row.get('root_post'))}" if _id(row.get("root_post")) else None,
    )


def _part(row: Row, name: str) -> Row:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _id(part: Any) -> str | None:
    """Return the id of a post that is named, as an object or as it is."""
    found = part.get("id") if isinstance(part, dict) else part
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and found else None


def _author(row: Row) -> Author | None:
    handle, owner = row.get("username"), _part(row, "owner")
    native = owner.get("id") or owner.get("owner_id")
    if not handle and not native:
        return None
    return Author(
        id=str(native) if native else None,
        handle=str(handle) if handle else None,
        name=row.get("name") or None,
        url=f"{SITE}/@{handle}" if handle else None,
    )
