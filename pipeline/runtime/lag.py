"""How far a consumer is behind, from what librdkafka knows already: no question to the broker."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition


def behind(consumer: Consumer, topic: str, partitions: Iterable[int]) -> int:
    """Return how many offsets lie between what was read and the ends of these partitions, as last fetched.

    Marks of transactions are passed over as they come, so that a stage that has read everything is 0 behind. A
    partition that nothing was read from since it was assigned counts 0 until something is.
    """
    total = 0
    for place in consumer.position([TopicPartition(topic, partition) for partition in partitions]):
        if place.offset < 0:
            continue
        known = consumer.get_watermark_offsets(place, cached=True)
        if known is not None:
            total += max(0, known[1] - place.offset)
    return total
