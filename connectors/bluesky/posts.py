"""What Bluesky says, as mentions: frames of Jetstream, and posts as the API shows them. Pure functions.

Lexicons: https://github.com/bluesky-social/atproto/tree/main/lexicons/app/bsky
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from connectors.base import mention
from connectors.reading import timestamp, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

SOURCE: Final = "bluesky"
POST: Final = "app.bsky.feed.post"
SITE: Final = "https://bsky.app"
OPERATIONS: Final = ("create", "update", "delete")
SHORT: Final = {"c": "create", "u": "update", "d": "delete"}  # Jetstream before October 2024

# What an account's status means for its posts. `throttled` and `desynchronized` say nothing about them.
ACCOUNT_STATES: Final = {
    "deleted": State.DELETED,
    "takendown": State.REMOVED,
    "suspended": State.UNAVAILABLE,
    "deactivated": State.UNAVAILABLE,
}

_TID: Final = {letter: number for number, letter in enumerate("234567abcdefghijklmnopqrstuvwxyz")}


def uri_of(did: str, rkey: str) -> str:
    """Return the address of a post within the network: its native id."""
    return f"at://{did}/{POST}/{rkey}"


def place_of(uri: object) -> tuple[str, str] | None:
    """Return account and record key of a post's address; None when it is another kind of address."""
    parts = str(uri).split("/")
    if len(parts) == 5 and parts[0] == "at:" and parts[3] == POST and parts[2] and parts[4]:
        return parts[2], parts[4]
    return None


def address_of(did: str, rkey: str) -> str:
    """Return where a person can read a post."""
    return f"{SITE}/profile/{did}/post/{rkey}"


def milliseconds(rev: object) -> int | None:
    """Return the time in a commit's revision, in epoch milliseconds; None where it is none.

    A revision is a TID (https://atproto.com/specs/tid): 53 bits of microseconds and 10 of a clock id, in 13 letters.
    It is the same on every Jetstream instance; `time_us` is not.
    """
    text = str(rev)
    if len(text) != 13 or not all(letter in _TID for letter in text):
        return None
    number = 0
    for letter in text:
        number = number * 32 + _TID[letter]
    return (number >> 10) // 1000


def from_commit(row: Mapping[str, Any], now: datetime, root: str | None = None) -> Mention | None:
    """Return what a commit of Jetstream says about a post; None when it is about something else.

    `root` is the native id of the thread of a post that was deleted: the commit no longer says it.
    """
    commit = row.get("commit", row)
    if not isinstance(commit, Mapping) or commit.get("collection") != POST:
        return None
    operation, did, rkey = commit.get("operation") or SHORT.get(str(commit.get("type"))), row["did"], commit["rkey"]
    if operation not in OPERATIONS:
        raise ValueError("an operation that is not known")
    heard_at = timestamp(row.get("time_us") or row.get("time")) or now
    revision = milliseconds(commit.get("rev")) or int(heard_at.timestamp() * 1000)
    if operation == "delete":
        return withdrawn(str(did), str(rkey), root, State.DELETED, revision, heard_at, now)
    return _mention(
        str(did),
        str(rkey),
        commit["record"],
        now,
        seen_at=heard_at,
        revision=revision if operation == "update" else 0,
        state=State.EDITED if operation == "update" else State.LIVE,
    )


def withdrawn(
    did: str, rkey: str, root: str | None, state: State, revision: int, at: datetime, now: datetime
) -> Mention:
    """Return the mention that takes a post back. `root` is the native id of its thread, None when it began one."""
    native = uri_of(did, rkey)
    return mention(
        SOURCE,
        native,
        created_at=at,
        now=now,
        state=state,
        revision=revision,
        url=address_of(did, rkey),
        author=Author(id=did),
        conversation=f"{SOURCE}:{root or native}",
    )


def from_view(row: Mapping[str, Any], now: datetime) -> Mention | None:
    """Return a post as the API shows it (in feeds, threads, searches, quotes, lists of records); None where it is none.

    A view carries its record in `record`; a quoted post, and a record of a repository, in `value`.
    """
    place = place_of(row.get("uri"))
    record = row.get("record", row.get("value"))
    if place is None or not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
        return None
    who = row.get("author")
    return _mention(
        *place,
        record,
        now,
        seen_at=timestamp(row.get("indexedAt")),
        who=who if isinstance(who, Mapping) else {},
        engagement=_engagement(row),
    )


