"""The two ways in which Jetstream speaks, as one. Pure functions.

Version 1, `…/subscribe`: frames as `posts.from_commit` reads them, a time in microseconds as cursor. Version 2,
`…/xrpc/network.bsky.jetstream.subscribeEvents` (lexicon of that name): messages in an envelope, other names for what is
asked; a time in microseconds is a cursor there, too, and the only one that means the same on every instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from connectors import reading
from connectors.bluesky import posts

EVENTS: Final = "network.bsky.jetstream.subscribeEvents"
SKIP_LARGER: Final = 1_000_000  # bytes: asked of Jetstream, so that no frame can break the connection
OUTDATED: Final = "OutdatedCursor"  # what version 2 says before the first frame when the cursor was too old
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = Mapping[str, Any]


def is_second(endpoint: str) -> bool:
    """Whether this address is of version 2."""
    return endpoint.rstrip("/").endswith(f"/xrpc/{EVENTS}")


def address(endpoint: str, cursor: int | None, dictionary: int | None = None) -> str:
    """Return the address to open: posts and what becomes of accounts, from this time in microseconds on.

    `dictionary` is the number of the one by which version 2 is to compress.
    """
    given: dict[str, Any] = {"maxMessageSizeBytes": SKIP_LARGER}
    if is_second(endpoint):
        given |= {"collections": posts.POST, "kinds": ["commit", "account"]}
        given |= {"zstdDictionary": dictionary} if dictionary is not None else {}
    else:
        given |= {"wantedCollections": posts.POST}  # accounts come whatever is wanted
    given |= {"cursor": cursor} if cursor is not None else {}
    return f"{endpoint}?{urlencode(given, doseq=True)}"


def as_first(row: Row) -> Row:
    """Return a frame of either version in the form of the first; one that is in no envelope as it is.

    Raises KeyError, TypeError and ValueError as reading any broken frame does.
    """
    if row.get("$type") != "message":
        return row
    said = row["payload"]
    kind = str(said["$type"]).partition("#")[2]
    return {"did": said["did"], "time_us": _microseconds(said), "kind": kind, kind: said.get(kind, said)}


def info_in(row: Row) -> str | None:
    """Return the name of a notice about the stream, which has no time; None in all other frames."""
    said = row.get("payload") if row.get("$type") == "message" else None
    is_notice = isinstance(said, Mapping) and str(said.get("$type")).endswith("#info")
    return str(said.get("name")) if is_notice and isinstance(said, Mapping) else None


def error_in(row: Row) -> str | None:
    """Return the name of the error with which version 2 ends a connection; None in all other frames."""
    if row.get("$type") != "error":
        return None
    name = str(row.get("error"))
    return name[:60] if name.isascii() and name.isalnum() else "an error"


def _microseconds(said: Row) -> int:
    """Return when Jetstream witnessed an event, by which cursors go; else the time it shows."""
    at = reading.timestamp(said.get("witnessedAt")) or reading.timestamp(said["time"])
    if at is None:
        raise ValueError("no time")
    return (at - _EPOCH) // timedelta(microseconds=1)
