"""A timeline, read forwards from an id that is known up to the present."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

from connectors.base import Gap
from connectors.mastodon import statuses
from connectors.mastodon.connector import FULL, LIMIT
from connectors.mastodon.statuses import Row, order
from connectors.mastodon_stream.memory import EMPTY

Ask = Callable[[str | None, int], Awaitable[Sequence[Row]]]
"""Return so many texts at the most: the oldest above an id, the newest of all without one."""


async def newest(ask: Ask) -> str:
    """Return the newest id of a timeline, and where there is nothing, one below all."""
    return max((_id(row) for row in await ask(None, 1)), key=order, default="") or EMPTY


async def walk(ask: Ask, known: str, overlap: float) -> AsyncGenerator[tuple[Sequence[Row], Gap | None]]:
    """Yield what a timeline has above the newest id known, and `overlap` seconds before it, oldest first.

    A server that gives its newest whatever is asked is read as far as it shows; what lies below is a gap.
    """
    start, lowest, is_more = statuses.earlier(known, overlap) or known, "", True
    while is_more:
        rows = sorted(await ask(start, LIMIT), key=lambda row: order(_id(row)))
        if not rows:
            return
        low, top = _id(rows[0]), _id(rows[-1])
        is_ignored = order(low) <= order(start)
        if is_ignored and lowest:
            yield (), gap(known, lowest)
            return
        yield rows, None
        is_more = not is_ignored and (len(rows) >= FULL or order(top) < order(known))
        lowest, start = lowest or low, top


def gap(known: str, low: str) -> Gap | None:
    """Return the time between the newest id known and the oldest that a timeline shows; None where ids hold none."""
    since, until = statuses.time_of(known), statuses.time_of(low)
    if since is None or until is None or until <= since:
        return None
    reason = "the stream was not open, and the server's timeline cannot be asked for what came since"
    return Gap(datetime.fromtimestamp(since / 1000, UTC), datetime.fromtimestamp(until / 1000, UTC), reason)


def _id(row: Row) -> str:
    return str(row.get("id") or "")
