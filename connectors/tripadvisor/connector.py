"""Reviews of hotels, restaurants and sights on Tripadvisor: the newest five that its Content API shows of each.

API: https://tripadvisor-content-api.readme.io/reference/getlocationreviews (a key). Its terms let nobody keep anything
but the ids of locations, https://tripadvisor-content-api.readme.io/reference/caching-policy, so this source works only
for those to whom Tripadvisor has allowed more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors import auth
from connectors.base import Facts, Page, PollingConnector, PollingSettings, mention
from connectors.limits import Limit
from connectors.newest import in_order
from connectors.reading import from_plain, timestamp, whole
from connectors.showing import Showing
from pipeline.config.model import Duration
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating

Row = dict[str, Any]


class TripadvisorSettings(PollingSettings):
    """Which locations, and by what right."""

    locations: tuple[int, ...] = Field(min_length=1, max_length=500)
    """Numbers of the locations: in their addresses the digits after -d."""
    key: SecretStr
    """API key; it is bound to the address or the site given when it was made."""
    permission: Literal[True]
    """That Tripadvisor has allowed you in writing to keep its reviews: without that, its terms forbid it."""
    languages: tuple[str, ...] = Field(default=("en",), min_length=1, max_length=30)
    """Languages to hear, one question each: the five newest are those of one language."""
    referer: str | None = None
    """The site the key is bound to, where it is bound to one."""
    per_month: int = Field(default=5_000, ge=1)
    """The most questions in a month of UTC: as many are free."""
    poll_interval: Duration = Field(default=3600.0, ge=0.05)
    slowest_poll: Duration = Field(default=21_600.0, ge=0.05)
    base_url: str = "https://api.content.tripadvisor.com"

    @field_validator("permission", mode="before")
    @classmethod
    def _is_given(cls, value: Any) -> Any:
        if value is not True:
            raise ValueError(
                "Tripadvisor's terms allow to keep nothing but ids of locations; with its written "
                "permission to keep reviews, write `permission: true`, otherwise take this source out"
            )
        return value


class Tripadvisor(PollingConnector[TripadvisorSettings]):
    """The cursor is, for each location and language, the time of the newest review and how many there are."""

    name = "tripadvisor"
    settings_type = TripadvisorSettings
    facts = Facts(
        auth="API key, and written permission",
        cursor="newest time and number of reviews of every location",
        changes="no edits; no deletions",
        tested="an API of our own, answers made by hand",
    )
    seen_limit: ClassVar[int] = 5_000

    def auth(self) -> auth.Auth:
        return auth.query("key", self.settings.key)

    def limits(self) -> Sequence[Limit]:
        return (Limit(50, per=1.0), Limit(self.settings.per_month, per="month"))

    async def fetch(self, cursor: str | None) -> Page:
        showing, found = Showing(cursor), []
        for location in self.settings.locations:
            for language in self.settings.languages:
                rows, total = await self._reviews(location, language)
                times = [at.timestamp() for row in rows if (at := timestamp(row.get("published_date"))) is not None]
                showing.take(f"{location}/{language}", times, total, self.clock())
                found += rows
        more = {"gap": showing.gap, "expected": showing.expected}
        return in_order(self.page(found, showing.written() or cursor, **more))

    async def _reviews(self, location: int, language: str) -> tuple[list[Row], int | None]:
        """Return the reviews that are shown, newest first, and how many there are."""
        url = f"{self.settings.base_url}/api/v1/location/{location}/reviews"
        headers = {"Referer": self.settings.referer} if self.settings.referer else {}
        body = (await self.http.get_json(url, {"language": language}, headers)).json
        found = self.listed(body, "data", "reviews")
        paging = body.get("paging")
        rows = [{**row, "earshot_location": location} for row in found]
        return rows, whole(paging.get("total_results")) if isinstance(paging, dict) else None

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Read a review; what the owner answered stands in it and is counted as a reply."""
        if not {"id", "text", "rating"} <= row.keys():
            return None
        user, rich = row.get("user") or {}, from_plain(row["text"])
        who = user.get("username") or user.get("name")
        location = row.get("earshot_location") or row.get("location_id")
        return mention(
            cls.name,
            row["id"],
            created_at=timestamp(row.get("published_date")),
            now=now,
            text=rich.text,
            title=from_plain(row.get("title")).text or None,
            kind=Kind.REVIEW,
            language=str(row.get("lang") or "").replace("_", "-").split("-")[0].lower() or None,
            url=row.get("url"),
            author=Author(id=str(who), handle=str(who)) if who else None,
            rating=Rating(value=float(row["rating"]), best=5.0, worst=1.0),
            engagement=Engagement(likes=whole(row.get("helpful_votes")), replies=int(bool(row.get("owner_response")))),
            subject=None if location is None else str(location),
            tags=list(_tags(row)),
            links=rich.links,
        )


def _tags(row: Row) -> Iterator[str]:
    """Yield the kind of trip and what was rated apart, as `trip-couples` and `service-5`."""
    if row.get("trip_type"):
        yield f"trip-{str(row['trip_type']).lower().replace(' ', '-')}"
    parts = row.get("subratings")
    for part in parts.values() if isinstance(parts, dict) else parts if isinstance(parts, list) else ():
        name, value = str(part.get("name") or "").removeprefix("rate_").replace("_", "-"), whole(part.get("value"))
        if name and value is not None:
            yield f"{name}-{value}"
