"""The worker of reputation without Kafka: settings, watchdog, carrying."""

import asyncio
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError

from pipeline.broker.client import aiokafka
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, ConfigError, FencedError
from pipeline.contract.events import Counts, Heartbeat, Pulse, Tick
from pipeline.contract.metrics import Metrics
from pipeline.runtime.dead_letters import Limit
from pipeline.runtime.health import Health
from pipeline.runtime.reputation import carrying, faust_app, worker
from pipeline.runtime.reputation.carrying import Carrier, FoldFailedError
from pipeline.runtime.reputation.partitions import Partition, Partitions
from pipeline.runtime.roles import Role
from pipeline.runtime.status import Status
from pipeline.topology import ALERTS, HEARTBEATS, PULSE

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
PLAIN = {"bootstrap.servers": "kafka-1:9092,kafka-2:9093"}


def a_partition():
    return Partition(number=2, producer=None, committed=0, raw={})


def a_message(offset, event, *, kind=None, value=None, written=NOW):
    headers = codec.headers(kind or type(event), event_id="1", source="/test", at=NOW)
    value = codec.encode(event) if value is None else value
    facts = {"offset": offset, "topic": PULSE, "partition": 2, "key": b"acme", "value": value, "headers": headers}
    return SimpleNamespace(**facts, timestamp=written.timestamp())


def a_pulse(minute, n=10, negative=1):
    counts = Counts(mentions=n, negative=negative, positive=n - negative, score_sum=float(n - 2 * negative))
    return Pulse(brand="acme", source="rss", minute=minute, counts=counts, sent_at=NOW)


def counts_of(partition, metrics):
    for child, count in partition.counts.items():
        child.inc(count)
    partition.counts.clear()
    return {
        name: sum(
            sample.value
            for family in getattr(metrics, name).collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["stage"] == "reputation"
        )
        for name in ("received", "processed", "discarded", "dead_letters")
    }


