"""Feedback on its way in: written to Kafka, and only then acknowledged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, Producer
from msgspec.structs import replace

from pipeline.broker.client import quiet
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError
from pipeline.contract.events import Feedback, JudgedMention
from pipeline.topology import FEEDBACK

TIMEOUT: Final = 15.0  # seconds until Kafka has it


def about(feedback: Feedback, judged: JudgedMention) -> Feedback:
    """Return the feedback with what is known of the decision that it is about."""
    mention = codec.plain(judged)
    rules = tuple(rule.name for rule in judged.decision.rules)
    return replace(feedback, mention=mention, departments=judged.departments, rules=rules)


class Giver:
    """Writes feedback. For several threads at once."""

    def __init__(self, client: Mapping[str, Any], source: str) -> None:
        self._source = source
        self._producer = Producer(
            {
                **quiet(client),
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "message.max.bytes": 2_500_000,
                "delivery.timeout.ms": int(TIMEOUT * 1000),
            }
        )

    def give(self, feedbacks: Iterable[Feedback], name: str) -> None:
        """Return when Kafka has all of them. `name` names the delivery, which `ce_id` repeats.

        Raises BrokerUnavailableError when it has not within TIMEOUT seconds: whoever sent it may send it again, the
        same word counts once.
        """
        failed: list[str] = []
        waiting = 0

        def delivered(error: Any, _: Any) -> None:
            nonlocal waiting
            waiting -= 1
            if error is not None:
                failed.append(error.str())

        try:
            for number, feedback in enumerate(feedbacks):
                headers: Any = codec.headers(Feedback, event_id=f"{name}-{number}", source=self._source, at=feedback.at)
                waiting += 1
                self._producer.produce(
                    FEEDBACK, codec.encode(feedback), feedback.id, 0, headers=headers, on_delivery=delivered
                )
        except (BufferError, KafkaException) as error:
            failed.append(str(error))
        deadline = time.monotonic() + TIMEOUT + 1
        while waiting > 0 and time.monotonic() < deadline:
            self._producer.poll(0.02)
        if failed or waiting > 0:
            why = failed[0] if failed else "no answer in time"
            raise BrokerUnavailableError(f"the feedback could not be kept: {why}. Send it again")

    def close(self) -> None:
        """Leave the broker."""
        with contextlib.suppress(KafkaException):
            self._producer.flush(1.0)
