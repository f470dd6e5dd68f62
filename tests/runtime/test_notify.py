"""The shell of notify without Kafka: settings, series, what one notifier's trouble means to the others."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition

from pipeline.config.model import Config
from pipeline.contract.errors import ConfigError, ReceiverRefusedError, ReceiverUnavailableError
from pipeline.contract.events import Heartbeat, Severity
from pipeline.contract.metrics import Metrics
from pipeline.core.notifying.plan import Plan
from pipeline.core.notifying.values import Became, Receiver, Record
from pipeline.notifiers.base import Notifier
from pipeline.notifiers.registry import Configured
from pipeline.notifiers.settings import Settings
from pipeline.runtime import notified, notify, notify_counts
from pipeline.runtime.health import Health
from pipeline.runtime.notify import NotifyWorker
from pipeline.runtime.roles import Role
from pipeline.runtime.status import Status
from tests.notifiers.alerts import NOW, an_alert

PLACE = TopicPartition("alerts", 0)


class Recording(Notifier[Settings]):
    """Raises what it is given, then takes everything."""

    kind = "recording"

    def __init__(self, *errors):
        super().__init__("recording", Settings())
        self.errors = list(errors)
        self.told = []

    async def notify(self, notification):
        if self.errors:
            raise self.errors.pop(0)
        self.told.append(notification.key)


def a_role(config=None):
    client = {"bootstrap.servers": "127.0.0.1:1"}
    config = config or Config(version=1)
    return Role("notify", config, client, "t", Metrics(), Health(), Status(), threading.Event())


@contextlib.asynccontextmanager
async def a_worker(**notifiers):
    """A worker that has one partition and one firing alert to tell, and no connection."""
    receivers = [
        Configured(Receiver(name, frozenset(Severity), 0, 3600), notifier) for name, notifier in notifiers.items()
    ]
    worker = NotifyWorker(a_role(), receivers, clock=lambda: NOW, chance=lambda: 0.5)
    plan = worker._plans[PLACE] = Plan([one.receiver for one in receivers])
    plan.take(Record(0, NOW, an_alert(0)), NOW)
    try:
        yield worker, plan
    finally:
        await worker._end()


def count(worker, name, reason):
    return worker.metrics.notifications_failed.labels(name, reason)._value.get()


def test_wrong_settings_end_the_role_before_it_looks_for_kafka():
    with pytest.raises(ConfigError, match=r"notifiers\.am\.url: is missing"):
        notify.serve(a_role(Config(version=1, notifiers={"am": {"type": "alertmanager"}})))


async def test_every_series_is_there_before_anything_happens():
    async with a_worker(pager=Recording()) as (worker, _):
        samples = {(s.name, *sorted(s.labels.values())) for f in worker.metrics.registry.collect() for s in f.samples}
        for occasion in ("firing", "updated", "repeated", "resolved"):
            assert ("earshot_notifications_total", *sorted((occasion, "pager"))) in samples
        for reason in notify_counts.FAILURES:
            assert ("earshot_notifications_failed_total", *sorted(("pager", reason))) in samples
        for reason in notify_counts.HELD:
            assert ("earshot_notifications_held_total", reason) in samples


async def test_the_trouble_of_one_is_not_that_of_another():
    fine, down = Recording(), Recording(ReceiverUnavailableError("down", retry_after=30))
    async with a_worker(fine=fine, down=down) as (worker, plan):
        worker._send(NOW)
        await worker._drain()
        assert fine.told == ["0123456789abcdef-firing-fine"]
        assert count(worker, "down", "unavailable") == 1
        assert plan.position()[0] == 0
        worker._send(NOW + timedelta(seconds=29))
        assert not worker._sending
        worker._send(NOW + timedelta(seconds=30))
        await worker._drain()
        assert down.told == ["0123456789abcdef-firing-down"]
        assert plan.position()[0] == 1


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (ReceiverRefusedError("no"), "refused", "bad: refused at attempt 1: no"),
        (KeyError("secret text"), "failed", "bad: refused at attempt 1: an error of earshot's own (KeyError)"),
    ],
)
async def test_what_is_refused_or_our_own_fault_is_given_up_and_said_without_quoting(error, reason, said):
    fine, bad = Recording(), Recording(error)
    async with a_worker(fine=fine, bad=bad) as (worker, plan):
        worker._send(NOW)
        await worker._drain()
        assert fine.told
        assert count(worker, "bad", reason) == 1
        (finished,) = plan.finished()
        assert (finished.became, finished.error) == (Became.DEAD_LETTER, said)


async def test_an_outcome_for_a_partition_that_has_gone_is_counted_and_forgotten():
    async with a_worker(pager=Recording()) as (worker, plan):
        worker._send(NOW)
        worker._plans.clear()
        await worker._drain()
        assert worker.metrics.notifications.labels("pager", "firing")._value.get() == 1
        assert plan.finished() == []


async def test_a_worker_without_partitions_is_not_ready_and_says_why():
    async with a_worker(pager=Recording()) as (worker, _):
        assert worker._why_not_ready() == "no partitions are assigned yet"
        assert worker._why_stuck() is None
        worker.turned_at -= notify.STALLED + 1
        assert "stood still" in worker._why_stuck()


@pytest.mark.parametrize(("age", "is_passage"), [(0, True), (25, True), (31, False), (3600, False)])
def test_a_heartbeat_from_before_the_start_says_nothing_about_now(age, is_passage):
    began = datetime(2026, 1, 1, tzinfo=UTC)
    at = began - timedelta(seconds=age)
    assert notify.passes(Heartbeat(partition=0, sent_at=at, stage="reputation", passed_at=at), began) is is_passage


def test_what_is_no_alert_is_no_record():
    assert notified.read(1, 0, b"?") is None
    assert notified.read(1, 0, None) is None
    assert notified.fingerprint_in(b"acme/0123") == "0123"
    assert notified.fingerprint_in(None) == ""
