"""Videos on YouTube that match a search, and the comments under them, under a channel's videos, or under given videos.

API: https://developers.google.com/youtube/v3/docs (a key of a Google Cloud project; a day has 10,000 units: a search
costs 100, all else 1). One page is asked for at a time, newest first, down to what is known; a round goes over all that
is to be heard, then it waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final

from pydantic import Field, SecretStr, StringConstraints, model_validator

from connectors import auth
from connectors.answers import Answer
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings
from connectors.limits import Limit
from connectors.reading import mapping, objects, timestamp, whole
from connectors.rereading import DAY, Reread, Rereading
from connectors.youtube import resources
from connectors.youtube.errors import PACIFIC, GoneError, StaleTokenError, meaning
from connectors.youtube.place import Place, Walk, gap_between, written
from connectors.youtube.resources import Row
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, SourceUnavailableError

SEARCH: Final = "search"
DEEPEST: Final = 10  # pages of one search: YouTube shows about 500 results, whatever it says there are
SEARCH_PAGE: Final = 50
UNITS: Final = "units"
COMMENTS: Final = {"maxResults": "100", "textFormat": "plainText"}

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{5,64}$")]


class YouTubeSettings(PollingSettings):
    """What to hear: at least one of `query`, `channels` and `videos`."""

    key: SecretStr
    """API key of a Google Cloud project."""
    query: str = ""
    """Words to search videos for; -word leaves out, | means or. Each search costs 100 of the day's units."""
    channels: tuple[Id, ...] = Field(default=(), max_length=50)
    """Ids of channels (UC…): all comments under their videos."""
    videos: tuple[Id, ...] = Field(default=(), max_length=200)
    """Ids of single videos: all comments under them."""
    comments: bool = True
    """Whether the comments under videos that the search has found are heard."""
    follow: Duration = 7 * 86_400
    """How long after it was published a found video's comments are heard."""
    lookback: Duration = 86_400
    """How far back the very first round goes."""
    overlap: Duration = 86_400
    """How far each round reaches back again: for edits, new replies, and videos the search learns of late."""
    units_per_day: int = Field(default=10_000, ge=1)
    """How many units the project has in a day."""
    poll_interval: Duration = Field(default=1_800.0, ge=0.05)
    slowest_poll: Duration = Field(default=7_200.0, ge=0.05)
    base_url: str = "https://www.googleapis.com/youtube/v3"

    @model_validator(mode="after")
    def _something(self) -> YouTubeSettings:
        if not (self.query.strip() or self.channels or self.videos):
            raise ValueError("say what to hear: `query: acme kettle`, `channels: [UC…]` or `videos: […]`")
        return self


