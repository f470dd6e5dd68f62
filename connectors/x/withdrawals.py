"""How X tells that a post is gone: compliance streams and jobs of version 2, notices of version 1.1. Pure functions.

https://docs.x.com/x-api/compliance/streams/introduction, https://docs.x.com/x-api/compliance/batch-compliance/introduction
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from connectors.base import mention
from connectors.reading import timestamp
from connectors.x import ids
from connectors.x.posts import SOURCE, address
from pipeline.contract.events import Author, Mention, State

EVENTS: Final = {
    "delete": State.DELETED,
    "withheld": State.WITHHELD,
    "status_withheld": State.WITHHELD,
    "drop": State.UNAVAILABLE,  # no longer shown to all; `undrop` brings no text
}
DELETE_EVENTS: Final = "tweet_delete_events"
REASONS: Final = {  # of a line in the result of a compliance job
    "deleted": State.DELETED,
    "bounced": State.REMOVED,
    "deactivated": State.UNAVAILABLE,
    "protected": State.UNAVAILABLE,
    "suspended": State.UNAVAILABLE,
}


def from_notice(row: Mapping[str, Any], now: datetime) -> Mention | None:
    """Return the withdrawal that this object tells of; None where it tells of none."""
    if str(row.get("reason")) in REASONS and ids.is_id(row.get("id")) and "text" not in row:
        at = timestamp(row.get("redacted_at"))
        return withdrawn(str(row["id"]), REASONS[str(row["reason"])], at or now, now)
    if "status" in row and "timestamp_ms" in row and isinstance(row["status"], dict):  # an item of a webhook's list
        return _of_event(row, State.DELETED, now)
    if row.get("event_type") == "post.delete" and isinstance(row.get("payload"), dict):  # of X Activity
        return _of_event({"tweet": row["payload"], **row}, State.DELETED, now)
    for name, state in EVENTS.items():
        event = row.get(name)
        if isinstance(event, dict) and ("timestamp_ms" not in event or "status" not in event):
            return _of_event(event, state, now)
    return None


def _of_event(event: Mapping[str, Any], state: State, now: datetime) -> Mention | None:
    which = event.get("tweet") or event.get("status") or event
    native = which.get("id_str") or which.get("id")
    if not ids.is_id(native):
        return None
    at = timestamp(event.get("event_at") or event.get("timestamp_ms")) or now
    who = which.get("author_id") or which.get("user_id_str") or which.get("user_id")
    return withdrawn(str(native), state, at, now, who=str(who) if who else None)


def withdrawn(native: str, state: State, at: datetime, now: datetime, *, who: str | None = None) -> Mention:
    """Return the mention that takes a post back. `at` is when that happened."""
    return mention(
        SOURCE,
        native,
        created_at=ids.time_of(native) or at,
        now=now,
        state=state,
        revision=int(at.timestamp() * 1000),
        url=address(None, native),
        author=Author(id=who) if who else None,
    )
