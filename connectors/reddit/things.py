"""Reddit's things as mentions: posts (t3) and comments (t1), of listings, threads, searches, inboxes and archives.

Pure. Texts are Markdown and stay as they were written. What was taken away says so in the place of its words: Reddit
tells it in no other way.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from connectors import reading
from connectors.base import mention
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

Row = dict[str, Any]

SOURCE: Final = "reddit"
SITE: Final = "https://www.reddit.com"
BY_AUTHOR: Final = ("[deleted]", "[deleted by user]")
BY_OTHERS: Final = ("[removed]", "[ removed by moderator ]", "[ removed by reddit ]")
CSV: Final = frozenset(("id", "created_utc"))


def rows_of(body: bytes) -> Iterator[Row]:
    """Yield the objects of an answer, or the lines of an archive as CSV, with a head. Raises InvalidMessageError."""
    head = body[:2_000].decode("utf-8", "replace").splitlines()[:1]
    names = [name.strip() for name in head[0].split(",")] if head else []
    if set(names) >= CSV:
        rows = csv.DictReader(io.StringIO(body.decode("utf-8", "replace"), newline=""), strict=False)
        try:
            yield from (dict(row) for row in rows)
        except csv.Error:  # a field beyond all measure: what came before it has been read
            return
        return
    yield from reading.walk(reading.documents(body))


def name_of(row: Row) -> str | None:
    """Return the full name of a post or comment; None of any other object."""
    name = str(row.get("name") or "")
    is_bare = not name and "created_utc" in row  # as archives have it
    if "body" in row and (name.startswith("t1_") or (is_bare and "link_id" in row)):
        return name or f"t1_{row['id']}"
    if "title" in row and (name.startswith("t3_") or (is_bare and "permalink" in row)):
        return name or f"t3_{row['id']}"
    return None


def time_of(row: Row) -> float | None:
    """Return when it was written, in epoch seconds."""
    at = reading.timestamp(row.get("created_utc"))
    return None if at is None else at.timestamp()


def read(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object is; None when it is another kind of object."""
    name = name_of(row)
    if name is None:
        return None
    is_comment = name.startswith("t1_")
    said = _plain(row, "body" if is_comment else "selftext")
    title = None if is_comment else _plain(row, "title")
    gone = state_of(row)
    if not gone and not said and not title:
        return None
    revision, is_edited = _edited(row.get("edited"))
    link = row.get("url_overridden_by_dest") or row.get("url")
    is_link = not is_comment and isinstance(link, str) and not _is_true(row.get("is_self")) and link.startswith("http")
    top = str(row.get("link_id") or "") if is_comment else name
    place, flair = row.get("subreddit"), row.get("link_flair_text")
    return mention(
        SOURCE,
        name,
        created_at=reading.timestamp(row.get("created_utc")),
        now=now,
        text=None if gone else said,
        title=None if gone else title,
        revision=revision + bool(gone),
        state=gone or (State.EDITED if is_edited else None),
        kind=Kind.COMMENT if is_comment else Kind.POST,
        url=_address(row, name),
        author=None if gone else _author(row),
        conversation=f"{SOURCE}:{top}" if top else None,
        in_reply_to=f"{SOURCE}:{row['parent_id']}" if is_comment and row.get("parent_id") else None,
        engagement=None if gone else _engagement(row, is_comment=is_comment),
        subject=f"r/{place}" if place else None,
        tags=[str(flair).lower()] if flair and not is_comment and not gone else [],
        links=() if gone else [*([html.unescape(str(link))] if is_link else []), *reading.addresses(said)],
    )


def state_of(row: Row) -> State | None:
    """Return what became of a thing that is gone; None of one that is there."""
    said = [str(row.get(name) or "").strip().lower() for name in ("body", "selftext", "title")]
    by = row.get("removed_by_category")
    if by == "deleted" or any(one in BY_AUTHOR for one in said):
        return State.DELETED
    if by or any(one in BY_OTHERS for one in said):
        return State.REMOVED
    # An account that is gone leaves its texts behind: to keep them would be to keep what its owner wanted gone.
    return State.DELETED if row.get("author") == "[deleted]" else None


def _plain(row: Row, name: str) -> str:
    """Return a text as it was written: without `raw_json` Reddit escapes it, which its HTML beside it tells."""
    text = str(row.get(name) or "").strip()
    shown = row.get(f"{'selftext' if name == 'title' else name}_html")
    is_raw = isinstance(shown, str) and shown.startswith("<")
    if is_raw or "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _edited(value: Any) -> tuple[int, bool]:
    """Return the revision, and whether it is an edit: very old ones do not say when."""
    if value in (None, False, "", "False", "false"):
        return 0, False
    at = reading.timestamp(value)
    return (int(at.timestamp() * 1000), True) if at else (1, True)


def _is_true(value: Any) -> bool:
    return value is True or value in ("True", "true")


def _address(row: Row, name: str) -> str | None:
    link = row.get("permalink") or row.get("context")
    if isinstance(link, str) and link.startswith("http"):
        return link
    if isinstance(link, str) and link.startswith("/"):
        return f"{SITE}{link.partition('?')[0]}"
    place, post = row.get("subreddit"), str(row.get("link_id") or name).removeprefix("t3_")
    if not place or post.startswith("t1_"):
        return None
    end = f"_/{name.removeprefix('t1_')}/" if name.startswith("t1_") else ""
    return f"{SITE}/r/{place}/comments/{post}/{end}"


def _author(row: Row) -> Author | None:
    handle = row.get("author")
    if not handle:
        return None
    return Author(id=str(row.get("author_fullname") or handle), handle=str(handle), url=f"{SITE}/user/{handle}")


def _engagement(row: Row, *, is_comment: bool) -> Engagement:
    replies = (None, None) if is_comment else (row.get("num_comments"), row.get("num_crossposts"))
    counts = (row.get("ups", row.get("score")), *replies, row.get("view_count"))
    likes, comments, shares, views = (reading.whole(count) for count in counts)
    return Engagement(likes=likes, replies=comments, shares=shares, views=views)
