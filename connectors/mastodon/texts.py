"""What a text of Mastodon's becomes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from connectors import reading
from connectors.base import mention
from connectors.mastodon import statuses
from connectors.mastodon.statuses import Row
from pipeline.contract.events import Kind, Mention, State

SOURCE: Final = "mastodon"


def rows_of(values: Iterator[Any]) -> list[Row]:
    """Return all objects in recorded answers, and in frames of streams; replies with what they answer."""
    return statuses.with_threads(reading.walk(statuses.unpacked(values)))


def read(row: Any, now: datetime) -> Mention | None:
    """Return the mention that a text is; None for a boost, a text without words, and any other object."""
    if not {"uri", "content", "account"} <= row.keys() or row.get("reblog"):
        return None
    rich, warning = reading.from_html(row["content"]), reading.from_html(row.get("spoiler_text")).text
    if not rich.text and not warning:
        return None
    edited, parent = reading.timestamp(row.get("edited_at")), row.get("in_reply_to_id")
    reply_to = f"{SOURCE}:{row.get('earshot_parent') or parent}" if parent else None
    return mention(
        SOURCE,
        row["uri"],
        created_at=reading.timestamp(row.get("created_at")),
        now=now,
        text=rich.text,
        title=warning or None,
        revision=int(edited.timestamp() * 1000) if edited else 0,
        state=State.EDITED if edited else None,
        kind=Kind.COMMENT if parent else Kind.POST,
        language=str(row.get("language") or "").split("-")[0].lower() or None,
        url=row.get("url") or row["uri"],
        author=statuses.author(row["account"]),
        conversation=f"{SOURCE}:{row['earshot_top']}" if row.get("earshot_top") else reply_to,
        in_reply_to=reply_to,
        engagement=statuses.engagement(row),
        tags=[str(tag["name"]).lower() for tag in row.get("tags") or () if "name" in tag],
        links=rich.links,
    )
