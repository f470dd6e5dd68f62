"""Every kind of bad record on every topic that a stage reads: singly, and as all there is."""

import contextlib
import threading
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime

import msgspec
import pytest
from confluent_kafka import Producer

from connectors.lasting import last_checkpoint
from pipeline.broker.client import aiokafka, quiet
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.codec import header
from pipeline.contract.errors import BrokerUnavailableError, DeadLetterLimitError
from pipeline.contract.events import (
    Alert,
    AlertStatus,
    Checkpoint,
    Counts,
    Heartbeat,
    Mention,
    Pulse,
    Severity,
    Tick,
)
from pipeline.contract.metrics import Metrics
from pipeline.runtime import notify, replay
from pipeline.runtime.health import Health
from pipeline.runtime.reading import Reader
from pipeline.runtime.reputation.worker import serve as serve_reputation
from pipeline.runtime.roles import Role
from pipeline.runtime.status import Status
from pipeline.runtime.triage import TriageWorker
from tests.running import until

pytestmark = pytest.mark.kafka
NOW = datetime.now(UTC)

BAD = {
    "bytes that are no text": (b"\xff\xfe\x00\x9f", "undecodable"),
    "half of a JSON": (b'{"id": "1", "brand": "ac', "undecodable"),
    "nothing": (b"", "undecodable"),
    "deeply nested": (b'{"text":' * 5000 + b"1" + b"}" * 5000, None),
    "a list": (b'["id", "text"]', "invalid"),
    "a number": (b"42", "invalid"),
    "an empty object": (b"{}", "invalid"),
    "wrong types": (b'{"id": 5, "brand": [], "fingerprint": {}, "partition": "x"}', "invalid"),
    "too large": (b'{"id": "' + b"x" * 1_700_000 + b'"}', None),  # the topic takes it; what it is called is the codec's
    "another event": (codec.encode(Tick(at=NOW, partition=0)), "invalid"),
}


def a_mention(number):
    text = f"the app keeps crashing, case {number}"
    return Mention(id=f"t:{number}", source="t", native_id=str(number), text=text, created_at=NOW, collected_at=NOW)


