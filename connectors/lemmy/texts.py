"""Lemmy's posts and comments as mentions: as its API shows them, and as servers tell each other (ActivityPub).

Pure. A text is known by its `ap_id`, the same on all servers. Texts of the API are Markdown and stay as they were written.
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

SOURCE: Final = "lemmy"
NOTES: Final = ("Note", "Page", "Article", "Question")


def rows_of(values: Iterable[Any]) -> Iterator[Row]:
    """Yield the objects in answers and activities; comments with the address of what they answer, where that is there.

    A deletion names the text only; one that is undone is none.
    """
    rows = list(_walk(values))
    addresses = {
        str(row["comment"].get("id")): row["comment"].get("ap_id")
        for row in rows
        if isinstance(row.get("comment"), dict) and "creator" in row
    }
    for row in rows:
        comment = row.get("comment")
        path = str(comment.get("path") or "").split(".") if isinstance(comment, dict) else []
        above = addresses.get(path[-2]) if len(path) > 2 else None
        yield {**row, "earshot_parent": above} if above else row


def _walk(values: Iterable[Any]) -> Iterator[Row]:
    told = set()  # objects of an activity that has said what is to be known of them
    for row in reading.walk(iter(values)):
        target = row.get("object")
        if row.get("type") in ("Undo", "Delete"):
            told.add(id(target))
        if id(row) in told:
            continue
        if row.get("type") == "Delete":
            native = target.get("id") if isinstance(target, dict) else target
            # A moderator gives a reason, or acts for a text of another server than his own.
            state = State.REMOVED if "summary" in row else State.DELETED
            yield {"earshot_gone": native, "earshot_state": state, "published": row.get("published")}
        elif row.get("type") == "Tombstone":
            yield {"earshot_gone": row.get("id"), "earshot_state": State.DELETED, "published": row.get("deleted")}
        else:
            yield row


def read(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object is; None when it is another kind of object."""
    if "earshot_gone" in row:
        return _of_deletion(row, now)
    if row.get("type") in NOTES and {"id", "attributedTo"} <= row.keys():
        return _of_activity(row, now)
    for kind in ("comment", "post"):
        if isinstance(row.get(kind), dict) and "creator" in row and "ap_id" in row[kind]:
            return _of_view(row, kind, now)
    return None


def time_of(row: Row, kind: str) -> float | None:
    """Return when a post or comment of the API was written, in epoch seconds."""
    about = row.get(kind)
    at = reading.timestamp(_either(about, "published")) if isinstance(about, dict) else None
    return None if at is None else at.timestamp()


def is_pinned(row: Row, kind: str) -> bool:
    """Whether a post stands above newer ones."""
    about = row.get(kind)
    names = ("featured_community", "featured_local")
    return isinstance(about, dict) and any(about.get(name) is True for name in names)


def _of_view(row: Row, kind: str, now: datetime) -> Mention | None:
    about, post = row[kind], row.get("post") or {}
    who = row.get(f"{kind}_creator") or row["creator"]  # of a report, `creator` is who reports
    gone = State.DELETED if about.get("deleted") else State.REMOVED if about.get("removed") else None
    text = (about.get("content") if kind == "comment" else about.get("body")) or ""
    title = about.get("name") if kind == "post" else None
    if not gone and not text.strip() and not title:
        return None
    edited = reading.timestamp(_either(about, "updated"))
    top = f"{SOURCE}:{post['ap_id']}" if post.get("ap_id") else None
    counts = row.get("counts") or about
    parent = f"{SOURCE}:{row['earshot_parent']}" if row.get("earshot_parent") else None
    is_first = len(str(about.get("path") or "").split(".")) == 2
    link = about.get("url") if kind == "post" else None
    return mention(
        SOURCE,
        about["ap_id"],
        created_at=reading.timestamp(_either(about, "published")),
        now=now,
        text=None if gone else text.strip(),
        title=None if gone else title,
        revision=_revision(edited) + bool(gone),
        state=gone or (State.EDITED if edited else None),
        kind=Kind.COMMENT if kind == "comment" else Kind.POST,
        url=about["ap_id"],
        author=_author(who),
        conversation=top,
        in_reply_to=(parent or (top if is_first else None)) if kind == "comment" else None,
        engagement=None if gone else _engagement(counts),
        subject=_at_host((row.get("community") or {}).get("name"), _address(row.get("community") or {})),
        links=() if gone else [*([link] if link else []), *reading.addresses(text)],
    )


