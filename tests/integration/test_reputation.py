"""Reputation on real Kafka: exactly once, in order, alerts and heartbeats, bad input, restarts, faults."""

import collections
import json
import random
import signal
import threading
import time
import urllib.request
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from pipeline.broker.client import quiet
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.codec import header
from pipeline.contract.errors import ConfigError, DeadLetterLimitError
from pipeline.contract.events import Alert, AlertStatus, Heartbeat, Pulse, Severity, Tick
from pipeline.contract.metrics import Metrics
from pipeline.core.reputation import fold
from pipeline.runtime.health import Health
from pipeline.runtime.reputation import carrying, worker
from pipeline.runtime.reputation.restoring import check_topics, first_record, restore
from pipeline.runtime.roles import Role
from pipeline.runtime.status import Status
from pipeline.topology import ALERTS, HEARTBEATS, PULSE
from tests.integration.reputation import (
    CALM,
    STORM,
    Sender,
    Workers,
    a_pulse,
    alerts,
    assert_each_incident_once,
    counted,
    metric,
    now_minute,
    read,
    states,
    totals,
    until,
)

pytestmark = pytest.mark.kafka


class Running:
    """A worker in a thread of this process."""

    def __init__(self, client, config=None):
        self.metrics = Metrics()
        told = []
        status = Status()
        status.tell = lambda **facts: told.append(facts)
        self.told = told
        self.role = Role(
            "reputation",
            config or Config(version=1),
            quiet(client),
            "t",
            self.metrics,
            Health(),
            status,
            threading.Event(),
        )
        self.error = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            worker.serve(self.role)
        except Exception as error:
            self.error = error

    def value(self, name, *labels):
        return getattr(self.metrics, name).labels("reputation", *labels)._value.get()

    def stop(self):
        self.role.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def minutes(brand, calm=90, storm=12, after=45, until_now=True, **more):
    """A scripted incident: pulses minute by minute that end now."""
    base = now_minute() - (calm + storm + after) + 1
    script = [CALM] * calm + [STORM] * storm + [CALM] * after
    return [
        a_pulse(brand, base + offset, 60 if mood is STORM else 10, **mood, **more) for offset, mood in enumerate(script)
    ]


def write(client, topic, *records):
    producer = Producer({**quiet(client), "partitioner": "murmur2_random"})
    for key, value, headers in records:
        producer.produce(topic, value, key, headers=headers)
    assert producer.flush(20) == 0


def test_marks_of_transactions_are_not_remembered(own_kafka, monkeypatch):
    made = []

    class Watched(worker.Worker):
        def __init__(self, role):
            super().__init__(role)
            made.append(self)

    monkeypatch.setattr(worker, "Worker", Watched)
    sender = Sender(own_kafka)
    with Running(own_kafka):
        for _ in range(40):  # each is a transaction, and each has its mark behind it
            sender.send([a_pulse("acme", now_minute(), 10)])
        until(lambda: counted(own_kafka) == 400)
        assert not any(map(len, made[0].app.consumer._gap.values())), "Faust keeps a gap for each, for ever"


