"""Where a source is in LinkedIn: until when it has heard each organisation, and a round over what is to be asked. Pure.

A target is `notes|ORGANISATION`, `posts|ORGANISATION`, or `comments|POST` and `comments|COMMENT`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.base import Gap
from connectors.linkedin.access import KEPT

MAX_COUNTED: Final = 1_000  # comments whose number of answers is known


@dataclass(frozen=True, slots=True)
class Place:
    """`heard` is in epoch milliseconds, by organisation; `since`, `until` and `start` are those of the first target."""

    heard: dict[str, int] = field(default_factory=dict)
    queue: tuple[str, ...] = ()
    since: int = 0
    until: int = 0
    start: int = 0
    begin: int = 0
    counted: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place in a cursor; the beginning where it cannot be read."""
        try:
            given: dict[str, Any] = json.loads(cursor or "{}")
            numbers = {name: int(given.get(name) or 0) for name in ("since", "until", "start", "begin")}
            heard = {str(key): int(value) for key, value in (given.get("heard") or {}).items()}
            counted = {str(key): int(value) for key, value in (given.get("counted") or {}).items()}
            return cls(heard, tuple(map(str, given.get("queue") or ())), counted=counted, **numbers)
        except (ValueError, TypeError, AttributeError):
            return cls()

    def written(self) -> str:
        """Return the cursor."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    def bounded(self, organization: str, now: datetime, overlap: float, lookback: float) -> tuple[Place, Gap | None]:
        """Return the place with the times that a question is about, and what LinkedIn no longer keeps."""
        heard = self.heard.get(organization)
        first = instant(self.begin) if self.begin else now - timedelta(seconds=lookback)
        since = first if heard is None else instant(heard) - timedelta(seconds=overlap)
        oldest, gap = now - KEPT, None
        if since < oldest:
            gap = Gap(since, oldest, "LinkedIn keeps notifications for 60 days")
            since = oldest
        return replace(self, since=milliseconds(since), until=milliseconds(now), start=0), gap

    def paged(self, start: int) -> Place:
        """Return the place at the next page of the first target."""
        return replace(self, start=start)

    def done(self, *more: str) -> Place:
        """Return the place at the next target, with `more` to be asked as well."""
        target, *rest = self.queue
        kind, _, which = target.partition("|")
        heard = {**self.heard, which: self.until} if kind == "notes" else self.heard
        queue = tuple(dict.fromkeys((*rest, *more)))
        return replace(self, heard=heard, queue=queue, since=0, until=0, start=0)

    def counting(self, counts: dict[str, int]) -> Place:
        """Return the place that knows these comments' numbers of answers."""
        counted = {key: value for key, value in self.counted.items() if key not in counts} | counts
        return replace(self, counted=dict(list(counted.items())[-MAX_COUNTED:]))


def milliseconds(at: datetime) -> int:
    """Return an instant as LinkedIn writes it: in epoch milliseconds."""
    return int(at.timestamp() * 1000)


def instant(given: int) -> datetime:
    """Return the instant that epoch milliseconds say."""
    return datetime.fromtimestamp(given / 1000, UTC)
