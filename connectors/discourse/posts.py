"""Discourse's posts as mentions, of lists, topics, searches and webhooks. Pure.

A post is known by its number, which only means something together with its forum: the native id is the post's lasting
address, `forum/p/number`, and the number alone where a recorded answer does not say of which forum it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from connectors import reading
from connectors.base import mention
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

Row = dict[str, Any]

SOURCE: Final = "discourse"
LIKE: Final = 2  # the kind of action that a like is
SPOKEN: Final = (None, 1)  # kinds of posts that somebody wrote for all: not a moderator's note, an event or a whisper


def native_id(server: str | None, number: Any) -> str:
    """Return the native id of a post of a forum, which is given by its address."""
    return f"{urlsplit(server).netloc}{urlsplit(server).path}/p/{number}" if server else str(number)


def number_of(native: str) -> int | None:
    """Return the number of the post that a native id names; None where it names none."""
    number = native.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdecimal() else None


def rows_of(values: Iterable[Any], server: str | None = None) -> Iterator[Row]:
    """Yield the posts in answers, each with the title of its topic and the post it answers where these are there, too."""
    for value in values:
        rows = list(reading.walk(iter([value])))
        topics = {str(row["id"]): row for row in rows if "id" in row and "title" in row and "cooked" not in row}
        spoken = {
            (str(row["topic_id"]), str(row["post_number"])): row
            for row in rows
            if {"topic_id", "post_number"} <= row.keys()
        }
        for row in rows:
            if "id" not in row or not {"cooked", "blurb"} & row.keys():
                continue
            topic = topics.get(str(row.get("topic_id")), {})
            parent = spoken.get((str(row.get("topic_id")), str(row.get("reply_to_post_number") or 1)))
            known = {"topic_title": topic.get("title"), "topic_slug": topic.get("slug")}
            yield {
                **{name: value for name, value in known.items() if value},
                **row,
                "earshot_server": server,
                "earshot_parent": parent["id"] if parent and parent is not row else None,
            }


def is_for_all(row: Row) -> bool:
    """Whether somebody wrote it for all to read."""
    return row.get("post_type") in SPOKEN


def read(row: Row, now: datetime) -> Mention | None:
    """Return the mention that a post is; None when it is another kind of object."""
    if not ({"cooked", "username"} <= row.keys() or {"blurb", "post_number"} <= row.keys()):
        return None
    server, topic, number = row.get("earshot_server"), row.get("topic_id"), row.get("post_number")
    rich = reading.from_html(row.get("cooked") or row.get("blurb"))
    gone = state_of(row)
    title = str(row["topic_title"]) if row.get("topic_title") else None
    thread = native_id(server, "").replace("/p/", f"/t/{topic}") or f"t/{topic}"
    version = reading.whole(row.get("version")) or 1
    is_first = number in (None, 1)
    if not rich.text and not (title and is_first) and not gone:
        return None
    return mention(
        SOURCE,
        native_id(server, row["id"]),
        created_at=reading.timestamp(row.get("created_at")),
        now=now,
        text=None if gone else rich.text,
        title=title if is_first and not gone else None,
        # A post's time also moves when it is rendered anew; its version moves with edits alone.
        revision=version if gone else version - 1,
        state=gone or (State.EDITED if version > 1 else None),
        kind=Kind.POST if is_first else Kind.COMMENT,
        language=str(row["locale"]).replace("_", "-").lower() if row.get("locale") else None,
        url=f"{server}/t/{row.get('topic_slug') or '-'}/{topic}/{number or 1}" if server and topic else None,
        author=_author(row, server),
        conversation=f"{SOURCE}:{thread}" if topic else None,
        in_reply_to=f"{SOURCE}:{native_id(server, row['earshot_parent'])}" if row.get("earshot_parent") else None,
        engagement=None if gone else _engagement(row),
        subject=title if title and not is_first and not gone else urlsplit(server or "").netloc or None,
        links=() if gone else rich.links,
    )


def state_of(row: Row) -> State | None:
    """Return what became of a post that is gone; None of one that is there."""
    if row.get("user_deleted"):
        return State.DELETED
    return State.REMOVED if row.get("deleted_at") or row.get("hidden") is True else None


def _author(row: Row, server: str | None) -> Author:
    native, handle = row.get("user_id"), row.get("username")
    return Author(
        id=None if native is None else str(native),
        handle=handle or None,
        name=row.get("name") or row.get("display_username") or None,
        url=f"{server}/u/{handle}" if server and handle else None,
        created_at=reading.timestamp(row.get("user_created_at")),
        bot=native < 0 if isinstance(native, int) else None,  # accounts of the forum itself
    )


def _engagement(row: Row) -> Engagement:
    likes = [one.get("count") for one in row.get("actions_summary") or () if one.get("id") == LIKE]
    counts = (row.get("like_count", likes[0] if likes else None), "reply_count", "quote_count", "reads")
    found = [reading.whole(row.get(name) if isinstance(name, str) else name) for name in counts]
    return Engagement(likes=found[0], replies=found[1], quotes=found[2], views=found[3])