def test_pulses_become_states_and_alerts_and_the_sums_add_up(own_kafka, tmp_path):
    sender = Sender(own_kafka)
    both = list(zip(minutes("acme"), minutes("zeta", source="forum"), strict=True))
    for first in range(0, len(both), 10):
        sender.send([pulse for pair in both[first : first + 10] for pulse in pair])
    sender.send([a_pulse("acme", now_minute(), 5000)], commit=False)
    sent = collections.Counter(sender.sent)
    beat = Heartbeat(partition=2, sent_at=datetime.now(UTC), stage="triage", passed_at=datetime.now(UTC))
    made = codec.headers(Heartbeat, event_id="1", source="/test", at=beat.sent_at)
    write(own_kafka, PULSE, (b"heartbeat-2", codec.encode(beat), made), (b"x", b"{no json", None))
    late = codec.headers(Pulse, event_id="2", source="/test", at=beat.sent_at)
    write(own_kafka, PULSE, (b"acme", codec.encode(a_pulse("acme", now_minute() - 10 * 1440, 7)), late))
    with Workers(own_kafka, tmp_path) as workers:
        until(lambda: counted(own_kafka) == sum(sent.values()), what=workers.log)
        until(lambda: read(own_kafka, HEARTBEATS) and read(own_kafka, "pulse-dlq"))
        codes, seconds = workers.stop()
    assert codes == {"0": 0}
    assert seconds < 8
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert totals(own_kafka) == sent
    assert all(state.late in (0, 7) for state in states(own_kafka).values())

    incidents = assert_each_incident_once(alerts(own_kafka))
    assert sorted(found[0].brand for found in incidents.values()) == ["acme", "zeta"]
    for found in incidents.values():
        assert found[-1].status is AlertStatus.RESOLVED
        assert {alert.severity for alert in found[:-1]} <= {Severity.CRITICAL, Severity.WARNING}
    for message in read(own_kafka, ALERTS):
        alert = codec.decode(Alert, message.value())
        assert message.key() == f"{alert.brand}/{alert.fingerprint}".encode()
        assert header(message.headers(), "ce_type") == "earshot.alert.v1"
        assert header(message.headers(), "ce_id") == f"{alert.fingerprint}-{alert.sequence}"

    (passed,) = (codec.decode(Heartbeat, message.value()) for message in read(own_kafka, HEARTBEATS))
    assert (passed.stage, passed.partition) == ("reputation", 2)
    (letter,) = read(own_kafka, "pulse-dlq")
    assert letter.value() == b"{no json"
    assert header(letter.headers(), "dlq_reason") == "undecodable"

    def stage(name, **labels):
        return metric(tmp_path, f"earshot_{name}_total", stage="reputation", **labels)

    received = stage("stage_messages_received")
    assert received >= len(sent) * 147 + 3
    parts = ("stage_messages_processed", "stage_messages_discarded", "dead_letters")
    assert received == sum(stage(part) for part in parts)
    assert stage("dead_letters") == 1
    assert metric(tmp_path, "earshot_pulse_late_total", brand="acme") == 1
    assert metric(tmp_path, "earshot_stage_lag_messages", stage="reputation") < 50


def test_what_was_committed_is_gone_on_from(own_kafka):
    script = minutes("acme")
    sender = Sender(own_kafka)
    for cut in (script[:95], script[95:110], script[110:]):
        sender.send(cut)
        with Running(own_kafka) as running:
            until(lambda: counted(own_kafka) == sum(sender.sent.values()))
        assert running.error is None
    (found,) = assert_each_incident_once(alerts(own_kafka)).values()
    assert found[-1].status is AlertStatus.RESOLVED


def test_offsets_that_somebody_put_back_change_nothing(own_kafka):
    sender = Sender(own_kafka)
    sender.send(minutes("acme"))
    with Running(own_kafka):
        until(lambda: counted(own_kafka) == sum(sender.sent.values()))
    before = alerts(own_kafka)
    kafka = AdminClient(own_kafka)
    kafka.delete_consumer_groups([worker.APP])[worker.APP].result(20)
    with Running(own_kafka) as running:
        until(lambda: running.value("discarded", "duplicate") >= 147)
        sender.send([a_pulse("acme", now_minute(), 3)])
        until(lambda: counted(own_kafka) == sum(sender.sent.values()))
    assert alerts(own_kafka) == before


def test_the_web_view_shows_the_current_windows(own_kafka):
    sender = Sender(own_kafka)
    began = now_minute()
    sender.send(minutes("acme", after=0))
    with Running(own_kafka) as running:
        until(lambda: counted(own_kafka) == sum(sender.sent.values()))
        (told,) = [facts for facts in running.told if "address" in facts]
        with urllib.request.urlopen(told["address"], timeout=5) as answer:
            shown = json.load(answer)["brands"]["acme"]
        # The window is of 15 minutes, and moves on with the clock: a calm minute leaves it with each that passes.
        assert shown["scopes"]["brand"]["mentions"] in {12 * 60 + (3 - n) * 10 for n in range(now_minute() - began + 1)}
        assert shown["scopes"]["source:rss"]["usually"] == 150
        assert list(shown["incidents"]) == ["ReputationDamage"]
        until(lambda: running.value("lag", PULSE) == 0)


def test_silence_is_noticed_by_ticks_alone(own_kafka):
    sender = Sender(own_kafka)
    base = now_minute() - 150
    sender.send([a_pulse("acme", base + offset, 20, **CALM) for offset in range(120)])
    late = datetime.now(UTC)
    made = codec.headers(Tick, event_id="t", source="/test", at=late)
    with Running(own_kafka):
        until(lambda: counted(own_kafka) == sum(sender.sent.values()))
        for _ in range(fold.PATIENCE + 1):
            producer = Producer(quiet(own_kafka))
            for partition in range(4):
                tick = codec.encode(Tick(at=late, partition=partition))
                producer.produce(PULSE, tick, b"tick", partition, headers=made)
            assert producer.flush(20) == 0
        until(lambda: alerts(own_kafka))
    assert alerts(own_kafka)[0].name == "MentionsDrop"


