"""Posts on forums that run Discourse: all that is written, chosen topics, or what a search finds.

API: https://docs.discourse.org (no key where the forum shows itself to all). Posts are numbered, and the forum gives the
fifty numbers up to any: so it is read forwards by numbers, whatever was written meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from pydantic import Field, SecretStr, model_validator

from connectors import auth, one_by_one, places, reading
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings
from connectors.discourse import posts
from connectors.discourse.posts import Row
from connectors.http import Meaning
from connectors.limits import Limit
from connectors.one_by_one import GoneError
from connectors.rereading import DAY, HOUR, Reread, Rereading
from connectors.settings import Server
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Mention

WINDOW: Final = 50  # numbers, not posts, in one list: those of private and deleted posts are left out
TOGETHER: Final = 20  # posts of a topic or a search that are read at a time
PAGES: Final = 10  # of one search
SETTLED: Final = 60.0  # seconds after which a search knows of everything written until then


class DiscourseSettings(PollingSettings):
    """Which forum, and what of it."""

    server: Server
    """Address of the forum."""
    query: str = ""
    """What to search for, in the forum's own search language; empty is everything that is written."""
    topics: tuple[int, ...] = Field(default=(), max_length=50)
    """Numbers of topics to hear, the last part of their addresses; none is all topics."""
    key: SecretStr | None = None
    """API key, for a forum that shows itself to its members only."""
    username: str = "system"
    """The account that the key is for."""
    lookback: Duration = 86_400
    """How far back the first search goes."""

    @model_validator(mode="after")
    def _choose(self) -> DiscourseSettings:
        if self.query and self.topics:
            raise ValueError("choose `query` or `topics`: the search has `topic:NUMBER` for both")
        return self


