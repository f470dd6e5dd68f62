"""The backfill itself: where it begins and ends, what it waits for, when it gives up. No broker, no clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.backfill import Backfill, checkpoint_name
from connectors.base import Page, PollingConnector, PollingSettings, PushConnector, Settings, StreamingConnector
from connectors.base import mention as made
from connectors.pacing import Quota
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    FencedError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.metrics import Metrics
from tests.connectors import kit

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def text(number: int):
    """The text of that hour."""
    return made("forum", number, created_at=SINCE + timedelta(hours=number), now=kit.NOW, text=f"text {number}")


class ForumSettings(PollingSettings):
    query: str = "acme"


class Forum(PollingConnector[ForumSettings]):
    """Ten texts an answer, the cursor is the last one's number; `faults` are raised first, one each request."""

    name = "forum"
    settings_type = ForumSettings
    count = 95
    asked: list[str | None]
    faults: list[Exception | None]

    async def cursor_at(self, since: datetime) -> str | None:
        return str(int((since - SINCE) / timedelta(hours=1)) - 1)

    async def fetch(self, cursor: str | None) -> Page:
        self.asked.append(cursor)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        begin = int(cursor or 0) + 1
        found = [text(number) for number in range(begin, min(begin + 10, self.count))]
        return Page(found, str(begin + len(found) - 1), is_full=begin + 10 < self.count)


class Stream(StreamingConnector[Settings]):
    """Two texts, then a lost connection, then the rest and silence."""

    name = "stream"
    lost = True

    async def cursor_at(self, since: datetime) -> str | None:
        return "0"

    async def listen(self, cursor: str | None) -> AsyncIterator[Page]:
        begin = int(cursor or 0)
        for number in range(begin + 1, 6):
            if self.lost and number == 3:
                self.lost = False
                return
            yield Page([text(number)], str(number))
        import asyncio

        await asyncio.Event().wait()


class Clocked(Stream):
    """A stream whose cursor says the time; it falls silent before the present."""

    lost = False

    def time_of(self, cursor: str | None) -> datetime | None:
        return SINCE + timedelta(hours=int(cursor or 0))


class Push(PushConnector[Settings]):
    name = "push"


class Waits:
    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)


def forum(*faults: Exception | None, **given: Any) -> Forum:
    found = kit.make(Forum, given=ForumSettings(**given))
    found.asked, found.faults = [], list(faults)
    return found


def backfill(connector: Any, log: MemoryLog, **more: Any) -> tuple[Backfill, Waits]:
    waits = Waits()
    since = more.pop("since", SINCE)
    publisher = MemoryPublisher(checkpoint_name(connector, since, more.get("until")), log)
    made = Backfill(
        connector,
        publisher,
        Metrics(),
        since=since,
        clock=kit.clock,
        chance=lambda: 0.5,
        wait=waits,
        log=kit.Lines(),
        **{"quiet": 0.05, **more},
    )
    return made, waits


def heard(log: MemoryLog) -> list[int]:
    return [int(mention.native_id) for mention in log.mentions]


async def test_it_goes_from_the_instant_to_the_present_oldest_first_and_ends():
    log, told = MemoryLog(), []
    run, waits = backfill(forum(), log, tell=told.append)
    done = await run.run()
    assert heard(log) == list(range(95))
    assert all(mention.backfill and mention.connector == "example" for mention in log.mentions)
    assert done.mentions == 95
    assert done.reached == SINCE + timedelta(hours=94)
    assert waits.waited == []
    assert [progress.mentions for progress in told] == sorted(progress.mentions for progress in told)


async def test_it_keeps_to_the_span_and_asks_for_nothing_beyond():
    log, connector = MemoryLog(), forum()
    run, _ = backfill(connector, log, since=SINCE + timedelta(hours=5), until=SINCE + timedelta(hours=32))
    await run.run()
    assert heard(log) == list(range(5, 32))
    assert len(connector.asked) == 3


async def test_a_source_that_brings_the_same_page_for_ever_ends_it():
    class Stuck(Forum):
        async def fetch(self, cursor: str | None) -> Page:
            self.asked.append(cursor)
            return Page([text(1)], "1", is_full=True)

    connector = kit.make(Stuck, given=ForumSettings())
    connector.asked, connector.faults = [], []
    run, _ = backfill(connector, MemoryLog())
    assert (await run.run()).mentions == 1
    assert len(connector.asked) == 2


async def test_a_rate_limit_is_waited_for_however_often_and_never_shortened():
    limits = [RateLimitedError("wait", 30.0) for _ in range(20)]
    log = MemoryLog()
    run, waits = backfill(forum(*limits), log)
    await run.run()
    assert heard(log) == list(range(95))
    assert len(waits.waited) == 20
    assert min(waits.waited) >= 30


