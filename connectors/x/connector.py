"""Posts on X that match a query, through the recent search of API version 2.

API: https://docs.x.com/x-api/posts/search/introduction (a project's bearer token; every post that is read costs money).
The search gives the newest first. Each walk through its pages is bounded by the ids of what is known and, when much is
to be caught up with, of one hour: so texts come nearly in their order, and a walk that breaks off goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from connectors import reading
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings, told
from connectors.limits import Limit
from connectors.x import ids, lookup, posts, withdrawals
from connectors.x.lookup import POST_FIELDS, USER_FIELDS
from connectors.x.paid import Paid, PaidSettings
from connectors.x.place import Place
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Mention

DEPTH: Final = timedelta(days=7)  # how far the recent search goes back
MARGIN: Final = timedelta(minutes=5)  # X's clock and ours; a `since_id` that is too old is an error
STEP: Final = timedelta(hours=1)  # of what is caught up with at a time; longer where nothing was said
FEW: Final = 10  # the smallest page; a check reads no more than that
WINDOW: Final = 900.0  # seconds over which X counts requests: https://docs.x.com/x-api/fundamentals/rate-limits


class XSettings(PaidSettings, PollingSettings):
    """What to search for."""

    query: str = Field(min_length=1, max_length=4096)
    """A query in X's own language: words, "phrases", OR, -word, from:, lang:. 512 characters for most accounts."""
    reposts: bool = False
    """Whether reposts without words are heard: each costs as much as a post."""
    archive: bool = False
    """Whether to search the full archive, for accounts that have it, instead of the last seven days."""
    overlap: Duration = Field(default=30.0, le=3600)
    """How far each search reaches back again: the index learns of some posts late."""
    page_size: int = Field(default=100, ge=FEW, le=100)
    """Posts of one answer at the most."""
    selector: Literal["tweet.fields", "post.fields"] = "tweet.fields"
    """What the parameter that names a post's fields is called: X's own description has begun to call it post.fields."""
    poll_interval: Duration = Field(default=60.0, ge=0.05)
    base_url: str = "https://api.x.com"


class X(Paid[XSettings], PollingConnector[XSettings]):
    """The cursor is a `Place`: the newest id of all that is known, and where a walk through pages is."""

    name = "x"
    settings_type = XSettings
    facts = Facts(
        auth="bearer token of an app; pay per post",
        cursor="newest id, and the page of a walk",
        changes="both, when read again",
        tested="X's spec 2.112 (Prism), recorded answers",
    )
    seen_limit: ClassVar[int] = 2_000
    rows_of = staticmethod(posts.rows_of)

    def limits(self) -> Sequence[Limit]:
        bounds = (Limit(300, WINDOW, bucket="search/all"), Limit(1, 1.0, bucket="search/all"))
        return (Limit(450, WINDOW, bucket="search/recent"), *bounds, *super().limits())

    @property
    def api(self) -> str:
        return self.settings.base_url

    async def fetch(self, cursor: str | None) -> Page:
        place, gap = self._within_reach(Place.read(cursor))
        step = STEP
        while True:
            asked = place if place.token or place.known is None else self._bounded(place.known, step)
            body = await self._search(asked, self._affordable(self.settings.page_size))
            rows = reading.objects(body.get("data"))
            found = [str(row["id"]) for row in rows if ids.is_id(row.get("id"))]
            place, is_over = asked.after(found, reading.mapping(body.get("meta")).get("next_token"))
            if found or asked.until is None:
                break
            step *= 2  # nothing was said: go on with a longer time at once
        return self._page(body, place.written() or cursor, is_full=not is_over or asked.until is not None, gap=gap)

    def _within_reach(self, place: Place) -> tuple[Place, Gap | None]:
        """Return the place moved to where the search begins, and the time in between that it no longer shows."""
        floor = self.clock() - DEPTH + MARGIN
        at = ids.time_of(place.known)
        if self.settings.archive or place.token or at is None or at >= floor:
            return place, None
        return Place(known=ids.id_at(floor)), Gap(at, floor, "the search of X goes back seven days")

    def _bounded(self, known: str, step: timedelta) -> Place:
        """Return the walk through what is newer than `known`: through all of it, or through a step when it is much."""
        at = ids.time_of(known)
        if at is None:
            return Place(known=known, since=known)
        now = self.clock()
        since = at - timedelta(seconds=self.settings.overlap)
        if not self.settings.archive:
            since = max(since, now - DEPTH + MARGIN)
        return Place(known=known, since=ids.id_at(since), until=ids.id_at(at + step) if now - at > step else None)

    async def _search(self, place: Place, count: int) -> dict[str, Any]:
        query = self.settings.query if self.settings.reposts else f"({self.settings.query}) -is:retweet"
        params = {
            "query": query,
            "max_results": str(count),
            self.settings.selector: POST_FIELDS,
            "expansions": "author_id,referenced_tweets.id" if self.settings.reposts else "author_id",
            "user.fields": USER_FIELDS,
            **place.params(),
        }
        url = f"{self.api}/2/tweets/search/{'all' if self.settings.archive else 'recent'}"
        body = await lookup.read(self.http, url, params, count, self.settings.price)
        if not isinstance(body.get("data", body.get("meta")), list | dict):
            raise SourceUnavailableError(f"{self.instance}: the answer is no search result")
        return body

    def _affordable(self, count: int) -> int:
        """Return how many posts a page may hold within the whole budget: one page is never more than that."""
        budget, price = self.settings.budget, self.settings.price
        most = [bound for bound in (budget.per_day, budget.per_month) if bound is not None]
        return max(FEW, min(count, int(min(most) / price + 1e-9))) if most and price else count

    def _page(self, body: dict[str, Any], cursor: str | None, **more: Any) -> Page:
        """Return the posts that matched; what they answer, quote or repeat is beside them and did not."""
        matched = set(map(id, reading.objects(body.get("data"))))
        rows = list(posts.rows_of([body], only=matched))
        rows.sort(key=posts.order)
        return self.page(rows, cursor, **more)

    async def check(self) -> str:
        body = await self._search(Place(), FEW)
        page = self._page(body, None)
        return told(page)

    async def cursor_at(self, since: datetime) -> str | None:
        before = since + timedelta(seconds=self.settings.overlap) - timedelta(milliseconds=1)
        return Place(known=ids.id_at(before)).written()

    def time_of(self, cursor: str | None) -> datetime | None:
        return ids.time_of(Place.read(cursor).known)

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Read a post of version 2, a status of version 1.1, or a notice that one is gone."""
        if posts.is_post(row):
            return posts.from_post(row, now)
        if posts.is_status(row):
            return posts.from_status(row, now)
        return withdrawals.from_notice(row, now)
