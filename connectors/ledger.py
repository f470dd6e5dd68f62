"""What a credential has used of its limits. Never beyond them, whatever ends the process and whoever else uses it.

Use is written down before it happens: a mark ahead of what is used, and nothing is used beyond the mark. After a restart
all up to the mark counts as used. Marks are made larger while nobody else uses the credential, up to a twentieth of the
limit, so that writing stays rare and little is lost.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from connectors.limits import SLOTS, Cost, Limit, Usage, tightest
from connectors.record import Record, Value

SHARE: Final = 1 / SLOTS  # of a limit: the furthest that a mark is ahead
_NEAR: Final = 1e-9


class Ledger:
    """The limits of one credential, and what was used of them."""

    def __init__(self, limits: Sequence[Limit], record: Record, clock: Callable[[], datetime]) -> None:
        self._usages = [Usage(limit) for limit in tightest(limits)]
        self._record = record
        self._clock = clock
        self._lock = asyncio.Lock()
        self._marks: dict[str, dict[int, float]] = {}
        self._ahead: dict[str, float] = {}
        self._pending: dict[str, dict[int, float]] = {}  # marks that are being written, and how far to go next time
        self._further: dict[str, float] = {}
        self._taken = -1

    @property
    def limits(self) -> list[Limit]:
        """Return the limits that hold."""
        return [usage.limit for usage in self._usages]

    def join(self, limits: Sequence[Limit]) -> None:
        """Take in the limits of another source with the same credential: the smaller of two holds."""
        known = {usage.limit.name: usage for usage in self._usages}
        self._usages = []
        for limit in tightest([*[usage.limit for usage in known.values()], *limits]):
            usage = known.get(limit.name) or Usage(limit)
            usage.limit = limit
            self._usages.append(usage)

    async def take(self, cost: Cost, bucket: str) -> tuple[float, Limit | None]:
        """Let a request go that uses so much, or return the seconds until it may, and the limit that says so.

        Whoever is let go says when it has `ended`.
        Raises BrokerUnavailableError where it cannot be written down.
        """
        concerned = [(usage, used) for usage in self._usages if (used := usage.limit.concerns(cost, bucket)) > 0]
        if not concerned:
            return 0.0, None
        async with self._lock:
            found: tuple[float, Limit | None] = (0.0, None)

            def reserve(value: Value, taken: int) -> Value | None:
                nonlocal found
                self._adopt(value, taken)
                found = self._wait(concerned)
                return None if found[0] > 0 else self._reserved(value, concerned)

            if any(usage.limit.is_lasting for usage, _ in concerned) and (
                self._taken < 0 or not self._is_covered(concerned)
            ):
                self._pending = {}
                await self._record.change(reserve)
                for name, marks in self._pending.items():  # only now, when they are written down
                    self._marks[name] = marks
                    self._ahead[name] = self._further[name]
            else:
                found = self._wait(concerned)
            if found[0] <= 0:
                for usage, amount in concerned:
                    usage.begin(amount)
            return found

    def ended(self, cost: Cost, bucket: str) -> None:
        """Note that a request has ended that was let go: from now on it counts as used."""
        for usage in self._usages:
            amount = usage.limit.concerns(cost, bucket)
            if amount > 0:
                usage.end(amount, self._clock())

    def refund(self, cost: Cost, bucket: str) -> None:
        """Give back what a request did not use after all."""
        for usage in self._usages:
            amount = usage.limit.concerns(cost, bucket)
            if amount > 0:
                usage.add(-amount, self._clock())

    def used(self) -> list[tuple[Limit, float]]:
        """Return what counts now of every limit."""
        return [(usage.limit, usage.used(self._clock())) for usage in self._usages]

    def _wait(self, concerned: Sequence[tuple[Usage, float]]) -> tuple[float, Limit | None]:
        now = self._clock()
        waits = [(usage.wait(amount, now), usage.limit) for usage, amount in concerned]
        longest = max(waits, key=lambda one: one[0])
        return longest if longest[0] > 0 else (0.0, None)

    def _is_covered(self, concerned: Sequence[tuple[Usage, float]]) -> bool:
        now = self._clock()
        for usage, amount in concerned:
            slot, marks = usage.slot(now), self._marks.get(usage.limit.name, {})
            if (
                usage.limit.is_lasting
                and usage.slots.get(slot, 0.0) + usage.open + amount > marks.get(slot, 0.0) + _NEAR
            ):
                return False
        return True

    def _adopt(self, value: Value, taken: int) -> None:
        """Take the record for what was used where another process may have written it."""
        if taken == self._taken:
            return
        known = value.get("used")
        for usage in self._usages:
            marks = known.get(usage.limit.name) if isinstance(known, dict) else None
            if usage.limit.is_lasting and isinstance(marks, dict):
                usage.slots.clear()
                usage.slots.update(_slots(marks))
        self._marks, self._ahead, self._taken = {}, {}, taken

    def _reserved(self, value: Value, concerned: Sequence[tuple[Usage, float]]) -> Value:
        """Return the record with marks ahead of what is to be used."""
        now, amounts = self._clock(), {usage.limit.name: amount for usage, amount in concerned}
        known = value.get("used")
        kept = dict(known) if isinstance(known, dict) else {}
        for usage in self._usages:
            name, amount = usage.limit.name, amounts.get(usage.limit.name, 0.0)
            if not usage.limit.is_lasting or not amount:
                continue
            left = usage.limit.most - usage.used(now) - amount
            ahead = max(0.0, min(self._ahead.get(name, 0.0), left))
            slot = usage.slot(now)
            marks = {**usage.slots, slot: usage.slots.get(slot, 0.0) + usage.open + amount + ahead}
            self._pending[name] = marks
            self._further[name] = min(max(amount, 2 * self._ahead.get(name, 0.0)), usage.limit.most * SHARE)
            kept[name] = {str(number): round(mark, 9) for number, mark in marks.items() if mark}
        return {**value, "used": kept}


def _slots(marks: dict[str, object]) -> dict[int, float]:
    found = {}
    for slot, mark in marks.items():
        if slot.isdigit() and isinstance(mark, int | float) and math.isfinite(mark) and mark > 0:
            found[int(slot)] = float(mark)
    return found
