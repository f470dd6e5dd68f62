"""Carries rereading: asks a source again for what was published, when it is due, beside whatever else the source does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from connectors import pacing
from connectors.base import Clock, Connector
from connectors.rereading import Memory, Outcome
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    FencedError,
    RateLimitedError,
    RetriableError,
    SourceRefusedError,
)
from pipeline.contract.events import Remembered

LOOK: Final = 30.0  # seconds between two looks at what is due
LOAD_EVERY: Final = 6 * 3600.0  # seconds until it is read again what a backfill has published meanwhile
DEFAULT_RATE_WAIT: Final = 60.0
REFUSED_WAIT: Final = 900.0


class Rereader:
    """Reads again for one source. Errors of the source are waited out here: they say nothing of any mention."""

    def __init__(
        self,
        connector: Connector[Any],
        memory: Memory,
        load: Callable[[], Awaitable[list[Remembered]]],
        publish: Callable[[Outcome], Awaitable[None]],
        *,
        clock: Clock,
        chance: Callable[[], float],
        wait: Callable[[float], Any] = asyncio.sleep,
        log: Any,
    ) -> None:
        self._connector = connector
        self._memory = memory
        self._load = load
        self._publish = publish
        self._clock = clock
        self._chance = chance
        self._wait = wait
        self._log = log
        self._failures = 0

    async def run(self) -> None:
        """Read again until cancelled. Raises FencedError and BrokerUnavailableError."""
        while True:
            self._memory.load(await self._load())
            loaded_at = self._clock()
            while (self._clock() - loaded_at).total_seconds() < LOAD_EVERY:
                await self._wait(await self._seconds_after_a_turn())

    async def _seconds_after_a_turn(self) -> float:
        try:
            more = await self.turn()
        except (FencedError, BrokerUnavailableError):
            raise
        except RateLimitedError as error:
            return (error.retry_after or DEFAULT_RATE_WAIT) + pacing.backoff(1, self._chance())
        except (SourceRefusedError, ConfigError):
            return REFUSED_WAIT
        except RetriableError as error:
            self._failures += 1
            return max(pacing.backoff(self._failures, self._chance()), getattr(error, "retry_after", None) or 0.0)
        except Exception as error:
            self._failures += 1
            self._log.error("rereading failed", error=type(error).__name__, exc_info=self._failures == 1)
            return pacing.backoff(self._failures, self._chance())
        self._failures = 0
        return 0.0 if more else LOOK * (0.5 + self._chance())

    async def turn(self) -> bool:
        """Withdraw what is too old, and ask for what is due, at most one batch of it; return whether there was any."""
        expired = self._memory.expired(self._clock())
        if expired.mentions or expired.gone:
            await self._publish(expired)
        pages = self._memory.batch(self._clock())
        if not pages:
            return False
        ids = list(dict.fromkeys(native for page in pages for native in page.ids))
        told = await self._connector.reread_all(ids)
        now = self._clock()
        current = [known for page in pages if (known := self._memory.pages.get(page.number)) is not None]
        if current:  # what the source told meanwhile has changed them, or taken them away
            outcome = self._memory.read(current, told, now)
            if outcome.disbelieved:
                self._log.warning("nearly all mentions are absent, not believed", count=outcome.disbelieved)
            await self._publish(outcome)
        return True
