"""What a member of a consumer group reads at once, and as whom it commits."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from pipeline.contract.errors import FencedError
from pipeline.contract.metrics import Metrics
from pipeline.runtime.membership import Membership, joining


class Message:
    def __init__(self, offset, error=None):
        self.at, self.wrong = offset, error

    def error(self):
        return self.wrong


class Consumer:
    """Gives what each turn returns."""

    generation = 1

    def __init__(self, *turns):
        self.turns = list(turns)

    def consume(self, _most, _timeout):
        return self.turns.pop(0)()

    def consumer_group_metadata(self):
        return self.generation


@pytest.fixture
def membership():
    return Membership(Metrics(), "learning")


def read(membership, *turns, most=100):
    return [message.at for message in membership.read(Consumer(*turns), most, wait=0.1, linger=0.1)]


def test_what_is_gathered_comes_in_order(membership):
    assert read(membership, lambda: [Message(1)], lambda: [Message(2), Message(3)]) == [1, 2, 3]
    assert read(membership, list) == []
    assert read(membership, lambda: [Message(1)], most=1) == [1]


@pytest.mark.parametrize("happens", ["revoked", "assigned"])
def test_what_was_read_before_partitions_moved_is_dropped(membership, happens):
    def moved():
        membership.revoked() if happens == "revoked" else membership.assigned(Consumer())
        return [Message(5)]

    assert read(membership, lambda: [Message(10)], moved) == [5]


def test_errors_that_are_mended_are_passed_over_and_others_end_the_worker(membership):
    away = KafkaError(KafkaError._TRANSPORT)
    assert read(membership, lambda: [Message(1, away)], lambda: [Message(2)]) == [2]
    with pytest.raises(FencedError, match="--instance"):
        read(membership, lambda: [Message(1, KafkaError(KafkaError._FENCED))], list)


def test_the_member_is_the_one_that_the_partitions_were_given_to(membership):
    consumer = Consumer()
    membership.assigned(consumer)
    consumer.generation = -1  # lost, and nobody has heard of it yet
    assert membership.member == 1


def test_settings_are_joined_with_their_dots():
    made = joining({"bootstrap.servers": "x:1"}, "group", "name", max_poll_interval_ms=5)
    assert (made["group.id"], made["client.id"], made["max.poll.interval.ms"]) == ("group", "name", 5)
    assert made["isolation.level"] == "read_committed"
    assert made["enable.auto.commit"] is False
