"""Pages of a source that calls us: committed together in the order they came, and whoever waits is told.

While Kafka is away every sender is told so at once, and the source stays open: senders come again by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Coroutine, Sequence
from typing import Any, Final

from connectors.base import Gap, Listening, Page, PushConnector
from connectors.position import mark_of_delivery
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


async def serve(connector: PushConnector[Any], intake: Intake, listening: Listening) -> None:
    """Let a source call us until it listens no more, or until cancelled.

    In order at the end: nobody is let in any more, what was let in is committed and answered, then it is over. Raises
    what the connector and `intake` raise.
    """
    committing = asyncio.create_task(intake.carry())
    serving = asyncio.create_task(connector.serve(intake.deliver, listening))
    try:
        done, _ = await asyncio.wait((committing, serving), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        try:
            await ended(serving)
        finally:
            intake.close("earshot is stopping this source")
            await ended(committing)


async def side_by_side(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Do all of these until one ends or fails, then end the others. Raises what that one raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended, however it does."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # was told already, or comes of the cancelling


def together(pages: Sequence[Page], seen: Container[str]) -> tuple[Page, list[str], int]:
    """Return pages that were brought to us as one, the names of its deliveries, and how many mentions were repeats.

    A delivery whose mark is among `seen`, or that is there twice, is left out.
    """
    taken: list[Page] = []
    deliveries: dict[str, None] = {}
    repeated = 0
    for page in pages:
        name = page.delivery
        if name is not None and (name in deliveries or mark_of_delivery(name) in seen):
            repeated += len(page.mentions)
            continue
        taken.append(page)
        if name is not None:
            deliveries[name] = None
    cursors = [page.cursor for page in taken if page.cursor is not None]
    gaps = [page.gap for page in taken if page.gap is not None]
    whole = Page(
        [mention for page in taken for mention in page.mentions],
        cursors[-1] if cursors else None,
        gap=Gap(min(g.since for g in gaps), max(g.until for g in gaps), gaps[0].reason) if gaps else None,
        rejected=[part for page in taken for part in page.rejected],
    )
    return whole, list(deliveries), repeated
