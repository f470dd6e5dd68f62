"""A made-up company and everybody who talks about it: a source without a network, the same for the same seed.

Simulated time is never ahead of the clock, for a mention from the future counts in the minute it was collected. With
`speed` above 1 it begins in the past, runs that much faster than the clock, and goes on as the clock does once it has
caught up. Mentions are never marked as backfill: what is scripted must be able to wake somebody.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from connectors.base import Facts, Page, PollingConnector
from connectors.simulator.script import Script
from connectors.simulator.settings import SimulatorSettings
from pipeline.contract import codec
from pipeline.contract.events import Mention

SCANNED: Final = 60  # silent minutes after which the position moves on without a mention


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The cursor: which sequence, and what of it was given. `first`, `minute` are epoch minutes, `done` a count in it.

    `since` is when this source was first asked: from then on `speed` counts.
    """

    seed: int
    first: int
    since: datetime
    minute: int
    done: int = 0


class Simulator(PollingConnector[SimulatorSettings]):
    """The cursor is a place in the sequence; the sequence is a pure function of the settings and its first minute."""

    name = "simulator"
    settings_type = SimulatorSettings
    facts = Facts(
        auth="none",
        cursor="place in the sequence",
        changes="both",
        tested="itself: the same for the same seed",
    )
    _made: Script | None = None

    async def fetch(self, cursor: str | None) -> Page:
        now = self.clock()
        position = self._position(cursor, now)
        script, reached = self._script(position.first), self.reached(position, now)
        mentions: list[Mention] = []
        minute, done, is_full = position.minute, position.done, False
        ends = script.scenario.ends
        while minute * 60_000 <= reached and (ends is None or minute < ends):
            events = script.minute(minute)
            room = self.settings.page_size - len(mentions)
            due = [event for event in events[done:] if event.at <= reached]
            mentions += [msgspec.structs.replace(event.mention, collected_at=now) for event in due[:room]]
            if len(due) > room:
                done, is_full = done + room, True
                break
            if (minute + 1) * 60_000 > reached:
                done += len(due)
                break
            minute, done = minute + 1, 0
        for one in mentions if self.keeps_raw else ():
            self.keep(one, codec.encode(one))
        after = msgspec.structs.replace(position, minute=minute, done=done)
        has_moved = mentions or cursor is None or position.minute + SCANNED <= minute
        return Page(mentions, _encode(after) if has_moved else cursor, is_full=is_full)

    def reached(self, position: Position, now: datetime) -> int:
        """Return how far simulated time has come, in epoch milliseconds: never ahead of the clock."""
        speed, clock = self.settings.speed, int(now.timestamp() * 1000)
        if speed == 1:
            return clock
        passed = max(0.0, (now - position.since).total_seconds())
        return min(clock, position.first * 60_000 + int(passed * speed * 1000))

    def _position(self, cursor: str | None, now: datetime) -> Position:
        """Return where to go on; the beginning where the cursor is of another sequence or unreadable."""
        first = self.settings.first_minute(now)
        try:
            known = msgspec.json.decode(cursor or "null", type=Position | None)
        except msgspec.MsgspecError:
            known = None
        is_fixed = isinstance(self.settings.start, datetime)
        if known is None or known.seed != self.settings.seed or (is_fixed and known.first != first):
            return Position(seed=self.settings.seed, first=first, since=now, minute=first)
        return known

    def _script(self, first: int) -> Script:
        if self._made is None or self._made.scenario.starts != first:
            self._made = Script(self.settings.scenario(first))
        return self._made

    async def cursor_at(self, since: datetime) -> str | None:
        first = int(since.timestamp() // 60)
        # `since` so long ago that any speed has caught up: the past is there at once.
        long_ago = since.astimezone(UTC) - timedelta(days=1)
        if isinstance(self.settings.start, datetime):
            first = self.settings.first_minute(since)
        minute = max(first, int(since.timestamp() // 60))
        return _encode(Position(seed=self.settings.seed, first=first, since=long_ago, minute=minute))

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        if row.get("source") != cls.name or not {"native_id", "created_at"} <= row.keys():
            return None
        return codec.mention_from_json({**row, "collected_at": now}, now=now, source=cls.name)


def _encode(position: Position) -> str:
    return msgspec.json.encode(position).decode()
