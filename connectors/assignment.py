"""Which process runs which connector, when several share the work.

Processes form a consumer group on the topic connector-checkpoints: the partition of a connector's checkpoint decides
who runs it. Kafka notices a dead process and gives its partitions to the others. When two processes overlap for a
moment, the newer one's transactional id fences the older one: nothing is published twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from pipeline.contract.errors import BrokerUnavailableError
from pipeline.topology import CHECKPOINTS

GROUP: Final = "earshot-connectors"
SESSION_TIMEOUT: Final = 6.0  # seconds after which a process that says nothing is taken for dead
CHECK: Final = 1.0


def partition_of(name: str, partitions: int) -> int:
    """Return the partition of a key as every Kafka client computes it: murmur2, made positive, modulo.

    https://github.com/apache/kafka/blob/3.9/clients/src/main/java/org/apache/kafka/clients/producer/internals/BuiltInPartitioner.java
    """
    number: int = murmur2(name.encode("utf-8", "replace")) & 0x7FFFFFFF
    return number % partitions


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:  # noqa: ARG002
        # Most come back at once. What does not is stopped when the new assignment is known.
        return

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:  # noqa: ARG002
        self._changed.set()


async def share(
    client: Mapping[str, Any],
    names: list[str],
    changed: Callable[[set[str]], Awaitable[None]],
    stop: asyncio.Event,
    *,
    name: str | None = None,
    topic: str = CHECKPOINTS,
    group: str = GROUP,
    together: Mapping[str, str] | None = None,
) -> None:
    """Call `changed(names that are ours)` at each new assignment until `stop`, and with none before leaving the group.

    `together` names for a connector another one, beside which it is to run. `name` is what this process is called in
    the group.

    So whoever gets our share finds it at rest. Raises BrokerUnavailableError; then nothing was said about our share.
    """
    rebalanced = asyncio.Event()
    consumer = AIOKafkaConsumer(
        **client,
        group_id=group,
        **({"client_id": name} if name else {}),
        enable_auto_commit=False,
        auto_offset_reset="latest",
        session_timeout_ms=int(SESSION_TIMEOUT * 1000),
        heartbeat_interval_ms=int(SESSION_TIMEOUT * 1000 / 4),
        metadata_max_age_ms=30_000,
    )
    try:
        await consumer.start()
        consumer.subscribe([topic], listener=_Listener(rebalanced))
        while not stop.is_set():
            await _either(rebalanced, stop, CHECK)
            # Only the membership is wanted: what arrives is read so that the group sees us alive, and left.
            with contextlib.suppress(KafkaError):
                await consumer.getmany(timeout_ms=0)
            if rebalanced.is_set() and not stop.is_set():
                count = len(consumer.partitions_for_topic(topic) or ())
                if not count:  # not known yet: looked at again in a moment
                    await asyncio.sleep(CHECK / 10)
                    continue
                rebalanced.clear()
                ours = {part.partition for part in consumer.assignment()}
                decides = together or {}
                await changed({name for name in names if partition_of(decides.get(name, name), count) in ours})
        await changed(set())
    except (KafkaError, OSError) as error:
        raise BrokerUnavailableError(f"Kafka does not answer ({type(error).__name__})") from None
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await consumer.stop()


async def _either(first: asyncio.Event, second: asyncio.Event, seconds: float) -> None:
    waiting = [asyncio.create_task(first.wait()), asyncio.create_task(second.wait())]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
