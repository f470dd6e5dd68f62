"""What X says, as mentions: posts of version 2, statuses of version 1.1, and what tells of withdrawals. Pure functions.

Version 2: https://docs.x.com/x-api/fundamentals/data-dictionary. Version 1.1 is what webhooks and old files bring.
"""

from __future__ import annotations

import html
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from connectors.base import mention
from connectors.reading import timestamp, walk, whole
from connectors.x import ids
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

SOURCE: Final = "x"
SITE: Final = "https://x.com"

Row = dict[str, Any]

OLD_LANGUAGES: Final = {"in": "id", "iw": "he", "ji": "yi"}  # codes X uses that ISO 639 has changed
NO_LANGUAGE: Final = ("und", "zxx", "art")  # and those with q: pictures only, tags only, too short
PICTURES: Final = ("pic.twitter.com/", "pic.x.com/")


def rows_of(values: Iterable[Any], only: Container[int] | None = None) -> Iterator[Row]:
    """Yield every object in the answers. Posts know their author and what they repeat, where the answer has these.

    Version 2 sends users and repeated posts beside the posts, under `includes`. `only` are the `id()` of the objects to
    yield; None means all.
    """
    for value in values:
        found = list(walk(iter([value])))
        users = {str(row["id"]): row for row in found if "username" in row and "id" in row and "text" not in row}
        posts = {str(row["id"]): row for row in found if "text" in row and "id" in row}
        yield from (_joined(row, users, posts) for row in found if only is None or id(row) in only)


def _joined(row: Row, users: Mapping[str, Row], posts: Mapping[str, Row]) -> Row:
    if not is_post(row):
        return row
    more: Row = {}
    if str(row.get("author_id")) in users:
        more["earshot_author"] = users[str(row["author_id"])]
    original = posts.get(reference(row, "retweeted") or "")
    if original is not None:
        more["earshot_original"] = original
    return {**row, **more} if more else row


def is_post(row: Mapping[str, Any]) -> bool:
    """Whether this is a post of version 2: a direct message has a text and an id as well."""
    is_text = ids.is_id(row.get("id")) and isinstance(row.get("text"), str)
    is_other = row.keys() & {"user", "event_type", "dm_conversation_id", "id_str"}
    return is_text and not is_other and ("username" not in row or "author_id" in row)


def is_status(row: Mapping[str, Any]) -> bool:
    """Whether this is a status of version 1.1."""
    return ids.is_id(row.get("id_str") or row.get("id")) and isinstance(row.get("user"), dict) and bool(_said(row))


def order(row: Mapping[str, Any]) -> int:
    """Return what posts are sorted by: ids grow with time."""
    return int(row["id"]) if ids.is_id(row.get("id")) else 0


def reference(row: Mapping[str, Any], kind: str) -> str | None:
    """Return the id of the post that this one answers (`replied_to`), quotes (`quoted`) or repeats (`retweeted`)."""
    found = [one["id"] for one in _items(row.get("referenced_tweets")) if one.get("type") == kind and one.get("id")]
    return str(found[0]) if found else None


def from_post(row: Row, now: datetime) -> Mention:
    """Return the mention that a post of version 2 is.

    An edit has an id of its own; it is a revision of the first one of its chain, with the time in its id.
    """
    own = str(row["id"])
    chain = [str(one) for one in row.get("edit_history_tweet_ids") or () if ids.is_id(one)]
    first = min([*chain, own], key=int)
    parent, is_repeat = reference(row, "replied_to"), reference(row, "retweeted") is not None
    who = row.get("earshot_author") or {name: row[name] for name in ("username",) if row.get(name)}
    long = row.get("note_tweet") if isinstance(row.get("note_tweet"), dict) else {}
    text, entities = str((long or {}).get("text") or row["text"]), [row.get("entities"), (long or {}).get("entities")]
    original = row.get("earshot_original")
    if isinstance(original, dict) and text.startswith("RT @"):  # cut off in the repeat, whole in what it repeats
        note = original.get("note_tweet") if isinstance(original.get("note_tweet"), dict) else {}
        text = f"{text.partition(':')[0]}: {(note or {}).get('text') or original['text']}"
        entities.append(original.get("entities"))
    written_at = moment(row.get("created_at"))
    conversation = row.get("conversation_id")
    return mention(
        SOURCE,
        first,
        created_at=(ids.time_of(first) or written_at) if first != own else (written_at or ids.time_of(own)),
        now=now,
        text=html.unescape(text),
        revision=(ids.milliseconds(own) or int(own)) if first != own else 0,
        state=State.EDITED if first != own else None,
        kind=Kind.COMMENT if parent else Kind.POST,
        language=language(row.get("lang")),
        url=address(who.get("username"), own),
        author=_author(who, row.get("author_id")),
        conversation=f"{SOURCE}:{conversation}" if conversation else None,
        in_reply_to=f"{SOURCE}:{parent}" if parent else None,
        engagement=None if is_repeat else _engagement(row.get("public_metrics")),
        tags=[str(tag["tag"]).lower() for part in entities for tag in _entities(part, "hashtags") if tag.get("tag")],
        links=[link for part in entities for link in _links(_entities(part, "urls"))],
    )


