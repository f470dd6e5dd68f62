"""What is usual at a source, hour by hour of the day, learned from itself. Arithmetic only, the clock comes in.

Held against it, silence is not a time but a number of mentions that would have been usual meanwhile: at night that
grows slowly. A source that is never asked for hours is not learned from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

UNKNOWN: Final = -1.0
WEIGHT: Final = 0.25  # of a new day against the days before
UNHEARD: Final = 6 * 3600.0  # seconds between two answers after which what lies between is not counted


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Usual mentions in each hour of the UTC day (UNKNOWN where never heard), and what has come and not come lately."""

    hours: tuple[float, ...] = (UNKNOWN,) * 24
    at: datetime | None = None
    this_hour: float = 0.0
    quiet: float = 0.0

    def usual(self, since: datetime, until: datetime) -> float:
        """Return how many mentions are usual between two times; hours that were never heard count none."""
        return sum(max(0.0, self.hours[hour]) * share for hour, share in _shares(since, until))

    @property
    def is_known(self) -> bool:
        """Whether a whole day has been heard."""
        return all(hour >= 0 for hour in self.hours)

    def after(self, new: int, now: datetime) -> Rhythm:
        """Return the rhythm after an answer with so many new mentions."""
        before = self.at
        if before is None or not 0 <= (now - before).total_seconds() <= UNHEARD:
            return replace(self, at=now, this_hour=0.0, quiet=0.0 if new else self.quiet)
        span = sum(share for _, share in _shares(before, now))
        hours, heard = list(self.hours), self.this_hour
        shares = _shares(before, now)
        for place, (hour, share) in enumerate(shares):
            heard += new * share / span if span else float(new)
            if place < len(shares) - 1:  # this hour is over
                known = hours[hour]
                hours[hour] = heard if known < 0 else known + WEIGHT * (heard - known)
                heard = 0.0
        if not shares:
            heard += new
        quiet = 0.0 if new else self.quiet + self.usual(before, now)
        return Rhythm(tuple(hours), now, heard, quiet)


def _shares(since: datetime, until: datetime) -> list[tuple[int, float]]:
    """Return the hours of the day between two times, and how much of each."""
    found = []
    at = since
    while at < until:
        ends = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        found.append((at.hour, (min(ends, until) - at).total_seconds() / 3600))
        at = ends
    if found and until == until.replace(minute=0, second=0, microsecond=0):
        found.append((until.hour, 0.0))  # exactly at the hour: the one before is over
    return found
