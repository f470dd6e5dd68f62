"""What the runner promises to streaming and push connectors, with connectors that do as the test says."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connectors import runner as module
from connectors.base import Gap, Page, PushConnector, Settings, StreamingConnector, mention
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from tests.connectors import kit
from tests.connectors.streams import running, until


def some(*numbers):
    return [mention("told", n, created_at=kit.NOW, now=kit.NOW, text=f"text {n}") for n in numbers]


class Told(StreamingConnector[Settings]):
    """A stream that does what it is told: each connection is a list of pages, errors and events to wait for."""

    name = "told"

    def script(self, *connections):
        self.connections = list(connections)
        self.asked = []
        self.open = 0
        return self

    async def listen(self, cursor):
        self.asked.append(cursor)
        self.open += 1
        try:
            for step in self.connections.pop(0) if self.connections else [asyncio.Event()]:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.open -= 1


class Called(PushConnector[Settings]):
    """A source that calls when the test calls it."""

    name = "told"
    ends = None
    slow_to_end = 0.0

    async def serve(self, publish, listening):
        self.publish = publish
        listening("http://here")
        try:
            await (self.ends or asyncio.Event()).wait()
        finally:
            if self.slow_to_end:
                await asyncio.sleep(self.slow_to_end)


class Clock:
    def __init__(self):
        self.now = kit.NOW

    def __call__(self):
        return self.now


def told(*connections):
    return kit.make(Told, given=Settings()).script(*connections)


def called():
    return kit.make(Called, given=Settings())


def lost():
    return SourceUnavailableError("it is gone")


# ----------------------------------------------------------------------------------------------------- streaming


async def test_a_lost_stream_goes_on_from_the_last_committed_cursor_with_growing_waits():
    made = told(
        [Page(some(1), "a"), Page(some(2), "b"), lost()],
        [lost()],
        [lost()],
        [Page(some(2, 3), "c"), asyncio.Event()],
    )
    async with running(made) as run:
        await until(lambda: len(run.log.mentions) == 3, "what came after")
        assert made.asked == [None, "b", "b", "b"]
        assert run.waits == [0.75, 1.5, 3.0]
        assert [m.native_id for m in run.log.mentions] == ["1", "2", "3"]
        assert run.states[-1] == ("listening", None)
        told_lines = [event for _, event, _ in run.lines.lines]
        assert told_lines == ["source lost", "source back"]
    assert made.open == 0


async def test_a_stream_that_lets_in_and_drops_is_asked_ever_more_seldom_and_one_that_lasted_at_once():
    clock = Clock()
    made = told(*[[Page(some(n), str(n)), lost()] for n in range(6)])
    async with running(made, clock=clock) as run:
        await until(lambda: len(made.asked) == 7, "all")
        assert run.waits == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0]

    class Later(Told):
        async def listen(self, cursor):
            yield Page(some(100 + len(self.asked)), "x")
            self.asked.append(cursor)
            clock.now += timedelta(seconds=module.STEADY)
            yield Page(some(200 + len(self.asked)), "x")
            raise lost()

    made = kit.make(Later, given=Settings()).script()
    async with running(made, clock=clock) as run:
        await until(lambda: len(run.waits) >= 4, "some")
        assert set(run.waits) == {0.75}


async def test_a_stream_that_ends_without_a_word_is_lost_too():
    made = told([], [Page(some(1), "a"), asyncio.Event()])
    async with running(made) as run:
        await until(lambda: run.log.mentions, "it came back")
        assert ("unreachable", "the source told has ended the connection") in run.states


@pytest.mark.parametrize(
    ("error", "state", "least", "most"),
    [
        (RateLimitedError("slowly", 77), "waiting", 77, 140),
        (SourceRefusedError("no"), "refused", 800, 1000),
        (ConfigError("no"), "refused", 800, 1000),
        (ValueError("ours"), "failed", 0.5, 1),
    ],
)
async def test_every_error_has_its_state_and_its_wait(error, state, least, most):
    made = told([Page(some(1), "a"), error], [Page(some(2), "b"), asyncio.Event()])
    async with running(made) as run:
        await until(lambda: len(run.log.mentions) == 2, "it went on")
        assert state in [name for name, _ in run.states]
        assert least <= run.waits[0] <= most
        assert made.asked == [None, "a"]


async def test_pages_without_news_move_the_checkpoint_now_and_then_only():
    clock = Clock()

    class Quiet(Told):
        async def listen(self, cursor):
            self.asked.append(cursor)
            for number in range(100):
                clock.now += timedelta(seconds=1)
                yield Page(cursor=f"{number:03}")
            await asyncio.Event().wait()

    class Counting(MemoryPublisher):
        saved = ()

        async def publish(self, mentions, checkpoint, *more):
            self.saved += (checkpoint.cursor,)
            await super().publish(mentions, checkpoint, *more)

    publisher = Counting("example")
    made = kit.make(Quiet, given=Settings()).script()
    async with running(made, publisher=publisher, clock=clock) as run:
        await until(lambda: publisher.saved[-1:] == ("090",), "the last of a hundred")
        assert publisher.saved == tuple(f"{n:03}" for n in range(0, 100, 10))
    async with running(made, publisher=publisher, clock=clock) as run:
        await until(lambda: len(made.asked) == 2, "it listens again")
        assert made.asked[-1] == "090"
        assert run.log.mentions == []


async def test_a_page_that_is_not_committed_is_asked_for_again():
    made = told([Page(some(1), "a"), Page(some(2), "b"), Page(some(3), "c")], [Page(some(2, 3), "c"), asyncio.Event()])
    log = MemoryLog()

    class Fails(MemoryPublisher):
        async def publish(self, mentions, *given, **more):
            if mentions and mentions[0].native_id == "2" and len(made.asked) == 1:
                raise BrokerUnavailableError("Kafka is away")
            await super().publish(mentions, *given, **more)

    async with running(made, publisher=Fails("example", log)) as run:
        await until(lambda: len(log.mentions) == 3, "all")
        assert made.asked == [None, "a"]
        assert [m.native_id for m in log.mentions] == ["1", "2", "3"]
        assert ("waiting", "Kafka is away") in run.states
        assert run.count("earshot_mentions_published_total") == 3


async def test_who_is_fenced_ends_and_closes_its_connection():
    held = asyncio.Event()
    made = told([Page(some(1), "a"), held, Page(some(2), "b")])
    log = MemoryLog()
    async with running(made, log) as run:
        await until(lambda: log.mentions, "the first page")
        await MemoryPublisher("example", log).start()
        held.set()
        await until(run.task.done, "it ended")
        assert run.states[-1] == ("stopped", "another process runs it")
        assert made.open == 0
        assert len(log.mentions) == 1


async def test_cancelling_in_the_middle_of_a_commit_closes_the_connection_and_moves_nothing():
    started = asyncio.Event()

    class Hangs(MemoryPublisher):
        async def publish(self, *given, **more):
            started.set()
            await asyncio.Event().wait()

    made, log = told([Page(some(1), "a"), asyncio.Event()]), MemoryLog()
    async with running(made, publisher=Hangs("example", log)) as run:
        await started.wait()
        assert made.open == 1
        await run.stop()
        assert (made.open, log.mentions, log.checkpoints) == (0, [], {})
        assert run.states[-1] == ("stopped", None)


async def test_a_gap_is_told_once_and_counted():
    gap = Gap(kit.NOW - timedelta(hours=2), kit.NOW - timedelta(hours=1), "too old")
    made = told([Page(some(1), "a", gap=gap), Page(some(2), "b"), asyncio.Event()])
    async with running(made) as run:
        await until(lambda: len(run.log.mentions) == 2, "both")
        assert [one.reason for one in run.log.coverage if one.gap_from] == ["too old"]
        assert run.count("earshot_source_gap_seconds_total") == 3600


# ----------------------------------------------------------------------------------------------------- called


async def test_pages_that_come_together_are_committed_in_their_order_and_each_caller_is_told():
    made = called()
    async with running(made) as run:
        await until(lambda: run.states[-1:] == [("listening", "http://here")], "it listens")
        await asyncio.gather(*(made.publish(Page(some(n))) for n in range(700)))
        assert [m.native_id for m in run.log.mentions] == [str(n) for n in range(700)]


async def test_a_failed_commit_is_told_to_all_who_wait_and_the_source_stays_open():
    made, log = called(), MemoryLog()
    async with running(made, log) as run:
        await until(lambda: run.states[-1:] == [("listening", "http://here")], "it listens")
        log.fail = [BrokerUnavailableError("Kafka is away")]
        told_all = await asyncio.gather(*(made.publish(Page(some(n))) for n in range(5)), return_exceptions=True)
        assert {type(one) for one in told_all} == {BrokerUnavailableError}
        with pytest.raises(BrokerUnavailableError):
            await made.publish(Page(some(9)))
        await until(lambda: run.states[-1] == ("listening", "http://here"), "it is back")
        await made.publish(Page(some(1)))
        assert [m.native_id for m in log.mentions] == ["1"]
        assert [state for state, _ in run.states] == ["starting", "listening", "waiting", "listening"]


async def test_a_push_source_that_is_fenced_refuses_its_callers_and_ends():
    made, log = called(), MemoryLog()
    async with running(made, log) as run:
        await until(lambda: run.states[-1:] == [("listening", "http://here")], "it listens")
        await MemoryPublisher("example", log).start()
        with pytest.raises(BrokerUnavailableError):
            await made.publish(Page(some(1)))
        await until(run.task.done, "it ended")
        assert run.states[-1] == ("stopped", "another process runs it")
        with pytest.raises(BrokerUnavailableError, match="stopping"):
            await made.publish(Page(some(2)))


async def test_what_is_brought_while_a_source_ends_is_committed_or_refused_never_left_waiting():
    made, log = called(), MemoryLog()
    made.slow_to_end = 0.05
    async with running(made, log) as run:
        await until(lambda: run.states[-1:] == [("listening", "http://here")], "it listens")
        stopping = asyncio.create_task(run.stop())
        await asyncio.sleep(0)
        await made.publish(Page(some(1)))
        await stopping
        with pytest.raises(BrokerUnavailableError):
            await made.publish(Page(some(2)))
    assert [m.native_id for m in log.mentions] == ["1"]


async def test_a_push_source_that_cannot_listen_is_tried_again_within_a_minute_or_so():
    class Shut(Called):
        async def serve(self, publish, listening):
            raise ConfigError("the port is taken")

    async with running(kit.make(Shut, given=Settings())) as run:
        await until(lambda: run.waits, "a wait")
        assert run.states[-1] == ("refused", "the port is taken")
        assert 50 <= run.waits[0] <= 70


async def test_gaps_and_cursors_of_pages_that_come_together_are_kept():
    made = called()
    gaps = [Gap(kit.NOW - timedelta(hours=n + 1), kit.NOW - timedelta(hours=n), "missed") for n in range(2)]
    async with running(made) as run:
        await until(lambda: run.states[-1:] == [("listening", "http://here")], "it listens")
        pages = [Page(some(1), "a", gap=gaps[0]), Page(some(2), gap=gaps[1]), Page(some(3), "c"), Page(some(4))]
        await asyncio.gather(*map(made.publish, pages))
        assert run.log.checkpoints["example"].cursor == "c"
        assert run.count("earshot_source_gap_seconds_total") == 7200
