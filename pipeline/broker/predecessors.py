"""A worker that starts again lets its dead predecessor leave the consumer group.

Kafka takes a member for dead when its session has timed out, and a rebalance waits for it that long: whoever else works
stands still meanwhile. But a process that starts under a name knows better: whoever was in the group under that name is
gone, or must not go on. So it says so to Kafka, in the predecessor's place, before it joins.

Not static membership (KIP-345), which promises the same: with Kafka 4.1 a rebalance waited for ever for such a member
that had been stopped while its coordinator was away, and librdkafka fences itself after a session timeout
(confluentinc/librdkafka#3437). Here membership stays dynamic, and where the request does not arrive, all is as before:
the session times out.

A predecessor that is not dead but hangs, or a second worker under the same name, finds that it is no member any more:
it cannot commit, as after a session that timed out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

TIMEOUT: Final = 5.0  # seconds; after that the session timeout is as quick
RETRY: Final = 0.2

log = structlog.get_logger(__name__)


async def leave_for(client: Mapping[str, Any], group: str, name: str, *, within: float = TIMEOUT) -> int:
    """Let every member of `group` whose client id is `name` leave it; return how many there were.

    `client` are aiokafka's connection arguments. To be called before this process joins under that name. Raises
    nothing: where Kafka does not answer within `within` seconds, it notices the dead by itself, later.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            left = await asyncio.wait_for(_leave(client, group, name), max(RETRY, deadline - time.monotonic()))
        except (KafkaError, OSError, TimeoutError) as error:
            # A coordinator is only just being chosen, or (librdkafka's broker in memory) Kafka does not know the request.
            if time.monotonic() + RETRY > deadline or not getattr(error, "retriable", True):
                log.debug("predecessor not told to leave", group=group, worker=name, error=type(error).__name__)
                return 0
            await asyncio.sleep(RETRY)
        else:
            if left:
                log.info("predecessor has left the group", group=group, worker=name, members=left)
            return left


async def _leave(client: Mapping[str, Any], group: str, name: str) -> int:
    kafka = AIOKafkaAdminClient(**client, client_id=f"{name}-start")
    try:
        await kafka.start()
        coordinator = await kafka.find_coordinator(group)
        (answer,) = await kafka.describe_consumer_groups([group], group_coordinator_id=coordinator)
        (found,) = answer.groups
        code, members = found[0], found[5]
        if code:
            raise for_code(code)(group)
        predecessors = [member[0] for member in members if member[1] == name]
        for member in predecessors:
            request = LeaveGroupRequest(group, member)
            answered = await kafka._send_request(request, coordinator)  # noqa: SLF001 - there is no public way
            if answered.error_code and for_code(answered.error_code) is not UnknownMemberIdError:
                raise for_code(answered.error_code)(group)
        return len(predecessors)
    finally:
        with contextlib.suppress(Exception):
            await kafka.close()
