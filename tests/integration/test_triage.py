"""Triage on real Kafka: exactly once through kill -9 and pauses, bad input, restored memory, replay."""

import collections
import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.codec import header
from pipeline.contract.errors import BrokerUnavailableError, ConfigError, DeadLetterLimitError
from pipeline.contract.events import JudgedMention, Mention, Pulse, State
from pipeline.contract.metrics import Metrics
from pipeline.runtime import replay
from pipeline.runtime.reading import Reader
from pipeline.runtime.transactions import Transactions
from pipeline.runtime.triage import STAGE, TriageWorker

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
DEPARTMENTS = [f"department-{name}" for name in ("service", "support", "design", "marketing", "review")]


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def a_mention(number, text=None, **changes):
    facts = {
        "id": f"test:{number}",
        "source": "test",
        "native_id": str(number),
        "text": text or f"the app keeps crashing and support does not answer, case {number}",
        "created_at": NOW,
        "collected_at": NOW,
    }
    return Mention(**{**facts, **changes})


def send(client, values, topic="mentions"):
    producer = Producer({**client, "partitioner": "murmur2_random", "message.max.bytes": 2_500_000})
    for key, value in values:
        producer.produce(topic, value, key)
        producer.poll(0)
    assert producer.flush(20) == 0


def send_mentions(client, mentions):
    send(client, [(mention.key, codec.encode(mention)) for mention in mentions])


def read(client, *topics):
    with Reader(client, topics, "beginning") as reader:
        return list(reader.until_end())


def ids(client, *topics):
    return collections.Counter(codec.decode(JudgedMention, message.value()).id for message in read(client, *topics))


