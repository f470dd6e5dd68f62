"""What the shell of triage reads and commits around rebalances, with a consumer that does as told."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, TopicPartition

from pipeline.config.model import Config
from pipeline.contract.metrics import Metrics
from pipeline.core.dedup import Memory
from pipeline.runtime.transactions import fenced
from pipeline.runtime.triage import STAGE, TriageWorker
from pipeline.topology import MENTIONS


def message(offset, partition=0):
    return SimpleNamespace(error=lambda: None, offset=lambda: offset, partition=lambda: partition)


class Consumer:
    """Hands out what `turns` return, one a call; `sought` is where it was sent back to."""

    def __init__(self, *turns):
        self.turns = list(turns)
        self.sought = []
        self.generation = 0

    def consume(self, _most, _timeout):
        return self.turns.pop(0)()

    def assign(self, places):
        self.assigned = places

    def consumer_group_metadata(self):
        return f"generation {self.generation}"

    def seek(self, place):
        self.sought.append((place.partition, place.offset))


@pytest.fixture
def worker():
    worker = TriageWorker(Config(version=1), {"bootstrap.servers": "127.0.0.1:1"}, Metrics(), instance="t")
    worker.consumer.close()
    yield worker
    worker.transactions.close()


def offsets(messages):
    return [(one.partition(), one.offset()) for one in messages]


def take(worker, *partitions):
    worker._assigned(worker.consumer, [TopicPartition(MENTIONS, number) for number in partitions])


def test_a_message_from_before_partitions_were_assigned_anew_is_left(worker):
    """Kafka begins again at what is committed, say 5: with 10 taken for the first, 5 to 9 would count as done."""

    def taken_and_given_back():
        worker._revoked(worker.consumer, [TopicPartition(MENTIONS, 0)])
        take(worker, 0)
        return [message(5), message(6)]

    worker.consumer = Consumer(lambda: [message(10)], taken_and_given_back)
    take(worker, 0)
    assert offsets(worker._read()) == [(0, 5), (0, 6)]


def test_a_batch_is_what_came_first_and_what_came_soon_after(worker):
    worker.consumer = Consumer(lambda: [message(10)], lambda: [message(11), message(0, 1)])
    take(worker, 0, 1)
    assert offsets(worker._read()) == [(0, 10), (0, 11), (1, 0)]


def test_a_commit_names_the_generation_that_gave_the_partitions(worker, monkeypatch):
    """Not the one the consumer is in by then: whoever lost the partitions meanwhile must not commit."""
    sent = []
    monkeypatch.setattr(worker.transactions, "send", lambda batch, member: sent.append(member))
    monkeypatch.setattr("pipeline.runtime.triage.restore", lambda *_: {0: Memory(10)})
    worker.consumer = Consumer()
    worker.consumer.generation = 7
    take(worker, 0)
    worker.consumer.generation = -1  # lost, and this thread has not heard of it yet
    broken = message(0)
    broken.value, broken.key, broken.headers, broken.topic = lambda: b"?", lambda: None, list, lambda: MENTIONS
    worker._carry([broken])
    assert sent == ["generation 7"]


def test_what_was_read_and_not_judged_is_read_again_when_the_batch_before_it_is_undone(worker, monkeypatch):
    """A partition's first messages wait for the transaction under way, and that one fails."""
    undone = SimpleNamespace(marks={}, first={0: 3})
    monkeypatch.setattr(worker.transactions, "settle", lambda: undone)
    worker.consumer = Consumer()
    take(worker, 0, 1)
    worker.memories[0] = Memory(10)
    worker.next[0] = 8
    worker._carry([message(8, 0), message(9, 0), message(4, 1), message(5, 1)])
    assert sorted(worker.consumer.sought) == [(0, 3), (1, 4)]
    assert worker.next == {0: 3, 1: 4}


def test_messages_of_a_partition_that_went_meanwhile_are_left(worker, monkeypatch):
    asked = []
    monkeypatch.setattr("pipeline.runtime.triage.restore", lambda *given: asked.append(given))
    worker.consumer = Consumer()
    take(worker, 1)
    worker._carry([message(4, 0)])
    assert asked == []
    assert worker.transactions.is_idle


def test_a_worker_whose_place_was_taken_is_counted_and_says_what_to_do():
    metrics = Metrics()
    error = fenced(KafkaError(KafkaError._FENCED), metrics, STAGE)
    assert "give each an --instance of its own" in str(error)
    assert metrics.transactions.labels(STAGE, "fenced")._value.get() == 1