def test_a_minute_in_the_future_is_a_dead_letter_and_does_not_stop_time(own_kafka):
    sender = Sender(own_kafka)
    sender.send([a_pulse("acme", 10**12, 9), a_pulse("acme", now_minute() + 60, 9), a_pulse("acme", now_minute(), 5)])
    with Running(own_kafka):
        until(lambda: counted(own_kafka) == 5)
    letters = read(own_kafka, "pulse-dlq")
    assert [header(letter.headers(), "dlq_reason") for letter in letters] == ["invalid", "invalid"]


def test_a_pulse_that_breaks_the_fold_is_one_dead_letter_and_harms_nothing_else(own_kafka, monkeypatch):
    real = fold.pulse

    def broken(state, event, rules):
        told = real(state, event, rules)  # what is half done must not stay
        if event.counts.mentions == 13:
            raise ZeroDivisionError
        return told

    monkeypatch.setattr(carrying.fold, "pulse", broken)
    sender = Sender(own_kafka)
    good = [a_pulse("acme", now_minute() - 50 + offset, 10) for offset in range(50)]
    sender.send([*good[:30], a_pulse("acme", now_minute(), 13), *good[30:]])
    with Running(own_kafka) as running:
        until(lambda: counted(own_kafka) == 500)
        assert running.value("dead_letters", "failed") == 1
        assert running.value("processed") >= 50
    (letter,) = read(own_kafka, "pulse-dlq")
    assert codec.decode(Pulse, letter.value()).counts.mentions == 13
    assert header(letter.headers(), "dlq_reason") == "failed"


def test_a_worker_that_would_dead_letter_everything_stops(own_kafka):
    write(own_kafka, PULSE, *((str(number).encode(), b"not json", None) for number in range(1200)))
    running = Running(own_kafka, Config(version=1, triage={"dead_letter_window": 20}))
    running.thread.join(30)
    assert isinstance(running.error, DeadLetterLimitError)
    assert "earshot replay pulse-dlq" in str(running.error)
    assert len(read(own_kafka, "pulse-dlq")) < 20, "no more than came before the window was full for the first time"


def test_topics_that_do_not_fit_together_are_named(own_kafka):
    assert check_topics(own_kafka) == 4
    kafka = AdminClient(own_kafka)
    kafka.create_partitions([NewPartitions(PULSE, 6)])[PULSE].result(20)
    until(lambda: len(kafka.list_topics(timeout=10).topics[PULSE].partitions) == 6)
    with pytest.raises(ConfigError, match=r"pulse has 6 partitions, but .*reputation-brands has 4.*topics apply"):
        check_topics(own_kafka)
    kafka.delete_topics([ALERTS])[ALERTS].result(20)
    until(lambda: ALERTS not in kafka.list_topics(timeout=10).topics)
    with pytest.raises(ConfigError, match="alerts do not exist: run `earshot topics apply`"):
        check_topics(own_kafka)


def test_offsets_without_a_record_are_told_from_records(own_kafka):
    kafka = AdminClient(own_kafka)
    kafka.delete_topics([PULSE])[PULSE].result(20)
    until(lambda: PULSE not in kafka.list_topics(timeout=10).topics)
    kafka.create_topics([NewTopic(PULSE, 1)])[PULSE].result(20)
    sender = Sender(own_kafka)
    sender.send([a_pulse("a", 1)])  # 0, its mark is 1
    sender.send([a_pulse("a", 2), a_pulse("a", 3)], commit=False)  # 2, 3 and the mark 4
    sender.send([a_pulse("a", 4)])  # 5
    assert first_record(own_kafka, "g", 0, 0, 5) == 0
    assert first_record(own_kafka, "g", 0, 1, 5) is None
    assert first_record(own_kafka, "g", 0, 1, 6) == 5
    assert restore(own_kafka, "g", [0])[0].next == 0


