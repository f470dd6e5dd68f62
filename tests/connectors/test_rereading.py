"""Reading again what was published: edits, deletions told twice, duties by themselves; after a restart too."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from connectors.base import Page, PollingConnector, PollingSettings, mention
from connectors.publisher import MemoryLog
from connectors.rereader import Rereader
from connectors.rereading import DAY, HOUR, Memory, Reread, Rereading
from connectors.runner import Runner
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import State
from pipeline.contract.metrics import Metrics
from tests.connectors import kit
from tests.connectors.test_account import Clock

PLAN = Rereading(ages=(HOUR, DAY), batch=50, memory=500)


def some(*numbers, **more):
    return [
        mention("told", n, created_at=kit.NOW, now=kit.NOW, text=f"text {n}", conversation=f"told:thread-{n}", **more)
        for n in numbers
    ]


class Source(PollingConnector[PollingSettings]):
    """A source whose texts can be edited and deleted."""

    name = "told"
    rereads = PLAN

    def showing(self, *mentions):
        self.there = {one.native_id: one for one in mentions}
        self.page = Page(list(mentions), "c")
        self.asked = []
        self.error = None
        return self

    async def fetch(self, cursor):
        return self.page

    async def reread(self, ids):
        self.asked.append(list(ids))
        if self.error is not None:
            raise self.error
        return Reread(
            [self.there[one] for one in ids if one in self.there], [one for one in ids if one not in self.there]
        )


class Site:
    """A source at work by hand: published at the beginning, read again whenever the clock is moved."""

    def __init__(self, *numbers, plan=PLAN):
        self.log, self.clock = MemoryLog(), Clock()
        self.source = kit.make(Source, given=PollingSettings()).showing(*some(*numbers))
        self.source.rereads = plan
        self.begun = False

    async def start(self):
        from connectors.publisher import MemoryPublisher

        publisher = MemoryPublisher("example", self.log)
        self.runner = Runner(self.source, publisher, Metrics(), clock=self.clock, log=kit.Lines())
        await self.runner._start()
        if not self.begun:
            await self.runner.publish(self.source.page)
            self.begun = True
        self.runner.memory.load(await publisher.remembered())
        self.rereader = Rereader(
            self.source,
            self.runner.memory,
            publisher.remembered,
            self.runner._reread,
            clock=self.clock,
            chance=lambda: 0.5,
            log=kit.Lines(),
        )
        return self

    async def after(self, seconds):
        self.clock.now += timedelta(seconds=seconds)
        while await self.rereader.turn():
            pass
        return [(one.native_id, one.state.value) for one in self.log.mentions[self.count :]]

    @property
    def count(self):
        return len(self.source.page.mentions)


async def test_what_was_published_is_read_again_at_its_ages_and_then_forgotten():
    site = await Site(*range(120)).start()
    assert await site.after(HOUR - 1) == []
    assert site.source.asked == []
    assert await site.after(2) == []
    assert [len(ids) for ids in site.source.asked] == [50, 50, 20]
    await site.after(DAY)
    assert len(site.source.asked) == 6
    await site.after(30 * DAY)
    assert len(site.source.asked) == 6
    assert site.log.memory == {}


async def test_an_absence_counts_when_it_is_told_twice_an_hour_apart():
    site = await Site(1, 2, 3).start()
    del site.source.there["2"]
    assert await site.after(HOUR) == []
    assert await site.after(HOUR - 1) == []
    assert await site.after(1) == [("2", "removed")]
    gone = site.log.mentions[-1]
    assert (gone.id, gone.key, gone.text) == ("told:2", "told:thread-2", "")
    assert gone.is_withdrawn
    assert await site.after(DAY) == [("2", "removed")]
    assert "2" not in site.source.asked[-1]


async def test_what_is_there_again_was_never_gone():
    site = await Site(1, 2).start()
    there = site.source.there.pop("2")
    assert await site.after(HOUR) == []
    site.source.there["2"] = there
    assert await site.after(HOUR) == []
    site.source.there.pop("2")
    assert await site.after(DAY) == []
    assert await site.after(HOUR) == [("2", "removed")]


@pytest.mark.parametrize(
    "error", [SourceRefusedError("401"), SourceUnavailableError("503"), RateLimitedError("429", 60), KeyError("ours")]
)
async def test_an_error_says_nothing_of_any_mention(error):
    site = await Site(*range(5)).start()
    site.source.there.clear()
    site.source.error = error
    site.clock.now += timedelta(days=2)
    for _ in range(5):
        assert await site.rereader._seconds_after_a_turn() > 0
        site.clock.now += timedelta(hours=2)
    assert len(site.log.mentions) == 5
    assert len(site.log.memory) == 1


async def test_an_absence_and_a_restart_later_it_still_counts():
    site = await Site(1, 2).start()
    del site.source.there["1"]
    assert await site.after(HOUR) == []
    await site.start()
    assert await site.after(HOUR) == [("1", "removed")]
    await site.start()
    assert await site.after(2 * DAY) == [("1", "removed")]


async def test_when_nearly_all_of_many_are_absent_it_is_believed_on_the_third_day_only():
    site = await Site(*range(40)).start()
    site.source.there.clear()
    for _ in range(2):
        assert await site.after(HOUR) == []
        assert await site.after(DAY - HOUR - 1) == []
    assert len(await site.after(2 * DAY)) == 40


async def test_edits_are_published_once_and_unchanged_texts_are_not_published_again():
    site = await Site(1, 2).start()
    site.source.there["2"] = msgspec.structs.replace(*some(2), text="edited", revision=7, state=State.EDITED)
    assert await site.after(HOUR) == [("2", "edited")]
    assert await site.after(DAY) == [("2", "edited")]


async def test_a_withdrawal_that_a_source_says_itself_counts_at_once():
    site = await Site(1, 2).start()
    site.source.there["2"] = mention("told", "2", created_at=None, now=kit.NOW, state=State.DELETED, revision=9)
    assert await site.after(HOUR) == [("2", "deleted")]
    assert site.log.mentions[-1].key == "told:thread-2"


async def test_what_the_source_has_withdrawn_by_itself_is_not_read_again():
    site = await Site(1, 2).start()
    gone = mention("told", "2", created_at=None, now=kit.NOW, state=State.DELETED, revision=9)
    await site.runner.publish(Page([gone], "d"))
    await site.after(HOUR)
    assert site.source.asked == [["1"]]


async def test_a_duty_to_delete_is_done_by_itself_whatever_the_source_says():
    site = await Site(1, 2, plan=Rereading(ages=(HOUR,), erase_after=DAY)).start()
    assert await site.after(DAY - 1) == []
    assert len(site.source.asked) == 1
    assert await site.after(1) == [("1", "removed"), ("2", "removed")]
    assert site.log.memory == {}


async def test_a_duty_to_refresh_goes_on_as_long_as_it_is_there():
    site = await Site(1, plan=Rereading(ages=(), every=25 * DAY)).start()
    for number in range(1, 5):
        await site.after(25 * DAY)
        assert len(site.source.asked) == number


async def test_memory_is_bounded_and_the_oldest_are_forgotten_first():
    memory = Memory("example", "told", PLAN)
    for number in range(100):
        outcome = memory.remember(some(*range(number * 10, number * 10 + 10)), kit.NOW + timedelta(seconds=number))
        memory.committed(outcome)
        assert memory.count <= 500
    assert min(int(native) for page in memory.pages.values() for native in page.ids) == 500


async def test_the_runner_reads_again_beside_its_polling():
    class Quick(Source):
        rereads = Rereading(ages=(0.0, 0.0), batch=10)

    log, clock = MemoryLog(), Clock()
    made = kit.make(Quick, given=PollingSettings()).showing(*some(1, 2))
    made.there["1"] = mention("told", "1", created_at=None, now=kit.NOW, state=State.DELETED, revision=9)
    from tests.connectors.streams import running, until

    async with running(made, log, clock=clock) as run:
        await until(lambda: len(log.mentions) == 3, "the deletion")
        assert [one.state for one in log.mentions] == [State.LIVE, State.LIVE, State.DELETED]
        await run.stop()


async def test_raw_payloads_go_with_their_mentions_and_are_taken_away_with_them():
    class Told(Source):
        @classmethod
        def to_mention(cls, row, now):
            return mention("told", row["id"], created_at=now, now=now, text=row["text"], state=row.get("state"))

        async def fetch(self, cursor):
            return self.page([{"id": 1, "text": "it leaks"}, {"id": 2, "text": "it works"}], "c")

        page = PollingConnector.page

    log = MemoryLog()
    made = kit.make(Told, given=PollingSettings())
    await kit.run(made, 1, log=log)
    assert log.raw == {}
    made.keeps_raw = True
    log = MemoryLog()
    await kit.run(made, 2, log=log)
    assert {key: one.payload for key, one in log.raw.items()} == {
        "told:1": '{"id":1,"text":"it leaks"}',
        "told:2": '{"id":2,"text":"it works"}',
    }
    runner = Runner(made, kit.MemoryPublisher("example", log), Metrics(), clock=kit.clock, log=kit.Lines())
    await runner._start()
    await runner.publish(Page([mention("told", 1, created_at=None, now=kit.NOW, state=State.DELETED)], "d"))
    assert log.raw["told:1"] is None