def _mention(
    did: str,
    rkey: str,
    record: Mapping[str, Any],
    now: datetime,
    *,
    seen_at: datetime | None,
    who: Mapping[str, Any] | None = None,
    **more: Any,
) -> Mention:
    who = who or {}
    did = str(who.get("did") or did)
    native = uri_of(did, rkey)
    reply = record.get("reply") or {}
    root, parent = _uri(reply.get("root")), _uri(reply.get("parent"))
    media = list(_media(record.get("embed")))
    alts = [alt for part in media for alt in _alts(part)]
    cards = [part["external"] for part in media if isinstance(part.get("external"), Mapping)]
    card: Mapping[str, Any] = cards[0] if cards else {}
    spoken = [text for text in record.get("langs") or () if isinstance(text, str)]
    handle = who.get("handle")
    return mention(
        SOURCE,
        native,
        created_at=_written_at(timestamp(record.get("createdAt")), seen_at),
        now=now,
        text="\n\n".join(part for part in (str(record.get("text") or ""), *alts) if part.strip()),
        title=str(card["title"]) if card.get("title") else None,
        kind=Kind.COMMENT if parent else Kind.POST,
        language=spoken[0].split("-")[0].lower() if len(spoken) == 1 else None,
        url=address_of(did, rkey),
        author=Author(
            id=did,
            handle=str(handle) if handle and handle != "handle.invalid" else None,
            name=str(who["displayName"]) if who.get("displayName") else None,
            url=f"{SITE}/profile/{did}",
            created_at=timestamp(who.get("createdAt")),
        ),
        conversation=f"{SOURCE}:{root or native}",
        in_reply_to=f"{SOURCE}:{parent}" if parent else None,
        tags=tuple(_tags(record)),
        links=(*_links(record), *((str(card["uri"]),) if card.get("uri") else ()), *_quotes(media)),
        **more,
    )


def _written_at(said: datetime | None, seen_at: datetime | None) -> datetime | None:
    """Return when a post was written: what its author's program says, but not later than it was seen.

    The network sorts by the same rule. Programs may say anything, years in the future among it.
    """
    if said is None or said.year < 1971:
        return seen_at
    return said if seen_at is None else min(said, seen_at)


def _facets(record: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield what parts of the text are, with their place in bytes of UTF-8."""
    for facet in record.get("facets") or ():
        if isinstance(facet, Mapping):
            index = facet.get("index")
            for feature in facet.get("features") or ():
                if isinstance(feature, Mapping):
                    yield feature, index if isinstance(index, Mapping) else {}


def _links(record: Mapping[str, Any]) -> Iterator[str]:
    for feature, _ in _facets(record):
        if isinstance(feature.get("uri"), str):
            yield feature["uri"]


def _tags(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tags, lower-case: those of facets, and those that are not in the text. Each once is the reader's."""
    data = str(record.get("text") or "").encode("utf-8", "replace")
    for feature, index in _facets(record):
        if str(feature.get("$type", "")).endswith("#tag"):
            said = feature.get("tag")
            if not isinstance(said, str):  # then what the text has there
                start, end = whole(index.get("byteStart")) or 0, whole(index.get("byteEnd")) or 0
                said = data[start:end].decode("utf-8", "ignore")
            yield said.strip().lstrip("#＃").lower()
    for tag in record.get("tags") or ():
        if isinstance(tag, str):
            yield tag.lstrip("#＃").lower()


def _media(embed: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what is embedded, one by one: a record with media is both."""
    if isinstance(embed, Mapping):
        yield embed
        media = embed.get("media")
        if isinstance(media, Mapping):
            yield media


def _alts(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words that describe pictures and films for those who do not see them: the author's own."""
    for item in (part, *(part.get("images") or ()), *(part.get("items") or ())):
        if isinstance(item, Mapping) and isinstance(item.get("alt"), str) and item["alt"].strip():
            yield item["alt"].strip()


def _quotes(media: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield where the posts that are quoted can be read."""
    for part in media:
        found: Any = part.get("record")
        if isinstance(found, Mapping) and isinstance(found.get("record"), Mapping):
            found = found["record"]
        place = place_of(found.get("uri")) if isinstance(found, Mapping) else None
        if place is not None:
            yield address_of(*place)


def _uri(reference: Any) -> str | None:
    found = reference.get("uri") if isinstance(reference, Mapping) else None
    return found if isinstance(found, str) and found else None


def _engagement(row: Mapping[str, Any]) -> Engagement | None:
    keys = {"likes": "likeCount", "replies": "replyCount", "shares": "repostCount", "quotes": "quoteCount"}
    counts = {name: whole(row.get(key)) for name, key in keys.items()}
    return None if all(count is None for count in counts.values()) else Engagement(**counts)


def instant(microseconds: int) -> datetime:
    """Return Jetstream's time as an instant. Raises ValueError or OverflowError where it is none."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
