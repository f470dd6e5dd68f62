"""What must be erased leaves `mentions-raw` too: whoever asked for it, and whichever connector had kept it.

A connector that hears of a withdrawal takes the raw payload away itself, in the transaction of the mention. But an
erasure also comes by request, for a source that is no longer configured, or after `keep_raw` was switched off. So
`erasures` is read, by one process of the role for each partition, and each becomes a tombstone. Tombstones are written
before the position is: an erasure may be carried out twice, and is never left out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Erasure
from pipeline.topology import ERASURES, RAW

GROUP: Final = "earshot-connectors-erasures"
ASK_AGAIN: Final = 2.0  # seconds until Kafka is asked again after it was gone
LOOK: Final = 500  # milliseconds that an answer of Kafka may take when there is nothing to erase
log = structlog.get_logger(__name__)


def erased(key: bytes | None, value: bytes | None) -> bytes | None:
    """Return the key of the raw payload that this record of `erasures` is about; None where it is about none.

    What cannot be read is still an erasure, of the mention that its key names: erasing nothing would be the worse
    mistake. A tombstone on `erasures` ends the request for one, and erases nothing.
    """
    if value is None:
        return None
    try:
        return codec.decode(Erasure, value).id.encode("utf-8", "replace")
    except InvalidMessageError:
        return key or None


async def erase_raw(client: Mapping[str, Any], *, ask_again: float = ASK_AGAIN) -> None:
    """Carry out erasures on `mentions-raw` for ever. `client` are aiokafka's connection arguments.

    Kafka being away is waited out. Raises nothing but CancelledError.
    """
    while True:
        consumer = AIOKafkaConsumer(
            ERASURES,
            **client,
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        producer = AIOKafkaProducer(**client, client_id=GROUP, enable_idempotence=True)
        try:
            await producer.start()
            await consumer.start()
            while True:
                await _turn(consumer, producer)
        except (KafkaError, OSError, AssertionError) as error:  # aiokafka asserts that it knows a broker
            log.warning("raw payloads are not erased", reason=type(error).__name__)
            await asyncio.sleep(ask_again)
        finally:
            for one in (consumer, producer):
                with contextlib.suppress(KafkaError, OSError, AssertionError):
                    await one.stop()


async def _turn(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    """Carry out the erasures that have come, then move the position past them."""
    found = [record for records in (await consumer.getmany(timeout_ms=LOOK)).values() for record in records]
    if not found:
        return
    keys = [erased(record.key, record.value) for record in found if record.value is not None]
    if None in keys:
        log.warning("erasures that name no mention: write its id as their key", count=keys.count(None))
    wanted = dict.fromkeys(key for key in keys if key is not None)
    await asyncio.gather(*[await producer.send(RAW, value=None, key=key) for key in wanted])
    await consumer.commit()