@pytest.fixture
def minute():
    return int(NOW.timestamp() // 60)


def test_received_is_processed_and_discarded_and_dead_lettered(minute):
    metrics = Metrics()
    carrier = Carrier(Config(version=1), metrics)
    partition = a_partition()
    beat = Heartbeat(partition=1, sent_at=NOW, stage="triage", passed_at=NOW)
    messages = [
        a_message(0, a_pulse(minute)),
        a_message(1, Tick(at=NOW, partition=2)),
        a_message(2, beat),
        a_message(3, a_pulse(minute), value=b"\xff"),
        a_message(4, a_pulse(minute + 30)),
        a_message(5, a_pulse(-1)),
        a_message(6, a_pulse(minute - 60 * 24 * 10)),
        a_message(0, a_pulse(minute)),
    ]
    for message in messages:
        carrier.carry(partition, message, NOW)
    assert counts_of(partition, metrics) == {"received": 8, "processed": 4, "discarded": 1, "dead_letters": 3}
    assert partition.brand(b"acme").counted == 10
    assert partition.brand(b"acme").late == 10
    assert [record.topic for record in partition.records] == [HEARTBEATS, "pulse-dlq", "pulse-dlq", "pulse-dlq"]


def test_a_clock_that_is_behind_refuses_nothing_that_was_written_in_time(minute):
    carrier = Carrier(Config(version=1), Metrics())
    partition = a_partition()
    hour_behind = NOW - timedelta(hours=1)
    carrier.carry(partition, a_message(0, a_pulse(minute)), hour_behind)
    carrier.carry(partition, a_message(1, a_pulse(minute + 60)), hour_behind)  # ahead of whoever wrote it, too
    assert partition.brand(b"acme").counted == 10
    assert [record.topic for record in partition.records] == ["pulse-dlq"]


def test_an_error_in_the_fold_is_tried_once_and_then_set_aside(minute, monkeypatch):
    carrier = Carrier(Config(version=1), Metrics())
    partition = a_partition()
    monkeypatch.setattr(carrying.fold, "pulse", lambda *_: 1 / 0)
    with pytest.raises(FoldFailedError):
        carrier.carry(partition, a_message(0, a_pulse(minute)), NOW)
    partition.forget()
    assert (partition.next, partition.brands, partition.counts.total()) == (0, {}, 0)
    carrier.carry(partition, a_message(0, a_pulse(minute)), NOW)
    assert [record.topic for record in partition.records] == ["pulse-dlq"]


def test_alerts_go_where_their_brand_is_and_name_themselves(minute):
    carrier = Carrier(Config(version=1), Metrics())
    partition = a_partition()
    script = [(10, 1)] * 90 + [(60, 50)] * 6
    for offset, (n, negative) in enumerate(script):
        carrier.carry(partition, a_message(offset, a_pulse(minute - 95 + offset, n, negative)), NOW)
    told = [record for record in partition.records if record.topic == ALERTS]
    assert told
    assert {record.partition for record in told} == {2}
    assert len({record.key for record in told}) == 1
    identities = [codec.header(record.headers, "ce_id") for record in told]
    assert [identity.rpartition("-")[2] for identity in identities] == [str(n) for n in range(len(told))]


def test_rules_of_one_brand_are_its_own():
    config = Config(version=1, alerts={"min_mentions": 30, "brands": {"acme": {"min_mentions": 5}}})
    carrier = Carrier(config, Metrics())
    assert (carrier.rules("acme").min_mentions, carrier.rules("zeta").min_mentions) == (5, 30)


def test_addresses_and_plain_text():
    app = faust_app.make("a", PLAIN, None, instance="0")
    assert [str(url) for url in app.conf.broker] == ["aiokafka://kafka-1:9092", "aiokafka://kafka-2:9093"]
    assert app.conf.broker_credentials is None
    assert app.in_transaction


def test_sasl_with_and_without_tls_reaches_faust():
    sasl = {**PLAIN, "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "secret"}
    found = faust_app.credentials(aiokafka({**sasl, "security.protocol": "SASL_PLAINTEXT"}))
    assert (found.mechanism.value, found.username, found.protocol.value) == ("SCRAM-SHA-512", "u", "SASL_PLAINTEXT")
    assert "secret" not in repr(found)
    found = faust_app.credentials(aiokafka({**sasl, "security.protocol": "SASL_SSL"}))
    assert found.protocol.value == "SASL_SSL"
    assert isinstance(found.ssl_context, ssl.SSLContext)


def test_tls_reaches_faust():
    found = faust_app.credentials(aiokafka({**PLAIN, "security.protocol": "SSL"}))
    assert found.context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(("given", "port"), [("off", None), ("6066", 6066)])
def test_the_port_of_the_web_view_can_be_said(monkeypatch, given, port):
    monkeypatch.setenv("EARSHOT_FAUST_WEB", given)
    assert faust_app.web_port() == port


def test_a_wrong_port_of_the_web_view_is_named(monkeypatch):
    monkeypatch.setenv("EARSHOT_FAUST_WEB", "on")
    with pytest.raises(ConfigError, match="EARSHOT_FAUST_WEB=on: write a port, or off"):
        faust_app.web_port()


@pytest.fixture
async def watched():
    role = Role("reputation", Config(version=1), PLAIN, "0", Metrics(), Health(), Status(), threading.Event())
    found = worker.Worker(role)
    found.app = SimpleNamespace(crashed=False, should_stop=False, rebalancing=False, crash_reason=None)
    return found


async def test_no_progress_for_a_minute_ends_a_worker_with_partitions(watched):
    now = time.monotonic()
    watched.partitions.open = {0: a_partition()}
    watched.progress_at = now
    watched.look_after(now + worker.STALLED)
    with pytest.raises(worker.StalledError, match="no progress for 60 s"):
        watched.look_after(now + worker.STALLED + 1)


async def test_a_rebalance_that_does_not_end_is_a_stall_and_having_nothing_to_do_is_none(watched):
    now = time.monotonic()
    watched.progress_at = now
    watched.look_after(now + 1000)
    watched.app.rebalancing = True
    watched.look_after(now + 1000 + worker.STALLED)
    with pytest.raises(worker.StalledError):
        watched.look_after(now + 1001 + worker.STALLED)


async def test_what_ended_faust_or_the_agent_is_told(watched):
    watched.failure = FencedError("another worker has it")
    with pytest.raises(FencedError):
        watched.look_after(0.0)
    watched.failure = KeyError("x")
    with pytest.raises(worker.StalledError, match="KeyError"):
        watched.look_after(0.0)
    watched.failure, watched.app.crashed = None, True
    with pytest.raises(worker.StalledError, match="Faust ended itself"):
        watched.look_after(0.0)


async def test_what_was_fetched_too_early_is_not_folded(watched, monkeypatch):
    """Faust hands on offset 9 first, although 5 has not been read: 9 waits until 5 has come."""
    partition = a_partition()
    partition.committed = partition.next = 5
    watched.partitions.open = {2: partition}
    sought = []

    async def seek(place, offset):
        sought.append(offset)

    place = SimpleNamespace(topic=PULSE, partition=2)
    watched.app.consumer = SimpleNamespace(assignment=lambda: [place], seek=seek)
    monkeypatch.setattr(worker, "first_record", lambda *_: 6)
    minute = int((datetime.now(UTC) - timedelta(hours=1)).timestamp() // 60)
    for offset in (9, 10, 6, 8, 9):
        await watched._event(a_message(offset, a_pulse(minute, n=offset)))
    assert sought == [6]
    assert partition.next == 10
    assert partition.brand(b"acme").counted == 6 + 8 + 9


class BrokenProducer:
    """Fails at one step of a transaction, as a broker that goes away does."""

    def __init__(self, at):
        self.at = at
        self.done = []

    def __getattr__(self, name):
        async def step(*_, **__):
            self.done.append(name)
            if name == self.at:
                raise KafkaConnectionError
            arrived = asyncio.get_running_loop().create_future()  # what `send` gives is waited for
            arrived.set_result(None)
            return arrived

        return step


@pytest.mark.parametrize("at", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
async def test_a_commit_that_failed_is_not_tried_again_with_less_in_it(minute, at):
    """Nobody knows what became of it: a second try with the offset alone would lose what was folded."""
    partitions = Partitions(PLAIN, "g", Metrics(), Limit(0.5, 1000))
    partition = a_partition()
    partition.producer = BrokenProducer(at)
    partitions.open = {2: partition}
    Carrier(Config(version=1), partitions.metrics).carry(partition, a_message(0, a_pulse(minute)), NOW)
    with pytest.raises(BrokerUnavailableError, match="could not be committed"):
        await partitions.commit()
    partition.producer.at = None
    partition.producer.done.clear()
    await partitions.leave()
    assert partition.producer.done == ["stop"]
    assert partitions.metrics.processed.labels("reputation")._value.get() == 0


def test_brands_that_another_worker_has_now_are_not_shown_any_more(minute):
    metrics = Metrics()
    carrier = Carrier(Config(version=1), metrics)
    partition = a_partition()
    carrier.carry(partition, a_message(0, a_pulse(minute, 10, 4)), NOW)
    carrier.show([partition])
    assert metrics.registry.get_sample_value("earshot_brand_mentions", {"brand": "acme"}) == 10
    assert metrics.registry.get_sample_value("earshot_brand_negative_ratio", {"brand": "acme"}) == 0.4
    carrier.show([])
    assert metrics.registry.get_sample_value("earshot_brand_mentions", {"brand": "acme"}) is None
