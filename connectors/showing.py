"""Sources that show only the newest few of each place: what is known of each, and what passed by unseen.

Nothing can be asked for beyond what is shown, so what came and went between two polls is told as a gap: where none of
what was known is shown any more, unless the place's total says that all that is new is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.base import Gap


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of a place: the time of the newest in epoch seconds, and how many there were in all."""

    newest: float
    total: int | None = None


def missed(before: Shown | None, times: Sequence[float], total: int | None) -> Gap | None:
    """Return what is newer than what was known and is not shown; None where nothing can be."""
    if before is None or not times or min(times) <= before.newest:
        return None
    grown = grown_by(before, total)
    if grown is not None and grown <= len(times):
        return None
    count = "an unknown number of" if grown is None else str(grown)
    reason = f"{count} new ones, of which the source shows {len(times)}"
    return Gap(datetime.fromtimestamp(before.newest, UTC), datetime.fromtimestamp(min(times), UTC), reason)


def grown_by(before: Shown | None, total: int | None) -> int | None:
    """Return how many are new by the place's own count; None where it does not count."""
    if before is None or before.total is None or total is None:
        return None
    return max(0, total - before.total)


class Showing:
    """What is known of all places of a source, as its cursor keeps it."""

    def __init__(self, cursor: str | None) -> None:
        self.places = _read(cursor)
        self.gaps: list[Gap] = []
        self._new: list[int | None] = []

    def take(
        self, place: str, times: Sequence[float], total: int | None, now: datetime, *, is_all: bool = False
    ) -> None:
        """Note what a place shows; `is_all` says that it has no more than that. A time ahead of us counts as now."""
        times = [min(time, now.timestamp()) for time in times]
        before = self.places.get(place)
        self._new.append(grown_by(before, total))
        gap = None if is_all else missed(before, times, total)
        if gap is not None:
            self.gaps.append(gap)
        newest = max([*times, *([before.newest] if before else [])], default=now.timestamp())
        self.places[place] = Shown(newest, total)

    @property
    def gap(self) -> Gap | None:
        """What was missed in all places."""
        if not self.gaps:
            return None
        reasons = list(dict.fromkeys(one.reason for one in self.gaps))[:5]
        return Gap(min(one.since for one in self.gaps), max(one.until for one in self.gaps), "; ".join(reasons))

    @property
    def expected(self) -> int | None:
        """How many are new by the places' own count; None where one does not say."""
        new = [count for count in self._new if count is not None]
        return sum(new) if new and len(new) == len(self._new) else None

    def written(self) -> str | None:
        """Return the cursor; None when nothing is known of any place."""
        kept: dict[str, Any] = {place: [one.newest, one.total] for place, one in self.places.items()}
        return json.dumps(kept) if kept else None


def _read(cursor: str | None) -> dict[str, Shown]:
    try:
        return {
            place: Shown(float(newest), None if total is None else int(total))
            for place, (newest, total) in json.loads(cursor or "{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}
