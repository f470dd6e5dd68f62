"""Where a source is in TikTok: which days are read, the page of a question, the videos whose comments are due. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.reading import timestamp

VIDEOS: Final = "videos"
MAX_VIDEOS: Final = 500  # whose comments are read
LONGEST: Final = timedelta(days=30)  # that one question may be about


@dataclass(frozen=True, slots=True)
class Question:
    """A question that is being paged through: about the days from `since` to `until`, or about a video."""

    since: str = ""
    until: str = ""
    cursor: int = 0
    search: str = ""  # TikTok's name for its results, which every further page has to give


@dataclass(frozen=True, slots=True)
class Place:
    """`heard` is the instant up to which videos were asked for; `videos` says when each one's comments were read."""

    heard: str = ""
    queue: tuple[str, ...] = ()
    question: Question | None = None
    videos: dict[str, dict[str, str]] = field(default_factory=dict)  # id: published, handle, read

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place in a cursor; the beginning where it cannot be read."""
        try:
            given: dict[str, Any] = json.loads(cursor or "{}")
            question = given.get("question")
            videos = {str(key): dict(value) for key, value in (given.get("videos") or {}).items()}
            return cls(
                heard=str(given.get("heard") or ""),
                queue=tuple(map(str, given.get("queue") or ())),
                question=Question(**question) if question else None,
                videos=videos,
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def written(self) -> str:
        """Return the cursor."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    def days(self, now: datetime, overlap: float, lookback: float) -> Question:
        """Return the next question about videos: from what is known, less the overlap, thirty days at the most."""
        heard = timestamp(self.heard)
        since = now - timedelta(seconds=lookback) if heard is None else heard - timedelta(seconds=overlap)
        until = min(now, since + LONGEST)
        return Question(since=since.isoformat(), until=until.isoformat())

    def due(self, now: datetime, every: float) -> tuple[str, ...]:
        """Return the videos whose comments have not been read for so long."""
        before = (now - timedelta(seconds=every)).isoformat()
        return tuple(native for native, video in self.videos.items() if video.get("read", "") <= before)

    def following(self, found: dict[str, dict[str, str]], since: datetime) -> Place:
        """Return the place with videos that were found, the newest of them; those of before `since` are given up."""
        videos = {
            **self.videos,
            **{native: {**self.videos.get(native, {}), **video} for native, video in found.items()},
        }
        kept = {native: video for native, video in videos.items() if video.get("published", "") >= since.isoformat()}
        newest = sorted(kept.items(), key=lambda one: one[1]["published"])[-MAX_VIDEOS:]
        return replace(self, videos=dict(newest))

    def paged(self, cursor: int, search: str) -> Place:
        """Return the place at the next page."""
        assert self.question is not None
        return replace(self, question=replace(self.question, cursor=cursor, search=search))

    def done(self, now: datetime) -> Place:
        """Return the place when a question is answered: at the next one."""
        target, *rest = self.queue
        if target == VIDEOS:
            assert self.question is not None
            again = [] if self.question.until >= now.astimezone(UTC).isoformat() else [VIDEOS]
            return replace(self, heard=self.question.until, queue=(*again, *rest), question=None)
        videos = dict(self.videos)
        if target in videos:
            videos[target] = {**videos[target], "read": now.isoformat()}
        return replace(self, queue=tuple(rest), question=None, videos=videos)
