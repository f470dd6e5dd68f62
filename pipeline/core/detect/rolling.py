"""Order statistics of the newest values, and what is usual at a time of day. Exact, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

DAYS: Final = 7  # days a time of day is looked back to
SLOT: Final = 30  # minutes
SLOTS: Final = 24 * 60 // SLOT
ENOUGH: Final = 3  # days that must be known before a time of day has a level
TO_SIGMA: Final = 1.4826  # median absolute deviation of a normal distribution to its standard deviation


class Newest:
    """The newest `size` values, sorted, with their median and spread."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, value: float) -> None:
        """Take in a value; the oldest goes when there are more than `size`."""
        insort(self._sorted, value)
        self._arrived.append(value)
        if len(self._arrived) > self.size:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    def median(self) -> float:
        """Return the median. Raises IndexError when there is no value."""
        return median_of(self._sorted)

    def spread(self) -> float:
        """Return the median absolute deviation, as a standard deviation."""
        values, middle = self._sorted, self.median()
        # The deviations to the left and to the right of the median are sorted already: the median of both together is
        # found by halving, without looking at every value.
        half = (len(values) + 1) // 2
        low, high = 0.0, max(middle - values[0], values[-1] - middle)
        for _ in range(40):
            radius = (low + high) / 2
            inside = bisect_right(values, middle + radius) - bisect_left(values, middle - radius)
            low, high = (low, radius) if inside >= half else (radius, high)
        return high * TO_SIGMA


def median_of(ordered: Sequence[float]) -> float:
    """Return the median of sorted values."""
    return (ordered[len(ordered) // 2] + ordered[(len(ordered) - 1) // 2]) / 2


class TimeOfDay:
    """The level at each half hour of the last days."""

    def __init__(self) -> None:
        self._slots: dict[int, tuple[float, int]] = {}
        self._newest = 0

    def add(self, at: datetime, value: float) -> None:
        """Count a value to its half hour; what is older than the days looked back to goes."""
        slot = _slot(at)
        total, count = self._slots.get(slot, (0.0, 0))
        self._slots[slot] = total + value, count + 1
        self._newest = max(self._newest, slot)
        if len(self._slots) > (DAYS + 2) * SLOTS:
            oldest = self._newest - (DAYS + 1) * SLOTS
            self._slots = {one: sums for one, sums in self._slots.items() if one >= oldest}

    def levels(self, at: datetime) -> tuple[float, float] | None:
        """Return the lowest and highest level of the half hours around this time of day; None when little is known.

        Each is a median over the days before. A rhythm is not exact to the minute, hence the neighbours.
        """
        slot, found = _slot(at), []
        for near in (slot - 1, slot, slot + 1):
            days = [self._slots[past] for day in range(1, DAYS + 1) if (past := near - day * SLOTS) in self._slots]
            if len(days) < ENOUGH:
                return None
            found.append(median_of(sorted(total / count for total, count in days)))
        return min(found), max(found)


def _slot(at: datetime) -> int:
    return at.toordinal() * SLOTS + (at.hour * 60 + at.minute) // SLOT
