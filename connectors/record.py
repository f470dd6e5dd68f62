"""What must be known of a credential after a restart and by other processes: one record on connector-checkpoints.

Whoever writes it has taken it over: its name is a transactional id of its own, so a process that is replaced, or was
taken for dead, finds itself fenced at its next write. Then it reads what the other has written, and takes over in turn.
So processes that use one credential at the same time (a backfill beside the live source) change the record one after
another, and none works with figures that are out of date.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.contract.errors import BrokerUnavailableError, FencedError
from pipeline.contract.events import Checkpoint

if TYPE_CHECKING:
    from connectors.publisher import Publisher

PREFIX: Final = "account/"
TURNS: Final = 20  # times a change is made anew because another process came between

Value = dict[str, Any]


class Record:
    """A JSON object that lasts. Without a publisher it lasts as long as the process, for checks and tests."""

    def __init__(self, name: str, publisher: Publisher | None, clock: Callable[[], datetime]) -> None:
        self.name = name
        self._publisher = publisher
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value: Value = {}
        self._is_open = publisher is None
        self.taken = 0  # times it was taken over: what was derived from an older value is out of date

    @property
    def is_durable(self) -> bool:
        """Whether it outlasts the process."""
        return self._publisher is not None

    async def change(self, make: Callable[[Value, int], Value | None]) -> None:
        """Write what `make(value, taken)` returns; nothing where that is None.

        `make` may be called several times: each time another process has come between. Raises BrokerUnavailableError.
        """
        async with self._lock:
            for _ in range(TURNS):
                if not self._is_open:
                    await self._open()
                changed = make(self._value, self.taken)
                if changed is None:
                    return
                try:
                    await self._write(changed)
                except FencedError:
                    self.doubt()
                    continue
                except BaseException:  # also cancelled: nobody knows whether it was written
                    self.doubt()
                    raise
                self._value = changed
                return
        raise BrokerUnavailableError("other processes keep taking over what is known of this credential")

    def doubt(self) -> None:
        """Read the record anew before the next change: somebody else is about to write it."""
        self._is_open = self._publisher is None

    async def _open(self) -> None:
        assert self._publisher is not None
        found = await self._publisher.start()
        try:
            value = json.loads(found.cursor or "{}") if found else {}
        except ValueError:
            value = {}
        self._value = value if isinstance(value, dict) else {}
        self._is_open = True
        self.taken += 1

    async def _write(self, value: Value) -> None:
        if self._publisher is not None:
            text = json.dumps(value, separators=(",", ":"), sort_keys=True)
            await self._publisher.publish([], Checkpoint(connector=self.name, cursor=text, saved_at=self._clock()))

    async def close(self) -> None:
        """Let go."""
        if self._publisher is not None:
            self._is_open = False
            await self._publisher.close()