def test_a_worker_waits_for_a_paused_owner_and_the_owner_is_fenced(own_kafka, tmp_path):
    """The zombie wakes with folded and uncommitted work: nothing of it may be seen."""
    sender = Sender(own_kafka)
    script = minutes("acme")
    with Workers(own_kafka, tmp_path, 2) as workers:
        sender.send(script[:95])
        until(lambda: counted(own_kafka) == sum(sender.sent.values()), what=workers.log)
        first = workers.processes["0"]
        first.send_signal(signal.SIGSTOP)
        sender.send(script[95:])
        other = minutes("zeta", after=0)
        sender.send(other)
        until(lambda: counted(own_kafka) == sum(sender.sent.values()), 40, workers.log)
        first.send_signal(signal.SIGCONT)
        sender.send([a_pulse("acme", now_minute(), 1), a_pulse("zeta", now_minute(), 1)])
        until(
            lambda: (workers.restart(), counted(own_kafka) == sum(sender.sent.values()))[1],
            40,
            workers.log,
        )
        workers.stop()
    assert totals(own_kafka) == sender.sent
    assert_each_incident_once(alerts(own_kafka))


def faults(client, folder, seconds, *, rng, pause=10.0, report=print):
    """Two workers under load, killed and paused at random for `seconds`. Return what was measured; asserts exactness."""
    sender = Sender(client)
    brands = [f"brand-{number}" for number in range(12)]
    sources = ("rss", "x", "forum")
    calm, storm, after = 60, 12, 45
    base = now_minute() - (calm + storm + after + 2)
    steps = calm + storm + after
    began, killed, paused, standstill = time.monotonic(), 0, 0, 0.0
    moved_at, seen, waiting = time.monotonic(), 0, False
    next_fault, resume = began + 6, None
    with Workers(client, folder, 2) as workers:
        while (now := time.monotonic()) < began + seconds:
            at = min(steps - 1, int((now - began) / seconds * steps))
            # Minutes come in order and each is sent several times: pulses add up.
            mood, count = (STORM, 20) if calm <= at < calm + storm else (CALM, 10)
            pulses = [
                a_pulse(brand, base + at, count if brand.endswith(("3", "7")) else 10, source=rng.choice(sources), **m)
                for brand in brands
                for m in [mood if brand.endswith(("3", "7")) else CALM]
            ]
            sender.send(pulses)
            if rng.random() < 0.1:
                sender.send(pulses, commit=False)
            workers.restart()
            if (found := counted(client)) != seen:
                seen, moved_at, waiting = found, now, False
            elif waiting or now - moved_at > 1:
                waiting = True
                standstill = max(standstill, now - moved_at)
            if resume is not None and now > resume[1]:
                resume[0].send_signal(signal.SIGCONT)
                resume = None
            if now > next_fault and now < began + seconds - 2:
                process = workers.processes[rng.choice("01")]
                if rng.random() < 0.6 or resume is not None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
                elif process.poll() is None:
                    process.send_signal(signal.SIGSTOP)
                    resume = (process, now + pause)
                    paused += 1
                next_fault = now + rng.uniform(4, 10)
            time.sleep(0.1)
        if resume is not None:
            resume[0].send_signal(signal.SIGCONT)
        drained = time.monotonic()
        until(
            lambda: (workers.restart(), counted(client) >= sum(sender.sent.values()))[1],
            60,
            lambda: workers.log()[-6000:],
        )
        drained = time.monotonic() - drained
        ends = [code for code in workers.ended if code != -signal.SIGKILL]
        workers.stop()
        log = workers.log()
    incidents = assert_each_incident_once(alerts(client))
    measured = {
        "mentions": sum(sender.sent.values()),
        "killed": killed,
        "paused": paused,
        "ended by themselves": ends,
        "longest standstill": round(standstill, 1),
        "drained in": round(drained, 1),
        "went back": log.count("read too far ahead"),
        "incidents": len(incidents),
    }
    report(json.dumps(measured))
    assert totals(client) == sender.sent
    assert sum(len(state.series) for state in states(client).values()) == len(brands) * (1 + len(sources))
    stormy = sorted(brand for brand in brands if brand.endswith(("3", "7")))
    damage = [found for found in incidents.values() if found[0].name == "ReputationDamage"]
    assert sorted(found[0].brand for found in damage) == stormy
    assert all(found[-1].status is AlertStatus.RESOLVED for found in damage)
    return measured


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_and_paused_workers_lose_nothing_and_repeat_nothing(own_kafka, tmp_path):
    measured = faults(own_kafka, tmp_path, 70, rng=random.Random(11))
    assert measured["killed"] + measured["paused"] >= 5
    assert measured["longest standstill"] < 25
