"""What the runner promises to every connector: nothing lost, nothing twice, whatever the size of pages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors import runner as module
from connectors.base import Page, PollingConnector, PollingSettings, mention
from connectors.position import MAX_MARKS, Position, mark_of, mark_of_delivery
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError
from tests.connectors import kit


def some(*numbers, **more):
    return [mention("told", n, created_at=kit.NOW, now=kit.NOW, **{"text": f"text {n}", **more}) for n in numbers]


class Window(PollingConnector[PollingSettings]):
    """A source that shows the same window of its texts each time, as feeds do."""

    name = "told"
    seen_limit = 100

    def showing(self, *pages):
        self.pages = list(pages)
        self.asked = []
        return self

    async def fetch(self, cursor):
        self.asked.append(cursor)
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        if isinstance(page, Exception):
            raise page
        return page


def window(*pages):
    return kit.make(Window, given=PollingSettings()).showing(*pages)


async def test_a_window_larger_than_what_is_remembered_is_published_once():
    log = MemoryLog()
    whole = Page(some(*range(1000)), "c")
    some_of_it, later = Page(some(*range(990, 1000)), "c"), Page(some(*range(5, 1005)), "d")
    await kit.run(window(whole, some_of_it, later), 6, log=log)
    assert [m.native_id for m in log.mentions] == [str(n) for n in range(1005)]


class Interrupted(MemoryPublisher):
    """Fails once, at the given call."""

    def __init__(self, log, at):
        super().__init__("example", log)
        self.at = at
        self.calls = 0

    async def publish(self, *given, **more):
        self.calls += 1
        if self.calls == self.at:
            raise BrokerUnavailableError("Kafka is away")
        await super().publish(*given, **more)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_page_in_several_parts_that_is_cut_anywhere_is_whole_and_single_afterwards(monkeypatch, at):
    monkeypatch.setattr(module, "MAX_PAGE", 300)
    log = MemoryLog()
    page = Page(some(*range(1000)), "end")
    runner = module.Runner(
        window(page), Interrupted(log, at), module.Metrics(), clock=kit.clock, wait=kit.Steps(4), log=kit.Lines()
    )
    with pytest.raises(kit.Steps.End):
        await runner.run()
    assert [m.native_id for m in log.mentions] == [str(n) for n in range(1000)]
    assert log.checkpoints["example"].cursor == "end"


@pytest.mark.parametrize("at", [2, 3, 4])
async def test_what_a_page_in_several_parts_repeats_of_the_page_before_stays_known_wherever_it_is_cut(monkeypatch, at):
    monkeypatch.setattr(module, "MAX_PAGE", 700)
    log = MemoryLog()
    pages = Page(some(*range(400)), "first"), Page(some(*range(350, 2500)), "end")
    runner = module.Runner(
        window(*pages),
        Interrupted(log, at),
        module.Metrics(),
        clock=kit.clock,
        wait=kit.Steps(6),
        log=kit.Lines(),
    )
    with pytest.raises(kit.Steps.End):
        await runner.run()
    assert [m.native_id for m in log.mentions] == [str(n) for n in range(2500)]


async def test_what_kafka_would_refuse_for_its_size_is_a_dead_letter_and_does_not_come_round_for_ever():
    log = MemoryLog()
    large = some(2, text="\x01" * codec.MAX_TEXT, title="\x01" * codec.MAX_TEXT)
    _, states = await kit.run(window(Page([*some(1), *large, *some(3)], "c")), 2, log=log)
    assert [m.native_id for m in log.mentions] == ["1", "3"]
    assert [part.error for part in log.rejected[:1]] == ["told: larger than any mention may be"]
    assert states[-1][0] == "listening"


def test_marks_become_fewer_by_and_by_never_at_once():
    position = Position("c", 10, None)
    _, position.seen = position.after(some(*range(100)), "a", kit.NOW)
    assert len(position.seen) == 100
    checkpoint, position.seen = position.after([], "b", kit.NOW)
    assert len(position.seen) == 100
    sizes = []
    for number in range(60):
        _, position.seen = position.after(some(1000 + number), "c", kit.NOW + timedelta(seconds=number))
        sizes.append(len(position.seen))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 90
    assert sizes[-1] == 10
    assert Position("c", 10, checkpoint).fresh(some(*range(100))) == []
    assert len(Position("c", 10, None).after(some(*range(MAX_MARKS + 10)), "a", kit.NOW)[1]) == MAX_MARKS


def test_a_delivery_and_a_mention_never_have_the_same_mark():
    [found] = some(1)
    assert mark_of(found) != mark_of_delivery(found.id)
    assert mark_of_delivery("a") != mark_of_delivery("b")
