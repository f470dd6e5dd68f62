"""Videos on TikTok that match words or hash tags, and the comments under them, through the Research API.

API: https://developers.tiktok.com/doc/research-api-specs-query-videos (a client key and secret of an approved research
project; 1,000 requests a day). Days are asked for, not instants, and TikTok's index learns of videos late: each round
reads the last days again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from pydantic import Field, SecretStr, model_validator

from connectors import auth
from connectors.answers import Answer, as_json
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings
from connectors.limits import Limit
from connectors.reading import objects, timestamp, whole
from connectors.tiktok import videos
from connectors.tiktok.access import ClientKey, StaleSearchError, meaning
from connectors.tiktok.place import VIDEOS, Place, Question
from connectors.tiktok.videos import Row
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, SourceUnavailableError

MOST: Final = 100  # of one answer
DEEPEST: Final = 1_000  # comments of a video that TikTok shows
FIELDS: Final = "id,video_description,create_time,region_code,share_count,view_count,like_count,comment_count,hashtag_names,username"
COMMENT_FIELDS: Final = "id,video_id,text,like_count,reply_count,parent_comment_id,create_time"


class TikTokSettings(PollingSettings):
    """What to search for: at least one of `keywords` and `hashtags`."""

    client_key: str
    """The project's client key."""
    client_secret: SecretStr
    """The project's client secret."""
    keywords: tuple[str, ...] = Field(default=(), max_length=50)
    """Words or phrases; videos with one of them in their description are heard."""
    hashtags: tuple[str, ...] = Field(default=(), max_length=50)
    """Hash tags, with or without #; videos with one of them are heard."""
    regions: tuple[str, ...] = Field(default=(), max_length=50)
    """Countries where the author has registered, such as DE; none is all."""
    speech: bool = False
    """Whether what is said in a video, as TikTok writes it down, belongs to its text."""
    comments: bool = True
    """Whether comments are heard."""
    comments_every: Duration = Field(default=86_400.0, ge=60)
    """How often the comments under a video are read."""
    follow: Duration = 7 * 86_400
    """How long after it was published a video's comments are heard."""
    lookback: Duration = 2 * 86_400
    """How far back the very first round goes."""
    overlap: Duration = 2 * 86_400
    """How far each round reaches back again: TikTok's index learns of videos up to two days late."""
    requests_per_day: int = Field(default=1_000, ge=1)
    """How many requests the project may make in a day."""
    poll_interval: Duration = Field(default=3_600.0, ge=0.05)
    slowest_poll: Duration = Field(default=10_800.0, ge=0.05)
    base_url: str = "https://open.tiktokapis.com"

    @model_validator(mode="after")
    def _something(self) -> TikTokSettings:
        if not (self.keywords or self.hashtags):
            raise ValueError("say what to hear: `keywords: [acme kettle]` or `hashtags: [acme]`")
        return self


class TikTok(PollingConnector[TikTokSettings]):
    """The cursor is a `Place`: which days are read, the page of a question, the videos whose comments are due."""

    name = "tiktok"
    settings_type = TikTokSettings
    facts = Facts(
        auth="client key and secret of an approved research project",
        cursor="the days that are read, and the page of a question",
        changes="no edits; no deletions",
        tested="an API of our own, a published example",
    )
    seen_limit: ClassVar[int] = 5_000
    to_mention = staticmethod(videos.to_mention)

    def auth(self) -> auth.Auth:
        return ClientKey(
            f"{self.settings.base_url}/v2/oauth/token/", self.settings.client_key, self.settings.client_secret
        )

    def limits(self) -> Sequence[Limit]:
        return (Limit(self.settings.requests_per_day, per="day"),)

    def judge(self, answer: Answer) -> EarshotError | None:
        return meaning(answer, self.clock())

    async def fetch(self, cursor: str | None) -> Page:
        place, now = Place.read(cursor), self.clock()
        if not place.queue:
            due = place.due(now, self.settings.comments_every) if self.settings.comments else ()
            place = replace(place, queue=(VIDEOS, *due), question=None)
        ask = self._videos if place.queue[0] == VIDEOS else self._comments
        question = place.question or self._question(place, now)
        try:
            return await ask(replace(place, question=question), question, now)
        except StaleSearchError:  # begin this question anew
            question = replace(question, cursor=0, search="")
            return await ask(replace(place, question=question), question, now)

    def _question(self, place: Place, now: datetime) -> Question:
        settings = self.settings
        return place.days(now, settings.overlap, settings.lookback) if place.queue[0] == VIDEOS else Question()

    async def _videos(self, place: Place, question: Question, now: datetime) -> Page:
        given: Row = {
            "query": videos.query(self.settings.keywords, self.settings.hashtags, self.settings.regions),
            "start_date": _day(question.since),
            "end_date": _day(question.until),
            "max_count": MOST,
        }
        if question.search:
            given |= {"cursor": question.cursor, "search_id": question.search}
        fields = f"{FIELDS},voice_to_text" if self.settings.speech else FIELDS
        rows, more, data = await self._ask("video/query", fields, given, "videos")
        if self.settings.comments:
            place = place.following(videos.published(rows), now - timedelta(seconds=self.settings.follow))
            fresh = [native for native in place.due(now, self.settings.comments_every) if native not in place.queue]
            place = replace(place, queue=(*place.queue, *fresh))
        search = str(data.get("search_id") or "")
        place = place.paged(more, search) if more and search else place.done(now)
        return self._page(rows, place)

    async def _comments(self, place: Place, question: Question, now: datetime) -> Page:
        native, gap = place.queue[0], None
        given = {"video_id": int(native), "max_count": MOST, "cursor": question.cursor}
        rows, more, _ = await self._ask("video/comment/list", COMMENT_FIELDS, given, "comments")
        video = place.videos.get(native, {})
        rows = [{"video_id": native, "earshot_handle": video.get("handle"), **row} for row in rows]
        since = timestamp(video.get("published"))
        if more >= DEEPEST and since is not None and since < now:
            gap, more = Gap(since, now, f"TikTok shows {DEEPEST} comments of a video"), 0
        place = place.paged(more, "") if 0 < more < DEEPEST else place.done(now)
        return self._page(rows, place, gap)

    def _page(self, rows: list[Row], place: Place, gap: Gap | None = None) -> Page:
        rows.sort(key=lambda row: whole(row.get("create_time")) or 0)
        return self.page(rows, place.written(), is_full=bool(place.queue), gap=gap)

    async def _ask(self, path: str, fields: str, given: Row, name: str) -> tuple[list[Row], int, Row]:
        """Return the objects of an answer, the cursor of the next page (0 when there is none), and the answer's data."""
        url = f"{self.settings.base_url}/v2/research/{path}/"
        body = as_json(await self.http.request("POST", url, params={"fields": fields}, json=given))
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise SourceUnavailableError(f"{self.instance}: the answer has no data")
        rows = objects(data.get(name))
        return rows, (whole(data.get("cursor")) or 0) if data.get("has_more") else 0, data

    async def cursor_at(self, since: datetime) -> str | None:
        return Place(heard=(since.astimezone(UTC) + timedelta(seconds=self.settings.overlap)).isoformat()).written()

    def time_of(self, cursor: str | None) -> datetime | None:
        place = Place.read(cursor)
        return timestamp(place.question.since if place.question and place.question.since else place.heard)


def _day(instant: str) -> str:
    return instant[:10].replace("-", "")
