"""What all sources with one credential share: its tokens, its limits, and what the platform says is left.

A connector makes an account of its own; the role makes those with the same credential one (`Accounts`). Its name is a
hash of the credential, so that it says nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from connectors import pacing
from connectors.auth import NONE, Auth, Post, Renewed, Signed
from connectors.ledger import Ledger
from connectors.limits import Cost, Limit
from connectors.record import PREFIX, Record
from connectors.tokens import Token, Tokens

if TYPE_CHECKING:
    from connectors.publisher import Publisher

SAME_WINDOW: Final = 5.0  # seconds by which two answers may differ on when the same window ends
MAX_HOLDS: Final = 10_000  # places and buckets that are remembered; sources with many hosts have no more


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a request may go: at once (0), after so many seconds, or never (infinite), and why in words.

    `is_ours` says that a declared limit says so, not the platform.
    """

    seconds: float = 0.0
    why: str = ""
    is_ours: bool = False


class Account:
    """One credential at one platform. Nothing here sleeps: whoever asks does."""

    def __init__(
        self,
        source: str,
        auth: Auth = NONE,
        limits: Sequence[Limit] = (),
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.auth = auth
        self.name = name_of(source, auth)
        self._clock = clock
        self._limits = tuple(limits)
        self.keep(None)
        self._quotas: dict[str, pacing.Quota] = {}
        self._holds: dict[str, datetime] = {}
        self._open: dict[str, int] = {}
        self._first: dict[str, asyncio.Event] = {}

    def keep(self, publisher: Publisher | None) -> None:
        """Keep what must last through this publisher; before the first request only."""
        self.record = Record(self.name, publisher, self._clock)
        self.ledger = Ledger(self._limits, self.record, self._clock)
        self._tokens = Tokens(self.auth, self.record, self._clock) if isinstance(self.auth, Renewed) else None

    @property
    def is_lasting(self) -> bool:
        """Whether something of it must outlast the process."""
        keeps = isinstance(self.auth, Renewed) and self.auth.is_kept
        return keeps or any(limit.is_lasting for limit in self.ledger.limits)

    @property
    def secrets(self) -> list[str]:
        """Return what may not be shown."""
        return [*self.auth.secrets, *(self._tokens.secrets if self._tokens else ())]

    async def signed(self, post: Post) -> Signed:
        """Return what a request carries to be let in. Raises SourceRefusedError where there is no token to be had."""
        return self.auth.signed(await self._tokens.get(post) if self._tokens is not None else None)

    def spoil(self, token: Token) -> None:
        """Note that a token is not taken any more."""
        if self._tokens is not None:
            self._tokens.spoil(token)

    async def turn(self, key: str, cost: Cost, bucket: str, *, has_waited: bool = False) -> Turn:
        """Let one request go now, or say when. `key` is where it goes; what it uses is counted when it may go.

        One that `has_waited` for what the platform said goes, even if the clock has not moved.
        """
        await self._until_known(key)
        now = self._clock()
        if not has_waited:
            held = max((self._holds[one] for one in (key, bucket, "") if one in self._holds), default=now)
            if held > now:
                return Turn((held - now).total_seconds(), "it has asked to wait")
            left = self._quotas.get(key)
            seconds = pacing.allowed_in(left, now)
            if seconds > 0:
                return Turn(seconds, "its rate limit is used up")
        seconds, limit = await self.ledger.take(cost, bucket)
        if limit is not None and math.isinf(seconds):
            return Turn(
                seconds,
                f"one request uses more {limit.unit} than the {limit.most:g} of a whole {_per(limit)}",
                is_ours=True,
            )
        if limit is not None:
            return Turn(seconds, f"{limit.most:g} {limit.unit} in a {_per(limit)} are used up", is_ours=True)
        known = self._quotas.get(key)
        if known is not None:
            self._quotas[key] = replace(known, remaining=max(0.0, known.remaining - 1))
        self._open[key] = self._open.get(key, 0) + 1
        return Turn()

    async def _until_known(self, key: str) -> None:
        """Wait for the first answer of a place while it is under way: it says what is left for all others."""
        first = self._first.get(key)
        if first is None:
            if len(self._first) >= MAX_HOLDS:
                self._first.clear()
            self._first[key] = asyncio.Event()
        elif not first.is_set() and self._open.get(key):
            await first.wait()

    def ended(self, key: str, cost: Cost, bucket: str, quota: pacing.Quota | None = None) -> None:
        """Note that a request is over, and what its answer said is left. Others that are under way are not in it."""
        self.ledger.ended(cost, bucket)
        others = max(0, self._open.get(key, 0) - 1)
        if others:
            self._open[key] = others
        else:
            self._open.pop(key, None)
        first = self._first.get(key)
        if first is not None:
            first.set()
        if quota is not None:
            remaining, known = max(0.0, quota.remaining - others), self._quotas.get(key)
            if known is not None and _is_same_window(known, quota):
                remaining = min(remaining, known.remaining)  # answers overtake each other
            self._quotas[key] = replace(quota, remaining=remaining)

    def hold(self, seconds: float, key: str = "") -> None:
        """Let nothing go to this place or bucket for so long."""
        if len(self._holds) >= MAX_HOLDS:
            self._holds = {one: until for one, until in self._holds.items() if until > self._clock()}
        until = self._clock() + timedelta(seconds=min(seconds, pacing.MAX_WAIT))
        self._holds[key] = max(until, self._holds.get(key, until))

    def quota(self, key: str) -> pacing.Quota | None:
        """Return what a place has last said is left."""
        return self._quotas.get(key)

    def told(self, key: str, quota: pacing.Quota | None) -> None:
        """Note what is left at a place."""
        if quota is not None:
            self._quotas[key] = quota


def _is_same_window(one: pacing.Quota, other: pacing.Quota) -> bool:
    if one.is_rolling or other.is_rolling:
        return False
    return abs((one.reset_at - other.reset_at).total_seconds()) < SAME_WINDOW


def name_of(source: str, auth: Auth) -> str:
    """Return the name of an account: the same for the same credential at the same platform, and a hash."""
    digest = hashlib.blake2b(auth.material.encode("utf-8", "replace"), digest_size=10, person=b"earshot account")
    digest.update(f"\x00{source}".encode())
    return f"{PREFIX}{digest.hexdigest()}"


def _per(limit: Limit) -> str:
    return limit.per if isinstance(limit.per, str) else f"window of {limit.per:g} s"


class Accounts:
    """The accounts of a process: one for each credential."""

    def __init__(self, make_publisher: Callable[[str], Publisher] | None = None) -> None:
        self._make = make_publisher
        self._known: dict[str, Account] = {}

    def shared(self, own: Account) -> Account:
        """Return the account that a connector shares with the others of the same credential."""
        found = self._known.get(own.name)
        if found is not None:
            found.ledger.join(own.ledger.limits)
            return found
        if own.is_lasting and self._make is not None:
            own.keep(self._make(own.name))
        self._known[own.name] = own
        return own

    async def close(self) -> None:
        """Let go of what was kept."""
        for account in self._known.values():
            await account.record.close()
