"""How complete is what we hear: a source's own rhythm, and what is told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.base import Page, PollingSettings, mention
from connectors.coverage import Hearing
from connectors.publisher import MemoryLog, MemoryPublisher
from connectors.rhythm import Rhythm
from connectors.runner import Runner
from pipeline.contract import codec
from pipeline.contract.errors import RateLimitedError
from pipeline.contract.events import Checkpoint
from pipeline.contract.metrics import Metrics
from tests.connectors import kit
from tests.connectors.test_account import Clock
from tests.connectors.test_runner import Window


def some(*numbers, at=kit.NOW):
    return [mention("told", n, created_at=at, now=at, text=f"text {n}") for n in numbers]


def heard(hours, per_hour, every=600, rhythm=None, start=kit.NOW):
    """The rhythm after so many hours with so many mentions in each, asked so often."""
    rhythm, now = rhythm or Rhythm(), start
    for _ in range(int(hours * 3600 / every)):
        now += timedelta(seconds=every)
        count = per_hour(now - timedelta(seconds=1)) if callable(per_hour) else per_hour
        rhythm = rhythm.after(round(count * every / 3600), now)
    return rhythm, now


@pytest.mark.parametrize("every", [60, 600, 3600, 3 * 3600])
def test_a_steady_source_is_learned_however_often_it_is_asked(every):
    rhythm, now = heard(50, 60, every)
    assert rhythm.is_known
    assert rhythm.usual(now, now + timedelta(hours=2)) == pytest.approx(120, rel=0.1)


def test_a_quiet_night_misses_little_and_a_quiet_day_much():
    def by_day(at):
        return 60 if 8 <= at.hour < 22 else 0

    rhythm, now = heard(24 * 4, by_day)
    assert now.hour == 12
    night, _ = heard(9, 0, rhythm=heard(10, by_day, rhythm=rhythm, start=now)[0], start=now + timedelta(hours=10))
    assert night.quiet == pytest.approx(0, abs=1)
    day, _ = heard(2, 0, rhythm=rhythm, start=now)
    assert day.quiet == pytest.approx(120, rel=0.1)


def test_silence_ends_with_the_first_mention():
    rhythm, now = heard(50, 60)
    quiet, now = heard(1, 0, rhythm=rhythm, start=now)
    assert quiet.quiet > 50
    assert quiet.after(1, now + timedelta(seconds=60)).quiet == 0


def test_what_was_not_asked_is_not_learned_from():
    rhythm, now = heard(50, 60)
    later = rhythm.after(0, now + timedelta(hours=7))
    assert later.hours == rhythm.hours
    assert later.quiet == 0


def test_a_rhythm_outlasts_a_restart_with_the_checkpoint():
    rhythm, now = heard(50, 60)
    first = Hearing("example", "told", Metrics())
    first.rhythm, first.newest_at = heard(1, 0, rhythm=rhythm, start=now)[0], kit.NOW
    saved = codec.decode(Checkpoint, codec.encode(first.onto(Checkpoint(connector="c", cursor="1", saved_at=now))))
    metrics = Metrics()
    second = Hearing("example", "told", metrics)
    second.resume(saved)
    assert second.rhythm.quiet == pytest.approx(first.rhythm.quiet, abs=0.01)
    assert second.rhythm.is_known
    newest = metrics.registry.get_sample_value(
        "earshot_source_last_mention_timestamp_seconds", {"connector": "example"}
    )
    assert newest == kit.NOW.timestamp()


def test_an_empty_source_is_told_of_every_hour_and_every_question_by_itself():
    hearing, clock, told = Hearing("example", "told", Metrics()), Clock(), []
    for _ in range(13):
        told += hearing.told(Page(), [], clock.now)
        clock.now += timedelta(minutes=10)
    assert [(one.seen, one.usual) for one in told] == [(0, None), (0, None)]
    page = Page(some(1, 2), queries={"acme": (2, 5), "apex": (0, None)}, expected=5)
    whole, acme, apex = hearing.told(page, page.mentions, clock.now)
    assert (whole.seen, whole.expected, whole.newest_at, whole.query) == (2, 5, kit.NOW, None)
    assert (acme.query, acme.seen, acme.expected) == ("acme", 2, 5)
    assert (apex.query, apex.seen, apex.expected) == ("apex", 0, None)


def test_what_was_seen_of_what_there_is_is_that_of_a_whole_walk():
    metrics = Metrics()
    hearing = Hearing("example", "told", metrics)
    hearing.told(Page(some(*range(60)), "a", is_full=True, expected=100), [], kit.NOW)
    hearing.told(Page(some(*range(20)), "b", expected=100), [], kit.NOW)
    assert metrics.registry.get_sample_value("earshot_source_coverage_ratio", {"connector": "example"}) == 0.8


async def test_a_long_wait_a_source_asks_for_outlasts_a_restart():
    log, made = MemoryLog(), kit.make(Window, given=PollingSettings())
    made.showing(RateLimitedError("asks to wait", 3000))
    metrics = Metrics()
    waits, states = await kit.run(made, 1, log=log, metrics=metrics)
    assert waits.waited[0] >= 3000
    assert log.checkpoints["example"].waits_until >= kit.NOW + timedelta(seconds=3000)
    limited = metrics.registry.get_sample_value("earshot_source_limited_seconds_total", {"connector": "example"})
    assert limited == waits.waited[0]

    again = kit.make(Window, given=PollingSettings()).showing(Page(some(1), "c"))
    waits, states = await kit.run(again, 1, log=log)
    assert waits.waited[0] >= 3000
    assert again.asked == []
    assert states[-1][0] == "waiting"
    await kit.run(again, 3, log=log)
    assert [one.native_id for one in log.mentions] == ["1"]
    assert log.checkpoints["example"].waits_until is None


async def test_silence_is_a_metric_that_ends_with_the_next_mention():
    metrics, clock = Metrics(), Clock()
    made = kit.make(Window, given=PollingSettings())
    runner = Runner(
        made, MemoryPublisher("example", MemoryLog()), metrics, clock=clock, log=kit.Lines(), chance=lambda: 0.5
    )
    await runner._start()

    def empty():
        return metrics.registry.get_sample_value("earshot_source_empty_seconds", {"connector": "example"})

    for page, expected in ((Page(), 0), (Page(), 500), (Page(some(1), "a"), 0), (Page(), 500)):
        made.showing(page)
        await runner._poll()
        assert empty() == expected
        clock.now += timedelta(seconds=500)