def _of_activity(row: Row, now: datetime) -> Mention | None:
    rich, title = reading.from_html(row.get("content")), row.get("name") or row.get("summary")
    if not rich.text and not title:
        return None
    parent, updated = row.get("inReplyTo"), reading.timestamp(row.get("updated"))
    published = reading.timestamp(row.get("published"))
    if updated and published and (updated - published).total_seconds() < 1:
        updated = None  # PeerTube says both of what was never edited
    who = _first(row["attributedTo"])
    links = [one.get("href") or one.get("url") for one in row.get("attachment") or () if isinstance(one, dict)]
    language, tags = row.get("language"), row.get("tag")
    hashes = [str(one.get("name")) for one in tags or () if isinstance(one, dict) and one.get("type") == "Hashtag"]
    reply_to = f"{SOURCE}:{parent}" if isinstance(parent, str) and parent else None
    url = row.get("url")
    return mention(
        SOURCE,
        row["id"],
        created_at=published,
        now=now,
        text=rich.text,
        title=str(title) if title else None,
        revision=_revision(updated),
        state=State.EDITED if updated else None,
        kind=Kind.COMMENT if reply_to else Kind.POST,
        language=str(language["identifier"]).lower()
        if isinstance(language, dict) and "identifier" in language
        else None,
        url=url if isinstance(url, str) else str(row["id"]),
        author=Author(id=who, handle=_at_host(who.rstrip("/").rpartition("/")[2].lstrip("@"), who), url=who),
        conversation=reply_to if reply_to and "/post/" in reply_to else None,
        in_reply_to=reply_to,
        subject=_community(row),
        tags=[tag.lstrip("#").lower() for tag in hashes],
        links=[*(link for link in links if isinstance(link, str)), *rich.links],
    )


def _of_deletion(row: Row, now: datetime) -> Mention | None:
    if not isinstance(row["earshot_gone"], str) or not row["earshot_gone"] or "/u/" in row["earshot_gone"]:
        return None  # an account, perhaps: it is no text
    at = reading.timestamp(row.get("published")) or now
    native = row["earshot_gone"]
    return mention(
        SOURCE, native, created_at=at, now=now, state=row["earshot_state"], revision=_revision(at), url=native
    )


def _revision(at: datetime | None) -> int:
    return int(at.timestamp() * 1000) if at else 0


def _either(row: Row, name: str) -> Any:
    """Return a time by its name in version 0.19 or, with `_at`, in 1.0."""
    return row.get(name) or row.get(f"{name}_at")


def _address(row: Row) -> str:
    return str(row.get("actor_id") or row.get("ap_id") or "")


def _at_host(name: Any, address: str) -> str | None:
    host = urlsplit(address).netloc
    return f"{name}@{host}" if name and host else str(name) if name else None


def _author(who: Row) -> Author:
    bot = who.get("bot_account")
    return Author(
        id=_address(who) or str(who["id"]),
        handle=_at_host(who.get("name"), _address(who)),
        name=who.get("display_name") or None,
        url=_address(who) or None,
        created_at=reading.timestamp(_either(who, "published")),
        bot=bot if isinstance(bot, bool) else None,
    )


def _engagement(counts: Row) -> Engagement:
    replies = counts.get("comments", counts.get("child_count"))
    return Engagement(likes=reading.whole(counts.get("upvotes")), replies=reading.whole(replies))


def _first(value: Any) -> str:
    """Return the address of an author, which is a text, an object, or a list of these. Raises ValueError at none."""
    for one in value if isinstance(value, list) else [value]:
        address = one.get("id") if isinstance(one, dict) else one
        if isinstance(address, str) and address:
            return address
    raise ValueError("no author")


def _community(row: Row) -> str | None:
    audience = row.get("audience")
    to = [one for one in (audience, *(row["to"] if isinstance(row.get("to"), list) else ())) if isinstance(one, str)]
    address = next((one for one in to if "/c/" in one), None)
    return _at_host(address.rpartition("/")[2], address) if address else None
