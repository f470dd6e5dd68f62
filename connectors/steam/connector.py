"""Reviews of games on Steam, new ones and edits, from the user reviews service of the Steam Web API.

API: https://partner.steamgames.com/doc/webapi/IUserReviewsService (no key needed). It took the place of the store's
`appreviews`, which Valve switched off on 22 October 2026; answers of that one have the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, Final

from pydantic import Field, SecretStr, field_validator

from connectors import auth, newest
from connectors.base import Facts
from connectors.limits import Limit
from connectors.newest import Row, Sheet
from connectors.reading import whole
from connectors.steam import reviews
from connectors.steam.languages import LANGUAGES
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError

PAGE: Final = 100  # reviews of one answer at the most
UPDATED, ALL = 2, 1  # of the API's enumerations: the last changed first; whoever paid, and where
ASKED_AGAIN: Final = 3  # times at the most for a page that is empty in the middle
SPARE: Final = 2  # reviews by which Steam's count may be wrong: what is hidden or banned counts for a while


class SteamSettings(newest.DescentSettings):
    """Which games."""

    apps: tuple[int, ...] = Field(min_length=1, max_length=100)
    """Numbers of the games: the digits after /app/ in their addresses in the store."""
    languages: tuple[str, ...] = ()
    """Languages to hear, by Steam's names, such as english, german, schinese; none is all."""
    off_topic: bool = True
    """Whether to hear what Steam takes for off-topic: the storms of reviews that it leaves out of its own scores."""
    key: SecretStr | None = None
    """Key of the Steam Web API, for those who ask more than Steam allows without."""
    lookback: Duration = 604_800
    """How far back the very first poll goes."""
    overlap: Duration = Field(default=3600.0, le=604_800)
    """How far each poll reaches back again: Steam shows some reviews late."""
    poll_interval: Duration = Field(default=600.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    base_url: str = "https://api.steampowered.com"

    @field_validator("languages")
    @classmethod
    def _are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name.lower() not in LANGUAGES]
        if unknown:
            raise ValueError(f"Steam has no language {unknown[0]}; there are: {', '.join(LANGUAGES)}")
        return tuple(dict.fromkeys(name.lower() for name in value))


class Steam(newest.NewestFirst[SteamSettings]):
    """The cursor is, for each game, the time of the newest change, and where a walk through pages is."""

    name = "steam"
    settings_type = SteamSettings
    facts = Facts(
        auth="none; a key where more is asked",
        cursor="time of the newest change of every game; page of a walk",
        changes="edits; no deletions",
        tested="a service of our own, answers made by hand",
    )
    seen_limit: ClassVar[int] = 5_000
    to_mention = staticmethod(reviews.to_mention)

    def auth(self) -> auth.Auth:
        return auth.query("key", self.settings.key)

    def limits(self) -> Sequence[Limit]:
        """Return what a key may ask: https://steamcommunity.com/dev/apiterms."""
        return (Limit(100_000, per="day"),) if self.settings.key else ()

    def parts(self) -> list[str]:
        return [str(app) for app in self.settings.apps]

    async def sheet(self, app: str, at: str | None) -> Sheet:
        """Return a page of a game's reviews, the last changed first.

        The end is an empty page, a cursor that repeats itself, or as many as there are. Busy days bring empty pages
        before the end: they are asked for again, and told as a gap when they stay.
        """
        seen, total, place = _place(at)
        for _ in range(ASKED_AGAIN):
            found = await self._asked(app, place)
            rows = [row for row in found.get("reviews") or () if isinstance(row, dict)]
            if total is None:
                total = _count(found)
            is_short = not rows and total is not None and seen + SPARE < total
            if not is_short:
                break
        following, seen = found.get("cursor"), seen + len(rows)
        is_over = not rows or (total is not None and seen >= total) or following in (None, "", "*", place)
        named = [(reviews.time_of(row), {**row, "earshot_app": app}) for row in rows]
        return Sheet(named, None if is_over else json.dumps([seen, total, following]), is_cut=is_short)

    async def _asked(self, app: str, at: str) -> Row:
        asked = {
            "appid": int(app),
            "filter": UPDATED,
            "languages": list(self.settings.languages) or ["all"],
            "review_type": 0,
            "purchase_type": ALL,
            "filter_offtopic_activity": not self.settings.off_topic,
            "num_per_page": PAGE,
            "cursor": at,
        }
        params = {"input_json": json.dumps(asked, separators=(",", ":"))}
        body = (
            await self.http.get_json(f"{self.settings.base_url}/IUserReviewsService/GetAppReviews/v1/", params)
        ).json
        found = body.get("response") if isinstance(body, dict) else None
        if not isinstance(found, dict) or not isinstance(found.get("reviews") or [], list):
            raise SourceUnavailableError(f"{self.instance}: the answer holds no reviews")
        if not found:
            raise SourceRefusedError(f"{self.instance}: Steam has no game {app} — take its number from the store")
        return found


def _place(at: str | None) -> tuple[int, int | None, str]:
    """Return how many reviews of a walk were seen, how many there are, and Steam's cursor."""
    if at is None:
        return 0, None, "*"
    seen, total, place = json.loads(at)
    return int(seen), None if total is None else int(total), str(place)


def _count(found: Row) -> int | None:
    """Return how many reviews there are by Steam's own count; the first page of a walk has it."""
    summary = found.get("query_summary")
    return whole(found.get("total_matching", summary.get("total_reviews") if isinstance(summary, dict) else None))