class Discourse(PollingConnector[DiscourseSettings]):
    """The cursor holds, for each question, the highest number given (`id`), and `top` while there is more up to there."""

    name = "discourse"
    settings_type = DiscourseSettings
    facts = Facts(
        auth="none; a key where a forum wants one",
        cursor="highest number of a post",
        changes="both, among the newest and when read again",
        tested="Discourse's spec (Prism), recorded answers",
    )
    seen_limit: ClassVar[int] = 1_000
    rereads = Rereading(ages=(HOUR, DAY, 7 * DAY), batch=10)
    rows_of = staticmethod(posts.rows_of)
    to_mention = staticmethod(posts.read)

    def auth(self) -> auth.Auth:
        return auth.header("Api-Key", self.settings.key) if self.settings.key else auth.Auth(self.settings.server)

    def limits(self) -> Sequence[Limit]:
        """What most forums allow an address, and an administrator's key."""
        return (Limit(60, per=60),)

    async def fetch(self, cursor: str | None) -> Page:
        known = places.read(cursor)
        rows: list[Row] = []
        gap: Gap | None = None
        if self.settings.query:
            found, known["search"], gap = await self._search(known.get("search", {}))
            rows += found
        for topic in self.settings.topics:
            found, known[f"topic-{topic}"] = await self._topic(topic, known.get(f"topic-{topic}", {}))
            rows += found
        if not self.settings.query and not self.settings.topics:
            rows, known["latest"] = await self._latest(known.get("latest", {}))
        rows = [row for row in rows if posts.is_for_all(row)]
        rows.sort(key=lambda row: (str(row.get("created_at")), row["id"]))
        is_full = any("top" in place for place in known.values())
        return self.page(rows, places.written(known), is_full=is_full, gap=gap)

    async def _latest(self, place: Row) -> tuple[list[Row], Row]:
        """Return what is newer than the place: the newest list when it reaches down to there, else the next window."""
        known, top = places.number(place, "id"), places.number(place, "top")
        if known is None or top is None:
            rows = self._rows(await self._get("posts.json"), "latest_posts")
            numbers = [row["id"] for row in rows]
            newest = max(numbers, default=0)
            if known is None or min(numbers, default=newest) <= known or newest <= known:
                return rows, {"id": max(newest, known or 0)}
            top = newest
        until = known + WINDOW
        rows = self._rows(await self._get("posts.json", {"before": f"{until:.0f}"}), "latest_posts")
        found = [row for row in rows if row["id"] > known]
        return found, {"id": until, "top": top} if until < top else {"id": max(top, known)}

    async def _topic(self, topic: int, place: Row) -> tuple[list[Row], Row]:
        """Return a topic's posts that are newer than the place, the oldest of them first; at first the newest."""
        body = await self._get(f"t/{topic}.json")
        posted = body.get("post_stream") if isinstance(body, dict) else None
        stream = posted.get("stream") if isinstance(posted, dict) else None
        if not isinstance(stream, list):
            raise SourceUnavailableError(f"{self.instance}: the answer is no topic")
        known = places.number(place, "id")
        numbers = sorted(number for number in stream if isinstance(number, int) and number > (known or 0))
        wanted = numbers[-TOGETHER:] if known is None else numbers[:TOGETHER]
        if not wanted:
            return [], {"id": known or 0}
        body["earshot_more"] = await self._get(f"t/{topic}/posts.json", {"post_ids[]": [str(one) for one in wanted]})
        rows = [row for row in posts.rows_of([body], self.settings.server) if row["id"] in wanted]
        return list({row["id"]: row for row in rows}.values()), _after(wanted[-1], numbers[-1])

    async def _search(self, place: Row) -> tuple[list[Row], Row, Gap | None]:
        """Return the posts that a search finds above the place, the oldest of them first."""
        known = places.number(place, "id") or 0
        since = places.number(place, "at") or self.clock().timestamp() - self.settings.lookback
        day = datetime.fromtimestamp(since, UTC) - timedelta(days=1)  # the forum's days begin elsewhere, perhaps
        settled = self.clock().timestamp() - SETTLED
        found: dict[int, Row] = {}
        gap = None
        for page in range(1, PAGES + 1):
            asked = {"q": f"{self.settings.query} after:{day:%Y-%m-%d} order:latest", "page": str(page)}
            body = await self._get("search.json", asked)
            rows = self._rows(body, "posts")
            found |= {row["id"]: row for row in rows if row["id"] > known and since <= _time_of(row, since) <= settled}
            grouped = body.get("grouped_search_result")
            is_more = isinstance(grouped, dict) and grouped.get("more_full_page_results")
            if not is_more or any(row["id"] <= known for row in rows):
                break
            if page == PAGES and found:
                gap = places.gap(since, _time_of(found[min(found)], since), "more posts than the forum's search shows")
        wanted = sorted(found)[:TOGETHER]
        if not wanted:
            return [], {"id": known, "at": since}, None
        full = [await self._post(found[number]) for number in wanted]
        at = max(_time_of(found[number], since) for number in wanted)
        return [row for row in full if row], _after(wanted[-1], max(found)) | {"at": at}, gap

    async def _post(self, row: Row) -> Row | None:
        """Return a post as it is: searches show how it begins. None when it has gone meanwhile."""
        if "cooked" in row:
            return row
        try:
            body = await self._get(f"posts/{row['id']}.json", meaning=one_by_one.gone)
        except GoneError:
            return None
        return {**row, **next(posts.rows_of([body], self.settings.server), {})}

    async def _get(self, path: str, params: dict[str, Any] | None = None, *, meaning: Meaning | None = None) -> Any:
        headers = {"Api-Username": self.settings.username} if self.settings.key else {}
        return (await self.http.get_json(f"{self.settings.server}/{path}", params, headers, meaning=meaning)).json

    def _rows(self, body: Any, name: str) -> list[Row]:
        self.listed(body, name, "posts")
        rows = posts.rows_of([body], self.settings.server)
        return [row for row in rows if isinstance(row["id"], int) and not isinstance(row["id"], bool)]

    async def reread(self, ids: Sequence[str]) -> Reread:
        return await one_by_one.reread(ids, self._again)

    async def _again(self, native: str) -> Sequence[Mention]:
        number = posts.number_of(native)
        if number is None:
            return []
        body = await self._get(f"posts/{number}.json", meaning=one_by_one.gone)
        return self.page(posts.rows_of([body], self.settings.server), None).mentions

    async def cursor_at(self, since: datetime) -> str | None:
        if self.settings.query:
            return places.written({"search": {"id": 0, "at": since.timestamp()}})
        newest = self._rows(await self._get("posts.json"), "latest_posts")
        before, after = 0, max((row["id"] for row in newest), default=0)
        while after - before > WINDOW:  # posts are numbered in the order of their times
            middle = (before + after) // 2
            rows = self._rows(await self._get("posts.json", {"before": str(middle)}), "latest_posts")
            times = [_time_of(row, 0.0) for row in rows]
            is_before = bool(times) and max(times) < since.timestamp()
            before, after = (middle, after) if is_before else (before, middle)
        names = [f"topic-{topic}" for topic in self.settings.topics] or ["latest"]
        return places.written({name: {"id": before} for name in names})

    def time_of(self, cursor: str | None) -> datetime | None:
        return places.time_of(cursor, "search")


def _after(given: float, top: float) -> Row:
    return {"id": given, "top": top} if given < top else {"id": given}


def _time_of(row: Row, otherwise: float) -> float:
    at = reading.timestamp(row.get("created_at"))
    return otherwise if at is None else at.timestamp()