def a_pulse(number):
    return Pulse(
        brand=f"brand-{number}", source="rss", minute=int(NOW.timestamp() // 60), counts=Counts(mentions=1), sent_at=NOW
    )


def an_alert(number):
    return Alert(
        fingerprint=f"f{number}",
        name="ReputationDamage",
        brand="acme",
        status=AlertStatus.FIRING,
        severity=Severity.CRITICAL,
        started_at=NOW,
        updated_at=NOW,
        sequence=1,
        summary="s",
        description="d",
    )


GOOD = {
    "mentions": (a_mention, lambda one: one.key),
    "pulse": (a_pulse, lambda one: one.brand),
    "alerts": (an_alert, lambda one: f"{one.brand}/{one.fingerprint}"),
}
STAGES = {"mentions": "triage", "pulse": "reputation", "alerts": "notify"}


def put(client, topic, *records, partition=-1):
    producer = Producer({**quiet(client), "partitioner": "murmur2_random", "message.max.bytes": 2_500_000})
    for key, value in records:
        producer.produce(topic, value, key, partition)
    assert producer.flush(30) == 0


def read(client, *topics):
    for _ in range(100):  # topics made anew a moment ago have no leader yet
        with contextlib.suppress(BrokerUnavailableError), Reader(quiet(client), topics, "beginning") as reader:
            return list(reader.until_end())
        time.sleep(0.1)
    raise AssertionError(f"{topics} cannot be read")


class Running:
    """The worker that reads a topic, in a thread of this process."""

    def __init__(self, client, topic, config=None):
        self.stage = STAGES[topic]
        config = config or Config(version=1, heartbeat_interval=0, notifiers={"log": {"type": "console"}})
        self.metrics, self.stop, self.error = Metrics(), threading.Event(), None
        role = Role(self.stage, config, client, "poison", self.metrics, Health(), Status(), self.stop)
        bodies = {"triage": self._triage, "reputation": serve_reputation, "notify": notify.serve}
        self.thread = threading.Thread(target=self._run, args=(bodies[self.stage], role))
        self.thread.start()

    def _triage(self, role):
        worker = TriageWorker(role.config, role.client, role.metrics, instance=role.instance)
        threading.Thread(target=lambda: (role.stop.wait(), worker.stop()), daemon=True).start()
        worker.run()

    def _run(self, body, role):
        try:
            body(role)
        except Exception as error:
            self.error = error
        finally:
            self.stop.set()

    def sums(self):
        """Received, and what became of it."""
        found = {"received": 0.0, "processed": 0.0, "discarded": 0.0, "dead": 0.0}
        for name, metric in (
            ("received", self.metrics.received),
            ("processed", self.metrics.processed),
            ("discarded", self.metrics.discarded),
            ("dead", self.metrics.dead_letters),
        ):
            for labels, child in metric._metrics.items():
                if labels[0] == self.stage:
                    found[name] += child._value.get()
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()


def good_ones_came(client, topic, numbers):
    """Whether every good record has had its effect."""
    if topic == "mentions":
        return {codec.decode(Mention, one.value()).id for one in read(client, "mentions-enriched")} >= {
            f"t:{number}" for number in numbers
        }
    if topic == "pulse":
        return {one.key() for one in read(client, "reputation-brands")} >= {f"brand-{n}".encode() for n in numbers}
    return True


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setenv("EARSHOT_FAUST_WEB", "off")


@pytest.mark.parametrize("topic", GOOD)
def test_every_kind_of_bad_record_among_good_ones_is_a_dead_letter_with_its_reason(own_kafka, topic, fast):
    make, key = GOOD[topic]
    records = []
    for number, (value, _) in enumerate(BAD.values()):
        good = make(number)
        records += [(key(good), codec.encode(good)), (f"bad-{number}", value)]
    put(own_kafka, topic, *records, ("gone", None))
    with Running(own_kafka, topic) as running:
        until(lambda: running.sums()["received"] >= len(records) + 1, 60, f"{running.error}")
        until(lambda: len(read(own_kafka, f"{topic}-dlq")) >= len(BAD), 20, "dead letters are missing")
        until(lambda: good_ones_came(own_kafka, topic, range(len(BAD))), 20, "good records are missing")
        sums = running.sums()
    assert running.error is None
    assert sums["received"] == sums["processed"] + sums["discarded"] + sums["dead"]
    letters = {one.key(): one for one in read(own_kafka, f"{topic}-dlq")}
    for number, (value, reason) in enumerate(BAD.values()):
        letter = letters[f"bad-{number}".encode()]
        assert letter.value() == value
        assert header(letter.headers(), "dlq_stage") == STAGES[topic]
        assert header(letter.headers(), "dlq_topic") == topic
        said = header(letter.headers(), "dlq_reason")
        assert said == reason or (reason is None and said in ("too_large", "invalid", "undecodable"))
        assert "x" * 50 not in header(letter.headers(), "dlq_error")


@pytest.mark.parametrize("topic", GOOD)
def test_a_stage_that_gets_bad_records_only_stops_and_says_what_to_do(own_kafka, topic, fast):
    kinds = [value for name, (value, _) in BAD.items() if name != "too large"]
    put(own_kafka, topic, *((f"k{number}", kinds[number % len(kinds)]) for number in range(400)))
    config = Config(
        version=1,
        heartbeat_interval=0,
        triage={"dead_letter_window": 50, "batch": 50},
        notifiers={"log": {"type": "console"}},
    )
    with Running(own_kafka, topic, config) as running:
        until(running.stop.is_set, 60, "it does not stop")
    assert isinstance(running.error, DeadLetterLimitError)
    assert f"earshot replay {topic}-dlq --dry-run" in str(running.error)
    assert "dead_letter_limit" in str(running.error)
    assert len(read(own_kafka, f"{topic}-dlq")) < 400  # the rest stands where it was, for after the fix


@pytest.mark.parametrize("topic", GOOD)
def test_after_a_fix_replay_brings_all_back_in_the_order_of_their_keys(own_kafka, topic, fast, monkeypatch):
    make, key = GOOD[topic]
    good = [make(number % 4) for number in range(40)]
    if topic == "mentions":
        good = [msgspec.structs.replace(one, revision=number) for number, one in enumerate(good)]
    elif topic == "alerts":
        good = [msgspec.structs.replace(one, sequence=number) for number, one in enumerate(good)]
    put(own_kafka, topic, *((key(one), codec.encode(one)) for one in good))
    before = by_key(own_kafka, topic)
    real = codec.decode

    def broken(kind, value):
        if kind in (Mention, Pulse, Alert):
            raise codec.InvalidMessageError("a bad deploy")
        return real(kind, value)

    config = Config(
        version=1, heartbeat_interval=0, triage={"dead_letter_limit": 1.0}, notifiers={"log": {"type": "console"}}
    )
    with monkeypatch.context() as patch:
        patch.setattr(codec, "decode", broken)
        with Running(own_kafka, topic, config):
            until(lambda: len(read(own_kafka, f"{topic}-dlq")) == 40, 60, "they are no dead letters")
    account = replay.send_back(own_kafka, f"{topic}-dlq", to=None, since=None)
    assert (account.letters, account.sent) == (40, 40)
    # A commit is told before its marks stand in every partition, and what has none yet is not read.
    until(lambda: size(by_key(own_kafka, topic)) >= 2 * size(before), 30, "what was sent back does not come")
    after = by_key(own_kafka, topic)
    assert after == {name: values * 2 for name, values in before.items()}  # same partition, same order, once more
    with Running(own_kafka, topic, config) as running:
        until(lambda: running.sums()["processed"] + running.sums()["discarded"] >= 40, 60, f"{running.error}")
    assert running.sums()["dead"] == 0
    assert replay.send_back(own_kafka, f"{topic}-dlq", to=None, since=None).sent == 0


def by_key(client, topic):
    """Values by partition and key, in their order; ticks are left out."""
    found = defaultdict(list)
    for one in read(client, topic):
        if one.key() != b"tick":
            found[one.partition(), one.key()].append(one.value())
    return found


def size(found):
    return sum(map(len, found.values()))


def test_bad_heartbeats_are_counted_and_stop_nothing(own_kafka):
    beat = Heartbeat(partition=1, sent_at=datetime.now(UTC), stage="reputation", passed_at=datetime.now(UTC))
    bad = [(f"heartbeat-{number}", value) for number, (value, _) in enumerate(BAD.values())]
    with Running(own_kafka, "alerts") as running:
        until(lambda: running.metrics.heartbeat.labels("notify") is not None, 5, "")
        put(own_kafka, "heartbeats", *bad, ("heartbeat-x", None), ("heartbeat-1", codec.encode(beat)), partition=0)
        until(lambda: running.sums()["discarded"] >= len(bad) + 2, 60, f"{running.error}")
        assert running.metrics.heartbeat.labels("notify")._value.get() > 0
    assert running.error is None
    assert read(own_kafka, "alerts-dlq") == []


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_checkpoint_does_not_hide_the_good_one_before_it(own_kafka, kind):
    good = Checkpoint(connector="shop", cursor="17", seen=("a",), saved_at=datetime.now(UTC))
    put(own_kafka, "connector-checkpoints", ("shop", codec.encode(good)), ("shop", BAD[kind][0]))
    assert await last_checkpoint(aiokafka(own_kafka), "shop") == good


def test_the_kinds_are_what_the_codec_says():
    found = Counter()
    for value, reason in BAD.values():
        for event in (Mention, Pulse, Alert, Heartbeat, Checkpoint):
            with contextlib.suppress(AssertionError):
                with pytest.raises(codec.InvalidMessageError) as caught:
                    codec.decode(event, value)
                assert reason is None or caught.value.reason == reason
                found[event] += 1
    assert set(found.values()) == {len(BAD)}
