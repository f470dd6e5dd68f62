"""Reviews of one's own locations in Google Maps and Search.

API: https://developers.google.com/my-business/content/review-data (OAuth, and a project that Google has let in).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import Field, field_validator

from connectors import auth, google, newest, one_by_one
from connectors.base import Facts
from connectors.google_business_profile import reviews
from connectors.limits import Limit
from connectors.newest import Sheet, Walked
from connectors.one_by_one import GoneError
from connectors.rereading import DAY, Reread, Rereading
from pipeline.config.model import Duration
from pipeline.contract.events import Mention

LIMIT: Final = 50  # reviews of one answer at the most
AGAIN: Final = 10  # locations up to which reviews are read again: each may have to be asked
PER_MINUTE: Final = 300  # requests of a project: https://developers.google.com/my-business/content/limits


class GoogleBusinessProfileSettings(newest.DescentSettings, google.Consent):
    """Which locations."""

    locations: tuple[str, ...] = Field(min_length=1, max_length=500)
    """Locations whose reviews are heard, as accounts/1/locations/2."""
    lookback: Duration = 604_800.0
    """How far back the very first poll goes."""
    overlap: Duration = 3_600.0
    """How far each poll reaches back again: some reviews are shown late."""
    poll_interval: Duration = Field(default=600.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    base_url: str = "https://mybusiness.googleapis.com"

    @field_validator("locations")
    @classmethod
    def _full_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not reviews.LOCATION.fullmatch(one) for one in value):
            raise ValueError("write locations in full, as accounts/1/locations/2")
        return tuple(dict.fromkeys(value))


class GoogleBusinessProfile(newest.NewestFirst[GoogleBusinessProfileSettings]):
    """The cursor holds, for each location, the time in epoch seconds of the newest writing or change."""

    name = "google-business-profile"
    settings_type = GoogleBusinessProfileSettings
    facts = Facts(
        auth="OAuth of an owner or manager",
        cursor="time of the newest review or change of every location",
        changes="edits; deletions on re-reading",
        tested="a server of our own, hand-written answers",
    )
    seen_limit: ClassVar[int] = 5_000
    to_mention = staticmethod(reviews.to_mention)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        if len(self.settings.locations) <= AGAIN:
            self.rereads = Rereading(ages=(DAY, 7 * DAY, 28 * DAY), batch=20)  # not for many

    def auth(self) -> auth.Auth:
        return self.settings.auth()

    def limits(self) -> Sequence[Limit]:
        return (Limit(PER_MINUTE, per=60.0),)

    def parts(self) -> tuple[str, ...]:
        return self.settings.locations

    async def walked(self, cursor: str | None) -> Walked:
        return await google.descend(self.parts(), cursor, self.sheet, **self.reach())

    async def sheet(self, location: str, token: str | None) -> Sheet:
        """Return a page of a location's reviews, the last changed first."""
        params = {"pageSize": str(LIMIT), "orderBy": "updateTime desc", **({"pageToken": token} if token else {})}
        body = (await self.http.get_json(f"{self.settings.base_url}/v4/{location}/reviews", params)).json
        rows = google.rows_of(body, self.instance)
        return Sheet([(reviews.time_of(row), row) for row in rows], body.get("nextPageToken") or None)

    async def reread(self, ids: Sequence[str]) -> Reread:
        return await one_by_one.reread(ids, self._again)

    async def _again(self, native: str) -> Iterable[Mention]:
        """Return what a review says now: its id does not tell its location, so that each is asked."""
        for location in self.settings.locations:
            url = f"{self.settings.base_url}/v4/{location}/reviews/{quote(native, safe='')}"
            with contextlib.suppress(GoneError):
                answer = await self.http.get_json(url, meaning=one_by_one.gone)
                return self.page([answer.json], None).mentions
        raise GoneError("no location has this review")