class Running:
    """A worker in a thread of this process."""

    def __init__(self, client, config=None, instance="t"):
        self.metrics = Metrics()
        self.worker = TriageWorker(config or Config(version=1), client, self.metrics, instance=instance)
        self.error = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.worker.run()
        except Exception as error:
            self.error = error

    def received(self):
        return self.metrics.received.labels(STAGE)._value.get()

    def value(self, metric, *labels):
        return metric.labels(STAGE, *labels)._value.get()

    def stop(self):
        self.worker.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def process(client, instance):
    """A worker as a cluster runs it."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        "triage",
        "--broker",
        client["bootstrap.servers"],
        "--instance",
        instance,
        "--config",
        str(Path(__file__).with_name("smallest.yaml")),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_every_mention_comes_out_once_and_the_sums_add_up(own_kafka):
    send_mentions(own_kafka, [a_mention(number) for number in range(300)])
    send_mentions(own_kafka, [a_mention(number) for number in range(100)])  # the same again
    send(own_kafka, [(None, b"\xff\xfe not json"), (None, b'{"id": 1}'), (None, None)])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 403)
        metrics = running.metrics
        assert running.value(metrics.discarded, "duplicate") == 100
        dead = sum(running.value(metrics.dead_letters, reason) for reason in ("undecodable", "invalid"))
        assert dead == 3
        assert running.value(metrics.processed) == 300
    assert set(ids(own_kafka, "mentions-enriched").values()) == {1}
    assert len(ids(own_kafka, "mentions-enriched")) == 300
    assert set(ids(own_kafka, *DEPARTMENTS)) == {f"test:{number}" for number in range(300)}
    letters = read(own_kafka, "mentions-dlq")
    assert sorted(header(letter.headers(), "dlq_reason") for letter in letters) == ["invalid", "invalid", "undecodable"]


def test_what_is_not_read_yet_is_shown_until_all_is_read(own_kafka):
    send_mentions(own_kafka, [a_mention(number) for number in range(40)])
    with Running(own_kafka, Config.model_validate({"version": 1, "triage": {"batch": 1}})) as running:
        lag = running.metrics.lag
        until(lambda: running.value(lag, "mentions") > 0)
        until(lambda: running.received() == 40)
        until(lambda: running.value(lag, "mentions") == 0)


def test_the_memory_of_repeats_survives_a_restart(own_kafka):
    send_mentions(own_kafka, [a_mention(number) for number in range(50)])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 50)
    send_mentions(own_kafka, [a_mention(number) for number in range(60)])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 60)
        assert running.value(running.metrics.discarded, "duplicate") == 50
    assert set(ids(own_kafka, "mentions-enriched").values()) == {1}


def test_an_edit_is_judged_again_and_a_deletion_reaches_those_who_had_it(own_kafka):
    first = a_mention(1, revision=1)
    send_mentions(own_kafka, [first])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 1)
        send_mentions(own_kafka, [a_mention(1, "I love the new app, great work", revision=2, state=State.EDITED)])
        until(lambda: running.received() == 2)
        send_mentions(own_kafka, [a_mention(1, "", revision=3, state=State.DELETED)])
        until(lambda: running.received() == 3)
    judged = [codec.decode(JudgedMention, m.value()) for m in read(own_kafka, "mentions-enriched")]
    assert [mention.revision for mention in judged] == [1, 2, 3]
    assert judged[2].outcome == "discarded"
    assert judged[2].reason == "withdrawn"
    withdrawn = [m for m in read(own_kafka, *DEPARTMENTS) if codec.decode(JudgedMention, m.value()).revision == 3]
    assert {m.topic() for m in withdrawn} == {f"department-{name}" for name in judged[1].departments}
    assert all(codec.decode(JudgedMention, m.value()).text == "" for m in withdrawn)
    pulses = [codec.decode(Pulse, m.value()) for m in read(own_kafka, "pulse")]
    assert sum(pulse.counts.mentions for pulse in pulses) == 1  # an edit is no second voice
    (erasure,) = read(own_kafka, "erasures")
    assert erasure.key() == b"test:1"
    assert b"love" not in erasure.value()


def test_a_thread_keeps_its_order(own_kafka):
    send_mentions(own_kafka, [a_mention(number, conversation=f"test:c{number % 3}") for number in range(200)])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 200)
    seen = collections.defaultdict(list)
    for message in read(own_kafka, "mentions-enriched"):
        seen[message.key()].append(int(codec.decode(JudgedMention, message.value()).native_id))
    assert len(seen) == 3
    assert all(numbers == sorted(numbers) for numbers in seen.values())


ODD = {
    "a text of a megabyte": ("too_large", json.dumps({"id": "t:1", "text": "x" * 1_100_000}).encode()),
    "wrong types": ("invalid", b'{"id": 5, "source": [], "native_id": {}, "created_at": "x", "collected_at": 1}'),
    "a lone surrogate": (
        "undecodable",
        b'{"id":"t:1","source":"t","native_id":"1","text":"\\ud800","created_at":"2026-01-01T00:00:00Z","collected_at":"2026-01-01T00:00:00Z"}',
    ),
    "half a message": ("undecodable", codec.encode(a_mention(1))[:-30]),
    "an array without end": ("invalid", b"[" * 100_000),
    "deep nesting": ("undecodable", b'{"unknown": ' + b"[" * 100_000),
    "an empty value": ("undecodable", b""),
}


@pytest.mark.parametrize("case", ODD)
def test_bad_input_is_kept_as_a_dead_letter_with_its_bytes(own_kafka, case):
    reason, value = ODD[case]
    send(own_kafka, [(b"odd", value)])
    with Running(own_kafka, instance="odd"):
        until(lambda: read(own_kafka, "mentions-dlq"))
    (letter,) = read(own_kafka, "mentions-dlq")
    assert letter.key() == b"odd"
    assert letter.value() == value
    assert header(letter.headers(), "dlq_reason") == reason
    assert "xxxx" not in header(letter.headers(), "dlq_error")


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), NOW + timedelta(days=400)], ids=["year 1", "next year"])
def test_a_mention_from_another_time_is_routed(own_kafka, at):
    send_mentions(own_kafka, [a_mention("time", created_at=at)])
    with Running(own_kafka, instance="time"):
        until(lambda: "test:time" in ids(own_kafka, "mentions-enriched"))
    assert ids(own_kafka, *DEPARTMENTS)


def test_a_text_of_nothing_is_counted(own_kafka):
    send_mentions(own_kafka, [a_mention(1, text=" ")])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 1)
        assert running.value(running.metrics.discarded, "empty") == 1


def test_a_worker_that_would_dead_letter_everything_stops_and_replay_brings_all_back(own_kafka):
    send(own_kafka, [(str(number).encode(), b"not json") for number in range(1500)])
    with Running(own_kafka) as running:
        running.thread.join(60)
        assert isinstance(running.error, DeadLetterLimitError)
        assert "earshot replay" in str(running.error)
    moved = len(read(own_kafka, "mentions-dlq"))
    assert moved <= 1000
    with Running(own_kafka, Config(version=1, triage={"dead_letter_limit": 1.0})) as running:
        until(lambda: len(read(own_kafka, "mentions-dlq")) == 1500)
    account = replay.send_back(own_kafka, "mentions-dlq", to=None, since=None)
    assert (account.letters, account.sent) == (1500, 1500)
    assert replay.send_back(own_kafka, "mentions-dlq", to=None, since=None).sent == 0
    mentions = read(own_kafka, "mentions")
    assert len(mentions) == 3000
    assert not any(name.startswith("dlq_") for message in mentions for name, _ in message.headers() or [])


def test_an_aborted_batch_and_the_one_behind_it_are_done_again(own_kafka, monkeypatch):
    """While one batch is committed the next is judged: both go back, in Kafka and in memory."""
    commit, tried, failed = Transactions._commit, [0], [0]

    def now_and_then(self):
        tried[0] += 1
        if tried[0] % 3 == 0:
            failed[0] += 1
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        commit(self)

    monkeypatch.setattr(Transactions, "_commit", now_and_then)
    mentions = [a_mention(number) for number in range(1000)]
    send_mentions(own_kafka, [one for mention in mentions for one in (mention, mention)])
    with Running(own_kafka, Config(version=1, triage={"batch": 50, "linger": 0.01})) as running:
        until(lambda: running.received() >= 2000)
    assert failed[0] > 5
    # Now and then librdkafka aborts one of its own after those: sequence numbers that were skipped ask for a new epoch.
    assert failed[0] <= running.value(running.metrics.transactions, "aborted") <= 2 * failed[0]
    assert ids(own_kafka, "mentions-enriched") == collections.Counter(mention.id for mention in mentions)
    assert running.received() == 2000
    assert running.value(running.metrics.discarded, "duplicate") == 1000
    pulses = [codec.decode(Pulse, one.value()) for one in read(own_kafka, "pulse")]
    assert sum(pulse.counts.mentions for pulse in pulses) == 1000


def test_a_dry_run_says_why_and_sends_nothing(own_kafka):
    send(own_kafka, [(b"k", b'{"id": 5}')] * 3)
    with Running(own_kafka):
        until(lambda: len(read(own_kafka, "mentions-dlq")) == 3)
    account = replay.look(own_kafka, "mentions-dlq", to=None, since=None)
    assert (account.letters, account.sent, account.reasons["invalid"]) == (3, 0, 3)
    assert len(read(own_kafka, "mentions")) == 3
    replay.send_back(own_kafka, "mentions-dlq", to=None, since=None)
    assert replay.look(own_kafka, "mentions-dlq", to=None, since=None).letters == 0
    assert replay.look(own_kafka, "mentions-dlq", to=None, since=None, from_beginning=True).letters == 3


def test_past_mentions_go_through_todays_rules(own_kafka):
    send_mentions(own_kafka, [a_mention(number) for number in range(20)])
    with Running(own_kafka) as running:
        until(lambda: running.received() == 20)
    today = Config(version=1, routes=[{"name": "all-to-design", "when": "case", "to": ["design"], "stop": True}])
    judged, changes, moves = replay.differences(own_kafka, today, "mentions-enriched", "beginning")
    assert judged == 20
    assert len(changes) == 20
    assert {after for _, after in moves} == {"design"}
    brand = Config.model_validate({"version": 1, "brands": {"acme": {"query": "acme"}}})  # which no text is about
    judged, changes, moves = replay.differences(own_kafka, brand, "mentions-enriched", "beginning")
    assert (judged, len(changes)) == (20, 20)
    assert {after for _, after in moves} == {""}
    with pytest.raises(ConfigError, match="mentions holds no decisions: name mentions-enriched"):
        replay.differences(own_kafka, brand, "mentions", "beginning")


def test_an_unreachable_broker_is_named():
    worker = TriageWorker(Config(version=1), {"bootstrap.servers": "127.0.0.1:1"}, Metrics(), instance="x")
    import pipeline.runtime.transactions as shell

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shell, "COMMIT_TIMEOUT", 1.0)
        with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1.*--broker"):
            worker.run()


@pytest.mark.slow
def test_killed_and_paused_workers_lose_nothing_and_repeat_nothing(own_kafka):
    """Two workers, kill -9 in turn and a pause longer than the session timeout, while 6,000 mentions go through."""
    workers = {name: process(own_kafka, name) for name in ("a", "b")}
    sent = 0
    try:
        for step in range(12):
            send_mentions(own_kafka, [a_mention(sent + number) for number in range(500)])
            sent += 500
            name = "ab"[step % 2]
            if step == 5:
                paused = workers[name]
                paused.send_signal(signal.SIGSTOP)
                resume = threading.Timer(9.0, paused.send_signal, [signal.SIGCONT])
                resume.start()
            elif step % 3 == 2:
                workers[name].kill()
                workers[name].wait()
                workers[name] = process(own_kafka, name)
            time.sleep(0.5)  # let work go on between faults

        def all_there():
            for name, worker in workers.items():
                if worker.poll() is not None:
                    workers[name] = process(own_kafka, name)
            return len(ids(own_kafka, "mentions-enriched")) >= sent

        until(all_there, 90)
        time.sleep(2)  # a zombie that could still write would do it now
    finally:
        for worker in workers.values():
            worker.send_signal(signal.SIGCONT)
            worker.kill()
            worker.wait()
    enriched = ids(own_kafka, "mentions-enriched")
    assert len(enriched) == sent
    assert set(enriched.values()) == {1}
    routed = collections.Counter()
    for message in read(own_kafka, *DEPARTMENTS):
        routed[codec.decode(JudgedMention, message.value()).id, message.topic()] += 1
    assert set(routed.values()) == {1}
    assert {mention for mention, _ in routed} == set(enriched)
