"""Tips about places on Foursquare: the newest that its Places API shows of each.

API: https://docs.foursquare.com/fsq-developers-places/reference/place-tips (a service key). Answers of the second and
third version, which came before, are read too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import Field, SecretStr

from connectors import auth
from connectors.base import Facts, Page, PollingConnector, PollingSettings, mention
from connectors.limits import Limit
from connectors.newest import in_order
from connectors.reading import from_plain, timestamp, whole
from connectors.showing import Showing
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Author, Engagement, Kind, Mention

SITE: Final = "https://foursquare.com"
SHOWN: Final = 50  # tips of one answer at the most; there is no second page
VERSION: Final = "2025-06-17"  # of the API, by date: https://docs.foursquare.com/fsq-developers-places/docs/versioning
FIELDS: Final = "fsq_tip_id,created_at,text,lang,url,agree_count,disagree_count"
Row = dict[str, Any]


class FoursquareSettings(PollingSettings):
    """Which places."""

    places: tuple[str, ...] = Field(min_length=1, max_length=500)
    """Ids of the places: the last part of their addresses."""
    key: SecretStr
    """Service key of a project."""
    per_day: int | None = Field(default=None, ge=1)
    """The most questions in a day of UTC: tips are paid for beyond what is free. None is no bound."""
    version: str = Field(default=VERSION, pattern=r"^\d{4}-\d{2}-\d{2}$")
    """Version of the API, as a date."""
    poll_interval: Duration = Field(default=3600.0, ge=0.05)
    slowest_poll: Duration = Field(default=21_600.0, ge=0.05)
    base_url: str = "https://places-api.foursquare.com"


class Foursquare(PollingConnector[FoursquareSettings]):
    """The cursor is, for each place, the time of its newest tip."""

    name = "foursquare"
    settings_type = FoursquareSettings
    facts = Facts(
        auth="service key; pay per question",
        cursor="time of the newest tip of every place",
        changes="no edits; no deletions",
        tested="a third-party spec (Prism), recordings of version 2",
    )
    seen_limit: ClassVar[int] = 5_000

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.key)

    def limits(self) -> Sequence[Limit]:
        most = self.settings.per_day
        return (Limit(most, per="day"),) if most else ()

    async def fetch(self, cursor: str | None) -> Page:
        showing, found = Showing(cursor), []
        for place in self.settings.places:
            rows = await self._tips(place)
            times = [at.timestamp() for row in rows if (at := _written(row)) is not None]
            # Fewer than are shown at the most are all there are.
            showing.take(place, times, None, self.clock(), is_all=len(rows) < SHOWN)
            found += rows
        return in_order(self.page(found, showing.written() or cursor, gap=showing.gap))

    async def _tips(self, place: str) -> list[Row]:
        url = f"{self.settings.base_url}/places/{quote(place, safe='')}/tips"
        params = {"limit": str(SHOWN), "sort": "NEWEST", "fields": FIELDS}
        body = (await self.http.get_json(url, params, {"X-Places-Api-Version": self.settings.version})).json
        rows = body.get("results") if isinstance(body, dict) else body
        if not isinstance(rows, list):
            raise SourceUnavailableError(f"{self.instance}: the answer holds no tips")
        return [{**row, "earshot_place": place} for row in rows if isinstance(row, dict)]

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Read a tip. Tips have no stars; who wrote one is told by the second version only."""
        native, text = row.get("fsq_tip_id") or row.get("id"), row.get("text")
        if not native or not text or not row.keys() & {"createdAt", "created_at"}:
            return None
        venue = row.get("venue") or {}
        rich = from_plain(text)
        return mention(
            cls.name,
            native,
            created_at=_written(row),
            now=now,
            text=rich.text,
            kind=Kind.REVIEW,
            language=str(row.get("lang") or "").split("-")[0].lower() or None,
            url=row.get("canonicalUrl") or f"{SITE}/item/{native}",
            author=_author(row.get("user") or {}),
            engagement=_engagement(row),
            subject=row.get("earshot_place") or venue.get("id"),
            links=[*([row["url"]] if row.get("url") else []), *rich.links],
        )


def _written(row: Row) -> datetime | None:
    return timestamp(row.get("created_at") or row.get("createdAt"))


def _author(user: Row) -> Author | None:
    name = " ".join(part for part in (user.get("firstName"), user.get("lastName")) if part) or None
    who = user.get("id")
    if not who and not name:
        return None
    return Author(
        id=str(who) if who else None,
        handle=user.get("handle"),
        name=name,
        url=user.get("canonicalUrl") or (f"{SITE}/user/{who}" if who else None),
        followers=whole((user.get("followers") or {}).get("count")),
    )


def _engagement(row: Row) -> Engagement | None:
    """Return who agrees, by whichever name a version has for it."""
    counted = [row.get(name) for name in ("likes", "done")]
    counts = [row.get("agree_count"), *(part.get("count") for part in counted if isinstance(part, dict))]
    likes = next((found for count in counts if (found := whole(count)) is not None), None)
    return None if likes is None else Engagement(likes=likes)
