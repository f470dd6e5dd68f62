"""Pages of a source that calls us: committed together in the order they came, and whoever waits is told.

While Kafka is away every sender is told so at once, and the source stays open: senders come again by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from connectors.base import Page
from pipeline.contract.errors import BrokerUnavailableError

GROUP_COMMIT: Final = 500  # pages that share a transaction at the most

Waiting = tuple[Page, "asyncio.Future[None]"]


class Intake:
    """Where senders bring their pages. `commit` publishes several, `recover` waits until Kafka is back."""

    def __init__(
        self,
        commit: Callable[[Sequence[Page]], Awaitable[None]],
        recover: Callable[[BrokerUnavailableError], Awaitable[None]],
    ) -> None:
        self._commit = commit
        self._recover = recover
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._closed_because: str | None = None

    async def deliver(self, page: Page) -> None:
        """Return when the page is committed. Raises BrokerUnavailableError when it is not: it may come again."""
        if self._closed_because is not None:
            raise BrokerUnavailableError(self._closed_because)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((page, done))
        await done

    async def carry(self) -> None:
        """Commit what arrives until cancelled. Raises what `commit` raises, other than BrokerUnavailableError."""
        while True:
            waiting = [await self._queue.get()]
            while not self._queue.empty() and len(waiting) < GROUP_COMMIT:
                waiting.append(self._queue.get_nowait())
            try:
                await self._commit([page for page, _ in waiting])
            except BrokerUnavailableError as error:
                self._refuse(waiting, str(error))
                self.close(str(error))
                await self._recover(error)
                self._closed_because = None
            except BaseException as error:
                self._refuse(waiting, f"not committed ({type(error).__name__})")
                self.close("earshot is stopping this source")
                raise
            else:
                for _, done in waiting:
                    if not done.done():
                        done.set_result(None)

    def close(self, reason: str) -> None:
        """Refuse what waits and what comes, with this reason."""
        self._closed_because = reason
        left = []
        while not self._queue.empty():
            left.append(self._queue.get_nowait())
        self._refuse(left, reason)

    @staticmethod
    def _refuse(waiting: Sequence[Waiting], reason: str) -> None:
        for _, done in waiting:
            if not done.done():
                done.set_exception(BrokerUnavailableError(reason))