class YouTube(PollingConnector[YouTubeSettings]):
    """The cursor is a `Place`: the newest instant of every target, and where in the round it is."""

    name = "youtube"
    settings_type = YouTubeSettings
    facts = Facts(
        auth="API key",
        cursor="newest instant of every target, and the page of a walk",
        changes="both, within `overlap` and when read again",
        tested="Google's spec (Prism), recorded answers",
    )
    seen_limit: ClassVar[int] = 5_000
    rereads = Rereading(ages=(DAY, 7 * DAY), batch=50, every=25 * DAY)  # what is kept for 30 days has to be renewed
    to_mention = staticmethod(resources.to_mention)

    def auth(self) -> auth.Auth:
        return auth.header("X-Goog-Api-Key", self.settings.key)

    def limits(self) -> Sequence[Limit]:
        return (Limit(self.settings.units_per_day, per="day", unit=UNITS, zone=PACIFIC),)

    def judge(self, answer: Answer) -> EarshotError | None:
        return meaning(answer, self.clock())

    async def fetch(self, cursor: str | None) -> Page:
        place = Place.read(cursor)
        if not place.queue:
            place = replace(place, queue=self._round(place), walk=None)
        if place.walk is None:
            place = self._begun(place)
        target = place.queue[0]
        try:
            try:
                return await self._asked(place, target)
            except StaleTokenError:  # begin this target anew
                return await self._asked(self._begun(place), target)
        except GoneError:
            if target.partition(":")[2] in (*self.settings.channels, *self.settings.videos):
                raise
            return self._turned(place.without(target), [])

    def _round(self, place: Place) -> tuple[str, ...]:
        """Return all that is to be asked for in a round."""
        followed = [native for native in place.videos if native not in self.settings.videos]
        return (
            *((SEARCH,) if self.settings.query.strip() else ()),
            *(f"channel:{native}" for native in self.settings.channels),
            *(f"video:{native}" for native in (*self.settings.videos, *followed)),
        )

    def _begun(self, place: Place) -> Place:
        stop = place.stop(place.queue[0], self.clock(), self.settings.overlap, self.settings.lookback)
        return replace(place, walk=Walk(stop=written(stop)))

    async def _asked(self, place: Place, target: str) -> Page:
        assert place.walk is not None
        kind, _, which = target.partition(":")
        if kind == SEARCH:
            return await self._searched(place, place.walk)
        if kind == "replies":
            return await self._replies(place, *which.split(":"))
        name = "videoId" if kind == "video" else "allThreadsRelatedToChannelId"
        return await self._threads(place, place.walk, {name: which})

    async def _searched(self, place: Place, walk: Walk) -> Page:
        """Return a page of videos the search has found, each with all that its own resource says."""
        params = {
            "part": "snippet",
            "type": "video",
            "q": self.settings.query,
            "order": "date",
            "publishedAfter": walk.stop,
            "maxResults": str(SEARCH_PAGE),
        }
        results, token = await self._list("search", params, walk.token)
        found = {native: resources.published(row) for row in results if (native := resources.video_id(row))}
        rows: list[Row] = []
        if found:
            wanted = {"part": "snippet,statistics", "id": ",".join(found), "maxResults": str(SEARCH_PAGE)}
            rows, _ = await self._list("videos", wanted)
        gap = None
        if token and walk.pages + 1 >= DEEPEST:
            token, oldest = "", min(filter(None, found.values()), default=walk.stop)
            gap = gap_between(walk.stop, oldest)
        more: list[str] = []
        if self.settings.comments:
            place = place.following(found, self.clock() - timedelta(seconds=self.settings.follow))
            more = [f"video:{native}" for native in found if native in place.videos]
        place = place.turned(token, max([walk.top, *found.values()]), *more)
        return self._turned(place, rows, gap)

    async def _threads(self, place: Place, walk: Walk, which: dict[str, str]) -> Page:
        """Return a page of threads: comments with the replies that come with them; more replies are asked for next."""
        params = {"part": "snippet,replies", "order": "time", **which}
        threads, token = await self._list("commentThreads", params | COMMENTS, walk.token)
        rows: list[Row] = []
        counts: dict[str, int] = {}
        times = []
        for thread in threads:
            said = mapping(thread.get("snippet"))
            top, replies = mapping(said.get("topLevelComment")), objects(mapping(thread.get("replies")).get("comments"))
            here: Row = {name: said[name] for name in ("videoId", "channelId", "totalReplyCount") if name in said}
            times.append(resources.published(top))
            rows += [row for row in (resources.with_place(top, here), *replies) if resources.changed(row) >= walk.stop]
            count = whole(said.get("totalReplyCount")) or 0
            if count > len(replies) and resources.published(top) >= walk.stop:
                counts[f"{thread.get('id')}:{said.get('videoId', '')}"] = count
        more = [f"replies:{name}" for name, count in counts.items() if place.counted.get(name) != count]
        is_over = not times or times[-1] < walk.stop
        place = place.counting(counts).turned("" if is_over else token, max([walk.top, *times]), *more)
        return self._turned(place, rows)

    async def _replies(self, place: Place, thread: str, video: str = "") -> Page:
        assert place.walk is not None
        rows, token = await self._list(
            "comments", {"part": "snippet", "parentId": thread, **COMMENTS}, place.walk.token
        )
        here = {"videoId": video, "parentId": thread} if video else {"parentId": thread}
        return self._turned(place.turned(token, ""), [resources.with_place(row, here) for row in rows])

    async def _list(self, resource: str, params: Mapping[str, str], token: str = "") -> tuple[list[Row], str]:
        """Return the objects of a list and the token of its next page."""
        given = {**params, **({"pageToken": token} if token else {})}
        url, cost = f"{self.settings.base_url}/{resource}", 100 if resource == "search" else 1
        body = (await self.http.get_json(url, given, cost={UNITS: cost})).json
        if not isinstance(body, dict) or not str(body.get("kind", "")).endswith("ListResponse"):
            raise SourceUnavailableError(f"{self.instance}: the answer is no list of YouTube's")
        rows = objects(body.get("items"))
        return rows, str(body.get("nextPageToken") or "") if rows else ""

    def _turned(self, place: Place, rows: list[Row], gap: Gap | None = None) -> Page:
        rows.sort(key=resources.published)
        return self.page(rows, place.written(), is_full=bool(place.queue), gap=gap)

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Ask for comments and videos by their ids; YouTube leaves out those that are gone."""
        parts = {"comments": [one for one in ids if not resources.is_video_id(one)]}
        parts["videos"] = [one for one in ids if resources.is_video_id(one)]
        rows: list[Row] = []
        for resource, some in parts.items():
            if some:
                more = COMMENTS if resource == "comments" else {"maxResults": str(SEARCH_PAGE)}
                part = "snippet" if resource == "comments" else "snippet,statistics"
                rows += (await self._list(resource, {"part": part, "id": ",".join(some), **more}))[0]
        there = {str(row.get("id")) for row in rows}
        return Reread(self._turned(Place(), rows).mentions, [one for one in ids if one not in there])

    async def cursor_at(self, since: datetime) -> str | None:
        return Place(begin=written(since)).written()

    def time_of(self, cursor: str | None) -> datetime | None:
        place = Place.read(cursor)
        return timestamp(
            (place.walk.stop if place.walk else "") or place.begin or min(place.newest.values(), default="")
        )
