"""How much may be asked of a source, as it declares it: requests, units, money. Arithmetic only, the clock comes in.

What was used is kept in slots: 21 for a rolling window, one for a day or a month of the calendar. A slot counts whole
as long as any part of it is in the window, so that never more than the limit is in any window of that length. What is
under way counts until it has ended, and from then on: nobody knows when, in between, the source has counted it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

REQUESTS: Final = "requests"
SLOTS: Final = 20  # of a rolling window
UNDER_WAY: Final = 0.1  # seconds until it is looked at again whether what is under way has ended
LASTING: Final = 2.0  # seconds: what was used in a shorter window is not kept over a restart, which takes longer

Cost = Mapping[str, float]
"""What one request uses, by unit. Every request uses one of `requests`."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` of a unit in any `per` seconds, or in a day or month of the calendar in `zone`.

    With a `bucket` it is about requests that are made in that bucket only.
    """

    most: float
    per: float | Literal["day", "month"]
    unit: str = REQUESTS
    zone: str = "UTC"
    bucket: str = ""

    @property
    def name(self) -> str:
        """What it is kept under."""
        per = self.per if isinstance(self.per, str) else f"{self.per:g}"
        return "/".join(part for part in (self.unit, per, self.bucket) if part)

    @property
    def is_lasting(self) -> bool:
        """Whether what was used is kept over a restart."""
        return isinstance(self.per, str) or self.per >= LASTING

    def concerns(self, cost: Cost, bucket: str) -> float:
        """Return how much of this limit a request uses."""
        return cost.get(self.unit, 0.0) if self.bucket in ("", bucket) else 0.0


class Budget(BaseModel):
    """What may be spent at a source, for sources that take money for requests. Unset means no bound."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    per_day: Annotated[float, Field(ge=0)] | None = None
    """The most in one day of UTC."""
    per_month: Annotated[float, Field(ge=0)] | None = None
    """The most in one month of UTC."""

    def limits(self, unit: str) -> tuple[Limit, ...]:
        """Return the budget as limits of this unit, say `usd`."""
        found = (("day", self.per_day), ("month", self.per_month))
        return tuple(Limit(most, per, unit) for per, most in found if most is not None)  # type: ignore[arg-type]  # per


class Usage:
    """How much of one limit has been used, and when."""

    def __init__(self, limit: Limit, slots: Mapping[int, float] | None = None) -> None:
        self.limit = limit
        self.slots: dict[int, float] = dict(slots or {})
        self.open = 0.0  # under way

    def slot(self, now: datetime) -> int:
        """Return the number of the slot that is open."""
        per = self.limit.per
        if not isinstance(per, str):
            return int(now.timestamp() // (per / SLOTS))
        local = now.astimezone(ZoneInfo(self.limit.zone))
        return local.toordinal() if per == "day" else local.year * 12 + local.month

    def used(self, now: datetime) -> float:
        """Return how much counts now."""
        self._forget(now)
        return sum(self.slots.values()) + self.open

    def wait(self, amount: float, now: datetime) -> float:
        """Return the seconds until so much may be used: 0 now, infinite when it is more than the whole limit."""
        if amount > self.limit.most:
            return math.inf
        over = self.used(now) + amount - self.limit.most
        if over <= 1e-9:
            return 0.0
        if over <= self.open:
            return UNDER_WAY
        if isinstance(self.limit.per, str):
            return max(1.0, (self._ends(now) - now).total_seconds())
        length = self.limit.per / SLOTS
        for slot in sorted(self.slots):
            over -= self.slots[slot]
            if over <= 1e-9:
                return max(0.001, (slot + 1) * length + self.limit.per - now.timestamp())
        return self.limit.per

    def begin(self, amount: float) -> None:
        """Count so much as under way."""
        self.open += amount

    def end(self, amount: float, now: datetime) -> None:
        """Count as used what was under way."""
        self.open = max(0.0, self.open - amount)
        self.add(amount, now)

    def add(self, amount: float, now: datetime) -> None:
        """Count so much; less than nothing gives back, never more than the open slot has."""
        slot = self.slot(now)
        self.slots[slot] = max(0.0, self.slots.get(slot, 0.0) + amount)

    def _forget(self, now: datetime) -> None:
        here = self.slot(now)
        first = here if isinstance(self.limit.per, str) else here - SLOTS
        for slot in [slot for slot in self.slots if slot < first]:
            del self.slots[slot]

    def _ends(self, now: datetime) -> datetime:
        """Return when the day or month ends where it is counted."""
        local = now.astimezone(ZoneInfo(self.limit.zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.limit.per == "day":
            return (local + timedelta(days=1)).astimezone(UTC)
        return (local.replace(day=1) + timedelta(days=32)).replace(day=1).astimezone(UTC)


def tightest(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """Return the limits with the smallest of those that are about the same: they share what they count."""
    found: dict[str, Limit] = {}
    for limit in limits:
        known = found.get(limit.name)
        if known is None or limit.most < known.most:
            found[limit.name] = limit
    return tuple(found.values())
