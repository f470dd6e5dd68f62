"""Reading topics that were made a moment ago."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

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
