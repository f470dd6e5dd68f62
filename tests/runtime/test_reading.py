"""Reading topics that were made a moment ago."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from pipeline.contract.errors import BrokerUnavailableError
from pipeline.runtime import reading


class NewTopic:
    """Stands in for a consumer of a topic whose partition has no leader until it was asked `patience` times."""

    def __init__(self, error, patience):
        self.error, self.patience, self.asked = error, patience, 0

    def list_topics(self, topic, _):
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def get_watermark_offsets(self, *_):
        self.asked += 1
        if self.asked <= self.patience:
            raise KafkaException(KafkaError(self.error))
        return 0, 7

    def assign(self, places):
        self.places = places

    def close(self):
        pass


@pytest.fixture
def made(monkeypatch):
    def make(error, patience):
        consumer = NewTopic(error, patience)
        monkeypatch.setattr(reading, "Consumer", lambda _: consumer)
        return consumer

    return make


def test_a_partition_without_a_leader_yet_is_waited_for(made):
    consumer = made(KafkaError.NOT_LEADER_FOR_PARTITION, 2)
    assert reading.Reader({"bootstrap.servers": "x"}, ["mentions"]).ends == {("mentions", 0): 7}
    assert consumer.asked == 3


def test_one_that_gets_none_is_an_error_after_the_time_out(made):
    made(KafkaError.LEADER_NOT_AVAILABLE, 1000)
    with pytest.raises(BrokerUnavailableError, match="does not answer at x"):
        reading.Reader({"bootstrap.servers": "x"}, ["mentions"], timeout=0.2)


def test_another_error_is_not_waited_for(made):
    consumer = made(KafkaError.TOPIC_AUTHORIZATION_FAILED, 1000)
    with pytest.raises(BrokerUnavailableError):
        reading.Reader({"bootstrap.servers": "x"}, ["mentions"])
    assert consumer.asked == 1


class Asked:
    """Stands in for an admin client that knows the end of a partition after `patience` refusals."""

    def __init__(self, error, patience):
        self.error, self.patience, self.asked = error, patience, 0

    def list_offsets(self, places, **_):
        self.asked += 1
        answer = Future()
        if self.asked <= self.patience:
            answer.set_exception(KafkaException(KafkaError(self.error)))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(places, answer)


def test_the_end_of_a_partition_that_was_just_made_is_waited_for(monkeypatch):
    admin = Asked(KafkaError.NOT_LEADER_FOR_PARTITION, 2)
    monkeypatch.setattr(reading, "AdminClient", lambda _: admin)
    assert reading.end_of({}, TopicPartition("mentions-enriched", 0), 5.0) == 7
    assert admin.asked == 3


@pytest.mark.parametrize(
    ("error", "timeout"), [(KafkaError.NOT_LEADER_FOR_PARTITION, 0.0), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 5.0)]
)
def test_an_end_that_is_not_told_is_an_error(monkeypatch, error, timeout):
    monkeypatch.setattr(reading, "AdminClient", lambda _: Asked(error, 1000))
    with pytest.raises(KafkaException) as raised:
        reading.end_of({}, TopicPartition("mentions-enriched", 0), timeout)
    assert raised.value.args[0].code() == error