async def test_what_is_left_of_a_rate_limit_is_spread_until_its_reset():
    connector = forum()
    connector.http.quota = Quota(2, kit.NOW + timedelta(seconds=60), 100)
    run, waits = backfill(connector, MemoryLog())
    await run.run()
    assert set(waits.waited) == {30.0}
    used_up = forum()
    used_up.http.quota = Quota(0, kit.NOW + timedelta(seconds=60), 100)
    run, waits = backfill(used_up, MemoryLog(), until=SINCE + timedelta(hours=5))
    await run.run()
    assert waits.waited == [60.0]


async def test_failures_are_waited_out_ever_longer_and_after_so_many_in_a_row_it_ends_with_the_last():
    down = [SourceUnavailableError("down") for _ in range(3)]
    log = MemoryLog()
    run, waits = backfill(forum(None, *down, None, *down), log, patience=4)
    await run.run()
    assert heard(log) == list(range(95))
    assert waits.waited == [0.75, 1.5, 3.0, 0.75, 1.5, 3.0]
    run, _ = backfill(forum(*[SourceUnavailableError("down")] * 9), MemoryLog(), patience=4)
    with pytest.raises(SourceUnavailableError):
        await run.run()


async def test_a_refusal_ends_it_at_once_and_done_again_it_goes_on():
    log = MemoryLog()
    run, _ = backfill(forum(None, None, SourceRefusedError("no")), log)
    with pytest.raises(SourceRefusedError):
        await run.run()
    assert heard(log) == list(range(20))
    again = forum()
    run, _ = backfill(again, log)
    done = await run.run()
    assert done.resumed
    assert done.mentions == 75
    assert again.asked[0] == "19"
    assert heard(log) == list(range(95))


async def test_a_commit_that_kafka_does_not_confirm_is_done_again_from_the_checkpoint():
    log = MemoryLog()
    log.fail = [BrokerUnavailableError("away"), BrokerUnavailableError("away")]
    run, _ = backfill(forum(), log)
    await run.run()
    assert heard(log) == list(range(95))


async def test_the_same_backfill_started_elsewhere_fences_this_one():
    log = MemoryLog()

    class Elsewhere(Forum):
        async def fetch(self, cursor: str | None) -> Page:
            await MemoryPublisher(checkpoint_name(self, SINCE, None), log).start()
            return await super().fetch(cursor)

    connector = kit.make(Elsewhere, given=ForumSettings())
    connector.asked, connector.faults = [], []
    run, _ = backfill(connector, log)
    with pytest.raises(FencedError):
        await run.run()
    assert log.mentions == []


def test_other_words_or_another_span_are_another_backfill_but_how_often_to_ask_is_not():
    names = [
        checkpoint_name(forum(), SINCE, None),
        checkpoint_name(forum(), SINCE, kit.NOW),
        checkpoint_name(forum(), SINCE + timedelta(days=1), None),
        checkpoint_name(forum(query="other"), SINCE, None),
    ]
    assert len(set(names)) == len(names)
    assert checkpoint_name(forum(poll_interval=9), SINCE, None) == names[0]


async def test_a_stream_is_gone_on_with_after_a_loss_and_ends_when_it_has_told_all_of_its_past():
    log = MemoryLog()
    run, _ = backfill(kit.make(Stream, given=Settings()), log)
    await run.run()
    assert heard(log) == [1, 2, 3, 4, 5]


async def test_a_stream_that_says_its_time_and_falls_silent_before_the_end_is_not_taken_for_done():
    log = MemoryLog()
    run, _ = backfill(kit.make(Clocked, given=Settings()), log, patience=3)
    with pytest.raises(SourceUnavailableError, match="fallen silent"):
        await run.run()
    run, _ = backfill(kit.make(Clocked, given=Settings()), log, until=SINCE + timedelta(hours=4))
    await run.run()
    assert heard(log) == [1, 2, 3, 4, 5, 1, 2, 3]


async def test_a_source_that_calls_us_and_one_without_a_past_say_so():
    run, _ = backfill(kit.make(Push, given=Settings()), MemoryLog())
    with pytest.raises(ConfigError, match="calls us"):
        await run.run()

    class NoPast(Forum):
        cursor_at = PollingConnector.cursor_at

    connector = kit.make(NoPast, given=ForumSettings())
    run, _ = backfill(connector, MemoryLog())
    with pytest.raises(ConfigError, match="cannot be asked for its past"):
        await run.run()
