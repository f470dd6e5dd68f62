"""Walks through sources that give their newest first and cannot be asked "what is newer than this".

A source has parts that are read apart: apps, shops. A walk goes from the newest down to what is known, and `overlap`
further. Up to PAGES pages of it come as one, oldest first; a longer walk is kept in the cursor and goes on from there,
also after a restart. What is known moves only when the walk has ended: one that breaks off loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from connectors.base import Gap, Page, PollingConnector, PollingSettings
from connectors.page import told as told  # noqa: PLC0414 - connectors that walk down have it from here
from pipeline.config.model import Duration

PAGES: Final = 10  # of one part that are read before what was read is given

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Descent:
    """How far one part is known, and its walk. Times are in epoch seconds.

    `known`: all up to here was heard. The walk: `since` is where it ends, `top` and `low` the newest and oldest it has
    seen, `at` the page to go on with; without `at` none is under way.
    """

    known: float | None = None
    since: float | None = None
    top: float | None = None
    low: float | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One answer: its rows with the time by which the source orders them, and the page that follows.

    `is_cut` says that the source ends here although it has more.
    """

    rows: Sequence[tuple[float | None, Row]]
    following: str | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Walked:
    """What walks gave: rows, oldest first, and the cursor. `gap` is what the source has and does not show."""

    rows: Sequence[Row]
    cursor: str | None
    is_full: bool
    gap: Gap | None


Ask = Callable[[str, str | None], Awaitable[Sheet]]
"""Return a page of a part: the first one, or the one that the `following` of the page before names."""


def read(cursor: str | None) -> dict[str, Descent]:
    """Return the parts in a cursor; none where it cannot be read."""
    try:
        return {part: Descent(**kept) for part, kept in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def written(parts: Mapping[str, Descent]) -> str | None:
    """Return the cursor of these parts; None when nothing is known of any."""
    kept = {
        part: {name: value for name in Descent.__slots__ if (value := getattr(one, name)) is not None}
        for part, one in parts.items()
    }
    kept = {part: one for part, one in kept.items() if one}
    return json.dumps(kept) if kept else None


def cursor_at(parts: Iterable[str], since: datetime) -> str | None:
    """Return the cursor from which a walk goes through what is newer than `since`."""
    return written({part: Descent(known=since.timestamp()) for part in parts})


def time_of(cursor: str | None) -> datetime | None:
    """Return the time up to which everything of every part was heard."""
    times = [one.known for one in read(cursor).values() if one.known is not None]
    return datetime.fromtimestamp(min(times), UTC) if times else None


async def descend(
    parts: Sequence[str], cursor: str | None, ask: Ask, *, now: datetime, lookback: float, overlap: float
) -> Walked:
    """Return what is new in the parts. Walks under way are ended before others begin. Raises what `ask` raises."""
    known = {part: one for part, one in read(cursor).items() if part in parts}
    found: list[tuple[float, Row]] = []
    gaps: list[Gap] = []
    for part in [part for part, one in known.items() if one.at] or parts:
        one = begun(known.get(part, Descent()), now.timestamp(), lookback, overlap)
        since = one.since or 0.0
        for _ in range(PAGES):
            sheet = await ask(part, one.at)
            found += [
                (now.timestamp() if time is None else time, row)
                for time, row in sheet.rows
                if time is None or time >= since
            ]
            if sheet.is_cut:
                gaps += _unseen(one, sheet)
            one = stepped(one, sheet, now.timestamp())
            if not one.at:
                break
        known[part] = one
    found.sort(key=lambda pair: pair[0])
    gap = Gap(min(gap.since for gap in gaps), max(gap.until for gap in gaps), gaps[0].reason) if gaps else None
    is_full = any(one.at for one in known.values())
    return Walked([row for _, row in found], written(known) or cursor, is_full, gap)


class DescentSettings(PollingSettings):
    """How far walks go down."""

    lookback: Duration = 604_800.0
    """How far back the very first poll goes."""
    overlap: Duration = 3_600.0
    """How far each poll reaches back again: some texts are shown late."""


DescentT = TypeVar("DescentT", bound=DescentSettings)


class NewestFirst(PollingConnector[DescentT]):
    """A source that is walked down: it declares its `parts` and how a `sheet` of one is asked for."""

    def parts(self) -> Sequence[str]:
        """Return what is walked through apart; the cursor keeps a place for each."""
        raise NotImplementedError

    async def sheet(self, part: str, at: str | None) -> Sheet:
        """Return a page of a part: the first one, or the one that the `following` of the page before names."""
        raise NotImplementedError

    async def walked(self, cursor: str | None) -> Walked:
        """Return what is new in the parts."""
        return await descend(self.parts(), cursor, self.sheet, **self.reach())

    def reach(self) -> dict[str, Any]:
        """Return the time, and how far walks go down."""
        return {"now": self.clock(), "lookback": self.settings.lookback, "overlap": self.settings.overlap}

    async def fetch(self, cursor: str | None) -> Page:
        found = await self.walked(cursor)
        rows = type(self).rows_found(found.rows)
        return in_order(self.page(rows, found.cursor, is_full=found.is_full, gap=found.gap))

    @staticmethod
    def rows_found(values: Iterable[Any]) -> Iterable[Any]:
        """Return the rows of all sheets as `to_mention` wants them."""
        return values

    async def first(self) -> str:
        """Return in words what the first page has: for a check that is not to walk down through all."""
        sheet = await self.sheet(self.parts()[0], None)
        return told(self.page(type(self).rows_found(row for _, row in sheet.rows), None))

    async def cursor_at(self, since: datetime) -> str | None:
        return cursor_at(self.parts(), since)

    def time_of(self, cursor: str | None) -> datetime | None:
        return time_of(cursor)


def begun(one: Descent, now: float, lookback: float, overlap: float) -> Descent:
    """Return a part with a walk under way: the one that is, or a new one."""
    if one.at:
        return one
    return Descent(known=one.known, since=now - lookback if one.known is None else one.known - overlap)


def stepped(one: Descent, sheet: Sheet, now: float) -> Descent:
    """Return a part after a page of its walk. A time ahead of us counts as now: it hides nothing written until then."""
    times = [min(time, now) for time, _ in sheet.rows if time is not None]
    top = max((time for time in (one.top, *times) if time is not None), default=None)
    low = min((time for time in (one.low, *times) if time is not None), default=None)
    if sheet.following is None or (times and min(times) < (one.since or 0.0)):
        return Descent(known=max((time for time in (one.known, top) if time is not None), default=None))
    return replace(one, top=top, low=low, at=sheet.following)


def in_order(page: Page) -> Page:
    """Return the page with its mentions by when they were written, which is not when they were changed."""
    return replace(page, mentions=sorted(page.mentions, key=lambda one: one.created_at))


def _unseen(one: Descent, last: Sheet) -> list[Gap]:
    """Return the time between where the source ends, which is with this page, and what is known."""
    since = one.since if one.known is None else one.known
    low = min((time for time in (one.low, *(time for time, _ in last.rows)) if time is not None), default=None)
    if since is None or low is None or low <= since:
        return []
    reason = "the source ends although it has more"
    return [Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(low, UTC), reason)]