def from_status(row: Row, now: datetime) -> Mention:
    """Return the mention that a status of version 1.1 is, as webhooks bring it."""
    native, who, long = str(row.get("id_str") or row["id"]), row["user"], _long(row)
    parent = row.get("in_reply_to_status_id_str") or row.get("in_reply_to_status_id")
    original, text = row.get("retweeted_status"), _said(row)
    entities = [long.get("entities") or row.get("entities")]
    if isinstance(original, dict) and text.startswith("RT @"):
        text = f"{text.partition(':')[0]}: {_said(original)}"
        entities.append(_long(original).get("entities") or original.get("entities"))
    counts = {"likes": "favorite_count", "replies": "reply_count", "shares": "retweet_count", "quotes": "quote_count"}
    return mention(
        SOURCE,
        native,
        created_at=moment(row.get("created_at")) or ids.time_of(native),
        now=now,
        text=html.unescape(text),
        kind=Kind.COMMENT if parent else Kind.POST,
        language=language(row.get("lang")),
        url=address(who.get("screen_name"), native),
        author=Author(
            id=str(who.get("id_str") or who.get("id") or "") or None,
            handle=who.get("screen_name") or None,
            name=who.get("name") or None,
            url=f"{SITE}/{who['screen_name']}" if who.get("screen_name") else None,
            followers=whole(who.get("followers_count")),
            created_at=moment(who.get("created_at")),
        ),
        in_reply_to=f"{SOURCE}:{parent}" if parent else None,
        engagement=None if original else Engagement(**{name: whole(row.get(key)) for name, key in counts.items()}),
        tags=[str(tag["text"]).lower() for part in entities for tag in _entities(part, "hashtags") if tag.get("text")],
        links=[link for part in entities for link in _links(_entities(part, "urls"))],
    )


def _long(row: Mapping[str, Any]) -> Row:
    found = row.get("extended_tweet")
    return found if isinstance(found, dict) else {}


def _said(row: Mapping[str, Any]) -> str:
    return str(_long(row).get("full_text") or row.get("full_text") or row.get("text") or "")


def moment(value: Any) -> datetime | None:
    """Return the instant that version 1.1 writes as `Sat Jan 23 20:19:45 +0000 2016`, or as others do."""
    try:
        return datetime.strptime(str(value), "%a %b %d %H:%M:%S %z %Y")
    except ValueError:
        return timestamp(value)


def address(handle: Any, native: str) -> str:
    """Return where a person can read a post; X leads on to its author's page from an address without a name."""
    return f"{SITE}/{handle or 'i'}/status/{native}"


def language(code: Any) -> str | None:
    """Return the language as BCP 47 has it; None where X found none."""
    found = str(code or "").split("-")[0].lower()
    if not found or found in NO_LANGUAGE or (len(found) == 3 and found.startswith("q")):
        return None
    return OLD_LANGUAGES.get(found, found)


def _author(who: Mapping[str, Any], native: Any) -> Author | None:
    if not who and not native:
        return None
    handle = who.get("username") or None
    return Author(
        id=str(who.get("id") or native),
        handle=handle,
        name=who.get("name") or None,
        url=f"{SITE}/{handle}" if handle else None,
        followers=whole((who.get("public_metrics") or {}).get("followers_count")),
        created_at=timestamp(who.get("created_at")),
    )


def _engagement(counts: Any) -> Engagement | None:
    if not isinstance(counts, dict):
        return None
    names = ("like_count", "reply_count", "retweet_count", "quote_count", "impression_count")
    likes, replies, shares, quotes, views = (whole(counts.get(name)) for name in names)
    return Engagement(likes=likes, replies=replies, shares=shares, quotes=quotes, views=views)


def _items(value: Any) -> list[Row]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _entities(entities: Any, kind: str) -> list[Row]:
    return _items(entities.get(kind)) if isinstance(entities, dict) else []


def _links(urls: Iterable[Row]) -> Iterator[str]:
    """Yield where links lead; the author's own pictures are none."""
    for one in urls:
        if not str(one.get("display_url") or "").startswith(PICTURES):
            found = one.get("unwound_url") or one.get("expanded_url") or one.get("url")
            if isinstance(found, str):
                yield found
            elif isinstance(one.get("unwound"), dict):
                yield str(one["unwound"].get("url") or "")
