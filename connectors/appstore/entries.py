"""Apple's three ways to write a review down, as one. Pure.

The feed as JSON has every value in `{"label": …}`, one review as an object instead of a list, and no `entry` at all
where there is none. The feed as XML is Atom with Apple's own elements. App Store Connect, the developers' API, has
JSON of another shape.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from typing import Any, Final

import feedparser

from connectors import reading
from connectors.appstore.territories import COUNTRIES
from pipeline.contract.errors import InvalidMessageError

Row = dict[str, Any]

LABELS: Final = ("id", "updated", "title", "content", "im:rating", "im:version", "im:voteSum", "im:voteCount")


def entries(body: bytes) -> Iterator[Row]:
    """Yield the entries of an answer, flat: LABELS, `link`, and of the author `name` and `uri`.

    Raises InvalidMessageError when it is no answer of the store.
    """
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        yield from _of_xml(body)
        return
    is_known = False
    for value in reading.documents(body):
        for part in value if isinstance(value, list) else [value]:
            found = _of_part(part) if isinstance(part, dict) else None
            is_known = is_known or found is not None
            yield from found or ()
    if not is_known:
        raise InvalidMessageError("the store's answer holds no feed")


def _of_part(value: Row) -> list[Row] | None:
    """Return the reviews in a feed, in an answer of App Store Connect, or in one of their rows; None where it is none."""
    if isinstance(value.get("feed"), dict):
        found = value["feed"].get("entry") or []
        return [_of_json(row) for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
    if "im:rating" in value:
        return [_of_json(value)]
    if value.get("type") == "customerReviews":
        return [_of_connect(value)]
    data = value.get("data")
    if data is None:
        return None
    app = re.search(r"/apps/(\d+)/customerReviews", str(_part(value, "links").get("self")))
    reviews = (row for row in (data if isinstance(data, list) else [data]) if isinstance(row, dict))
    return [
        _of_connect(row) | ({"earshot_app": app[1]} if app else {})
        for row in reviews
        if row.get("type") == "customerReviews"
    ]


def time_of(row: Row) -> int | None:
    """Return when it was written or last edited, in epoch seconds; None where the store does not say."""
    at = reading.timestamp(row.get("updated"))
    return None if at is None else int(at.timestamp())


def _label(value: Any) -> str | None:
    """Return a value of the feed as JSON, in which HTML entities stand for characters now and then."""
    found = value.get("label") if isinstance(value, dict) else value
    return html.unescape(found) if isinstance(found, str) else None


def _part(row: Any, name: str) -> Row:
    """Return an object inside another; of a list of objects the first."""
    found = row.get(name) if isinstance(row, dict) else None
    found = found[0] if isinstance(found, list) and found else found
    return found if isinstance(found, dict) else {}


def _of_json(row: Row) -> Row:
    flat: Row = {key: _label(row[key]) for key in LABELS if key in row}
    author = _part(row, "author")
    address = _label(_part(_part(row, "link"), "attributes").get("href"))
    return flat | {"link": address, "name": _label(author.get("name")), "uri": _label(author.get("uri"))}


def _of_xml(body: bytes) -> Iterator[Row]:
    """Read with feedparser, which expands no entities of a document's own."""
    try:
        parsed = feedparser.parse(io.BytesIO(body))
    except Exception as error:
        raise InvalidMessageError(f"the store's feed cannot be read ({type(error).__name__})") from None
    if not parsed.get("version"):
        raise InvalidMessageError("the store sends no feed")
    for entry in parsed.entries:
        flat = {key: entry[name] for key in LABELS if (name := key.replace(":", "_").lower()) in entry}
        texts = [part.get("value") for part in entry.get("content", ()) if part.get("type") == "text/plain"]
        flat["content"] = texts[0] if texts else None  # besides it there is a table for display
        links, author = entry.get("links") or [{}], entry.get("author_detail") or {}
        yield flat | {"link": links[0].get("href"), "name": author.get("name"), "uri": author.get("href")}


def _of_connect(row: Row) -> Row:
    given = _part(row, "attributes")
    flat = {"id": row.get("id"), "updated": given.get("createdDate"), "im:rating": given.get("rating")}
    flat |= {"title": given.get("title"), "content": given.get("body"), "name": given.get("reviewerNickname")}
    answer = _part(_part(row, "relationships"), "response")
    if "data" in answer:  # only where it was asked for
        flat["replies"] = int(bool(answer["data"]))
    country = COUNTRIES.get(str(given.get("territory")))
    return flat | ({"earshot_country": country} if country else {})
