"""What surrounds the texts in Mastodon's answers: ids, threads, boosts, stream frames, authors. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from connectors import reading
from pipeline.contract.events import Author, Engagement

Row = dict[str, Any]

ULID: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's digits; ten of them are the time, sixteen are chance
OLDEST: Final = datetime(2010, 1, 1, tzinfo=UTC)  # a number that means an earlier time holds none


def order(found: str) -> tuple[int, str]:
    """Return what ids are compared by: https://docs.joinmastodon.org/api/guidelines/#id."""
    return len(found), found


def time_of(found: str) -> int | None:
    """Return the epoch milliseconds in an id of Mastodon (snowflake) or GoToSocial (ULID); None in any other."""
    if found.isdecimal() and found.isascii() and len(found) < 30:
        time = int(found) >> 16
    elif len(found) == 26 and set(found) <= set(ULID):
        time = 0
        for digit in found[:10]:
            time = time * 32 + ULID.index(digit)
    else:
        return None
    return time if time >= OLDEST.timestamp() * 1000 else None


def id_at(time: int, like: str) -> str:
    """Return the smallest id of that time (epoch milliseconds), of the kind that `like` is."""
    if like.isdecimal():
        return str(max(0, time) << 16)
    digits = ""
    for _ in range(10):
        time, digit = divmod(time, 32)
        digits = ULID[digit] + digits
    return digits + "0" * 16


def earlier(found: str, seconds: float) -> str | None:
    """Return an id so many seconds before this one; the same where ids hold no time, None where there is none yet."""
    time = time_of(found)
    return (found or None) if time is None else id_at(time - int(seconds * 1000), found)


def places(cursor: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return, by tag, the newest id and where a walk through full pages is; nothing where a cursor cannot be read."""
    try:
        found = json.loads(cursor or "{}")
        return dict(found.get("newest") or {}), dict(found.get("walk") or {})
    except (ValueError, TypeError, AttributeError):
        return {}, {}


def original(row: Row) -> Row:
    """Return the text that a boost repeats; any other as it is."""
    boosted = row.get("reblog")
    return boosted if isinstance(boosted, dict) else row


def is_public(row: Row) -> bool:
    """Whether a text was written for all to read."""
    return row.get("visibility", "public") in ("public", "unlisted")


def is_heard(row: Row, *, indexable_only: bool) -> bool:
    """Whether a text was written for all, and by an author who agrees to be found where only such are wanted."""
    return is_public(row) and (not indexable_only or reading.mapping(row.get("account")).get("indexable") is True)


def number_in(native: str, server: str) -> str | None:
    """Return the number of a text on the server whose own it is; None for those of others."""
    number = native.rpartition("/")[2]
    is_own = native.startswith(f"{server}/") and f"/statuses/{number}" in native and time_of(number) is not None
    return number if is_own else None


def address(server: str) -> str:
    """Return the address of a server, as people write it."""
    return (server if "://" in server else f"https://{server}").rstrip("/")


def bare_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return hash tags as the API takes them, each once."""
    return tuple(dict.fromkeys(tag.strip().lstrip("#").lower() for tag in tags if tag.strip("# ")))


def timeline(tag: str, min_id: str | None, limit: int) -> tuple[str, dict[str, str]]:
    """Return path and parameters of a timeline: the oldest texts above `min_id`, the newest of all without one."""
    path = "/api/v1/timelines/" + (f"tag/{quote(tag, safe='')}" if tag else "public")
    return path, {"limit": str(limit), **({"min_id": min_id} if min_id else {})}


def with_threads(rows: Iterable[Row]) -> list[Row]:
    """Return the rows, replies with the `uri` of what they answer and of their thread, where these are among the rows.

    A reply names its parent by a number of the server's own; the same text has another number elsewhere.
    """
    found = list(rows)
    known = {str(row["id"]): row for row in found if "uri" in row and row.get("id")}
    return [_in_thread(row, known) if row.get("in_reply_to_id") else row for row in found]


def _in_thread(row: Row, known: dict[str, Row]) -> Row:
    parent = str(row["in_reply_to_id"])
    top, seen = parent, {str(row.get("id"))}
    while top not in seen and (above := known.get(top, {}).get("in_reply_to_id")):
        seen.add(top)
        top = str(above)
    uris = {
        f"earshot_{name}": known[at]["uri"] if at in known else at for name, at in (("parent", parent), ("top", top))
    }
    return {**row, **uris}


def unpacked(values: Iterator[Any]) -> Iterator[Any]:
    """Yield the values, and what frames of the WebSocket carry: there a text comes as JSON inside a string."""
    for value in values:
        yield value
        payload = value.get("payload") if isinstance(value, dict) else None
        if isinstance(payload, str):
            try:
                yield reading.json_value(payload.encode("utf-8", "replace"))
            except ValueError:
                continue


def author(account: Row) -> Author:
    """Return who wrote it. The handle bears the server's name, also where the server leaves out its own."""
    address = str(account.get("uri") or account.get("url") or "")
    handle = str(account.get("acct") or account.get("username") or "")
    if handle and "@" not in handle:
        host = urlsplit(str(account.get("url") or address)).netloc
        handle = f"{handle}@{host}" if host else handle
    bot = account.get("bot")
    return Author(
        id=address or str(account["id"]),
        handle=handle or None,
        name=account.get("display_name") or None,
        url=account.get("url") or None,
        followers=reading.whole(account.get("followers_count")),
        created_at=reading.timestamp(account.get("created_at")),
        bot=bot if isinstance(bot, bool) else None,
    )


def engagement(row: Row) -> Engagement:
    """Return a text's counts; only Mastodon itself counts quotes."""
    counts = ("favourites_count", "replies_count", "reblogs_count", "quotes_count")
    likes, replies, shares, quotes = (reading.whole(row.get(name)) for name in counts)
    return Engagement(likes=likes, replies=replies, shares=shares, quotes=quotes)
