"""Asking for a feed: with what its server needs to say that nothing has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.answers import Answer, place
from connectors.http import Http
from connectors.rss import entries
from pipeline.contract.errors import InvalidMessageError, SourceUnavailableError


@dataclass(frozen=True, slots=True)
class Asked:
    """What was answered. `feed` is None where nothing has changed.

    `marks` go with the next question: `etag`, `last_modified`, and `moved_to` of a feed that has moved for good.
    """

    answer: Answer
    feed: entries.Feed | None
    marks: Mapping[str, str]


async def ask(http: Http, url: str, marks: Mapping[str, Any]) -> Asked:
    """Ask for the feed at `url`; `marks` are those of the answer before.

    Raises what `http` raises, and SourceUnavailableError when it is no feed.
    """
    address = marks.get("moved_to") or url
    answer = await http.get_bytes(address, etag=marks.get("etag"), last_modified=marks.get("last_modified"))
    if answer.is_unchanged:
        return Asked(answer, None, marks)
    try:
        # in a thread: a feed of some megabytes takes seconds, and other sources share this loop
        feed = await asyncio.to_thread(entries.read, answer.body, answer.headers)
    except InvalidMessageError as error:
        raise SourceUnavailableError(f"{place(answer.url)}: {error}") from None
    kept = {
        "etag": answer.headers.get("etag"),
        "last_modified": answer.headers.get("last-modified"),
        "moved_to": (answer.moved_to and answer.url) or marks.get("moved_to"),
    }
    return Asked(answer, feed, {name: value for name, value in kept.items() if value})
