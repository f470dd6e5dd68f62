"""Where a source is among what it asks YouTube: a round over targets, and the walk through one of them. Pure.

A target is `search`, `channel:ID`, `video:ID`, or `replies:THREAD:VIDEO`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.base import Gap
from connectors.reading import timestamp

MAX_VIDEOS: Final = 200  # that a search has found and whose comments are followed
MAX_COUNTED: Final = 500  # threads whose number of replies is known


@dataclass(frozen=True, slots=True)
class Walk:
    """The way through the pages of one target, newest first, down to `stop`; `top` is the newest instant met."""

    stop: str
    token: str = ""
    top: str = ""
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """`newest` is the newest instant heard of each target, `queue` what is left of the round, `begin` of a backfill."""

    begin: str = ""
    newest: dict[str, str] = field(default_factory=dict)
    queue: tuple[str, ...] = ()
    walk: Walk | None = None
    videos: dict[str, str] = field(default_factory=dict)  # found by the search, with when they were published
    counted: dict[str, int] = field(default_factory=dict)  # threads with the number of replies when last looked at

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place in a cursor; the beginning where it cannot be read."""
        try:
            given: dict[str, Any] = json.loads(cursor or "{}")
            walk = given.get("walk")
            return cls(
                begin=str(given.get("begin") or ""),
                newest={str(key): str(value) for key, value in (given.get("newest") or {}).items()},
                queue=tuple(map(str, given.get("queue") or ())),
                walk=Walk(**walk) if isinstance(walk, dict) and timestamp(walk.get("stop")) else None,
                videos={str(key): str(value) for key, value in (given.get("videos") or {}).items()},
                counted={str(key): int(value) for key, value in (given.get("counted") or {}).items()},
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def written(self) -> str:
        """Return the cursor."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    def stop(self, target: str, now: datetime, overlap: float, lookback: float) -> datetime:
        """Return down to when a walk through a target goes."""
        kind, _, which = target.partition(":")
        newest = timestamp(self.newest.get(target))
        if kind == "replies":  # all of them: which are known is seen by their ids
            return datetime.fromtimestamp(0, UTC)
        if newest is not None:
            return newest - timedelta(seconds=overlap)
        return timestamp(self.videos.get(which)) or timestamp(self.begin) or now - timedelta(seconds=lookback)

    def without(self, target: str) -> Place:
        """Return the place after a target that is not there any more."""
        videos = {native: at for native, at in self.videos.items() if f"video:{native}" != target}
        return replace(self, videos=videos, queue=self.queue[1:], walk=None)

    def following(self, found: dict[str, str], since: datetime) -> Place:
        """Return the place with videos that were found; those of before `since` are followed no more."""
        videos = {**self.videos, **found}
        kept = {native: at for native, at in videos.items() if (timestamp(at) or since) >= since}
        newest = dict(sorted(kept.items(), key=lambda one: one[1])[-MAX_VIDEOS:])
        gone = {f"video:{native}" for native in videos if native not in newest}
        known = {target: at for target, at in self.newest.items() if target not in gone}
        return replace(self, videos=newest, newest=known)

    def counting(self, threads: dict[str, int]) -> Place:
        """Return the place that knows these threads' numbers of replies, without the oldest when they are many."""
        counted = {key: value for key, value in self.counted.items() if key not in threads} | threads
        return replace(self, counted=dict(list(counted.items())[-MAX_COUNTED:]))

    def turned(self, token: str, top: str, *more: str) -> Place:
        """Return the place after a page: at the next one, or at the next target, with `more` to be asked next."""
        assert self.walk is not None
        target, *rest = self.queue
        if token:
            walk = replace(self.walk, token=token, top=top, pages=self.walk.pages + 1)
            return replace(self, walk=walk, queue=_each_once(target, *rest, *more))
        newest = {**self.newest, target: top} if top and not target.startswith("replies:") else self.newest
        return replace(self, walk=None, queue=_each_once(*rest, *more), newest=newest)


def _each_once(*targets: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(targets))


def written(at: datetime) -> str:
    """Return an instant as YouTube reads it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gap_between(since: str, until: str) -> Gap | None:
    """Return what a search did not show because it shows no more than about 500 results."""
    begin, end = timestamp(since), timestamp(until)
    return Gap(begin, end, "a search of YouTube shows 500 videos") if begin and end and begin < end else None
