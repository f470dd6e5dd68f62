"""Reviews in files: those that the Play Console gives month by month, and tables with the same facts. Pure.

Files of the console: https://support.google.com/googleplay/android-developer/answer/6135870, CSV in UTF-16. They hold
what the API no longer shows, and stars without words.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from connectors import reading

Row = dict[str, Any]

NAMES: Final = {
    "package": ("package name", "app_id", "package", "app"),
    "id": ("review_id", "reviewid", "_id", "id"),
    "author": ("author", "authorname", "username"),
    "language": ("reviewer language", "language"),
    "device": ("device",),
    "version": ("app version name", "app version code", "appversion", "app_version"),
    "stars": ("star rating", "ratingstars", "stars", "rating", "score"),
    "title": ("review title", "title"),
    "text": ("review text", "reviewtext", "text", "content"),
    "changed": (
        "review last update millis since epoch",
        "review submit millis since epoch",
        "review last update date and time",
        "review submit date and time",
        "date",
        "at",
    ),
    "link": ("review link", "link"),
}
"""What a column may be called, lower-case; the first that holds something counts."""

_DAY_FIRST: Final = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})$")


def is_table(body: bytes) -> bool:
    """Whether this is a table with a column of texts and one more that is known, rather than JSON."""
    head = _text(body[:4_000]).split("\n", 1)[0]
    columns = {name.strip().strip('"').lower() for name in head.split(",")}
    return bool(columns & set(NAMES["text"])) and len(columns) > 1 and not head.lstrip().startswith(("{", "["))


def rows(body: bytes) -> Iterator[Row]:
    """Yield the reviews of a table in the form of the API."""
    reader = csv.DictReader(io.StringIO(_text(body), newline=""))
    for line in reader:
        found = {str(name).strip().lower(): value for name, value in line.items() if isinstance(value, str) and value}
        given = {name: _first(found, names) for name, names in NAMES.items()}
        if given["text"] or given["title"] or given["stars"]:
            yield _review(given)


def _review(given: dict[str, str | None]) -> Row:
    native = given["id"] or _asked(given["link"], "reviewId")
    if native is None:  # stars without words have no link
        parts = (given["package"], given["changed"], given["device"], given["version"], given["stars"], given["text"])
        native = f"row-{hashlib.sha256(repr(parts).encode('utf-8', 'replace')).hexdigest()[:20]}"
    stars = reading.whole(given["stars"])
    at = _instant(given["changed"])
    text = f"{given['title']}\t{given['text'] or ''}" if given["title"] else given["text"] or ""
    said = {
        "text": text,
        "starRating": stars,
        "lastModified": None if at is None else {"seconds": str(int(at.timestamp())), "nanos": at.microsecond * 1000},
        "reviewerLanguage": given["language"],
        "device": given["device"],
        "appVersionName": given["version"],
    }
    return {
        "reviewId": native,
        "authorName": given["author"],
        "earshot_app": given["package"],
        "comments": [{"userComment": said}],
    }


def _first(found: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((found[name] for name in names if found.get(name)), None)


def _asked(link: str | None, name: str) -> str | None:
    try:
        found = parse_qs(urlsplit(link or "").query).get(name)
    except ValueError:
        return None
    return found[0] if found else None


def _instant(value: str | None) -> datetime | None:
    found = _DAY_FIRST.match(value or "")
    if found is None:
        return reading.timestamp(value)
    day, month, year = (int(part) for part in found.groups())
    try:
        return datetime(year + 2000 if year < 100 else year, month, day, tzinfo=UTC)
    except ValueError:
        return None


def _text(body: bytes) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    return body.decode("utf-8-sig", "replace")
