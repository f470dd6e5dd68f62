"""The confluent-kafka row of the design: consume 2000, VADER on every text, one topic out, transactions."""

from __future__ import annotations

import sys
import time

import msgspec
from confluent_kafka import Consumer, Producer


def main(bootstrap: str, source: str, target: str, count: int) -> None:
    """Print messages per second, from the first batch to the last commit."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    group = f"bench-{time.time():.0f}"
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 65_536,
        }
    )
    producer = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": group, "linger.ms": 5, "compression.type": "lz4"}
    )
    producer.init_transactions()
    consumer.subscribe([source])
    done, began = 0, 0.0
    while done < count:
        messages = consumer.consume(2000, 0.2)
        if not messages:
            continue
        began = began or time.perf_counter()
        producer.begin_transaction()
        for message in messages:
            value = msgspec.json.decode(message.value() or b"{}")
            value["score"] = analyzer.polarity_scores(value["text"])["compound"]
            producer.produce(target, msgspec.json.encode(value), message.key())
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
        )
        producer.commit_transaction()
        done += len(messages)
    print(done / (time.perf_counter() - began))
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
