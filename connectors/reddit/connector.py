"""Posts and comments on Reddit: what a search finds, and all that is said in chosen subreddits.

API: https://www.reddit.com/dev/api (an app's id and secret; it asks for itself, nobody logs in). Listings give the
newest first and end after some thousand things, whatever there is: what lies deeper is told as a gap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Final

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import auth, newest
from connectors.base import Facts
from connectors.limits import Limit
from connectors.newest import Sheet
from connectors.reddit import things
from connectors.reddit.things import Row
from connectors.rereading import DAY, HOUR, Reread, Rereading
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Mention

PER_PAGE: Final = 100
DEPTH: Final = 900  # things from which on a listing's end is no end of what there is: it has a thousand at the most
ANCHORS: Final = 5  # things after which to go on, should the last one be deleted meanwhile
SUBREDDIT: Final = re.compile(r"^\w{2,50}$")


class RedditSettings(newest.DescentSettings):
    """What to listen to, and as which app."""

    client_id: str = Field(min_length=1)
    """Id of the app."""
    client_secret: SecretStr
    """Secret of the app."""
    account: str = ""
    """Name of your account at Reddit: its rules want requests to say who is behind them."""
    query: str = Field(default="", max_length=512)
    """What to search for in posts, in Reddit's search language; empty is every post of `subreddits`."""
    subreddits: tuple[str, ...] = Field(default=(), max_length=50)
    """Subreddits to hear; without any the search goes through all of Reddit."""
    comments: bool = True
    """Whether all comments in `subreddits` are heard, too. Reddit has no search for comments."""
    lookback: Duration = 86_400
    """How far back the very first poll goes, as far as the listings reach."""
    overlap: Duration = 900
    """How far each poll reaches back again: for edits, removals, and what the search learns of late."""
    base_url: str = "https://oauth.reddit.com"
    token_url: str = "https://www.reddit.com/api/v1/access_token"  # noqa: S105 - an address
    """Where the app gets its tokens."""

    @field_validator("subreddits")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bare = tuple(dict.fromkeys(one.strip().strip("/").removeprefix("r/").lower() for one in value))
        if any(not SUBREDDIT.match(one) for one in bare):
            raise ValueError("write subreddits by their names, such as kettles or r/kettles")
        return bare

    @model_validator(mode="after")
    def _choose(self) -> RedditSettings:
        if not self.query and not self.subreddits:
            raise ValueError("say what to listen to: `query: your brand`, `subreddits: [kettles]`, or both")
        return self


class Reddit(newest.NewestFirst[RedditSettings]):
    """The cursor is, for each listing, the time of the newest thing, and where a walk down is."""

    name = "reddit"
    settings_type = RedditSettings
    facts = Facts(
        auth="id and secret of an app",
        cursor="time of the newest of every listing, and the page of a walk",
        changes="both, within `overlap` and when read again",
        tested="a service of our own, recorded answers",
    )
    seen_limit: ClassVar[int] = 5_000
    # Reddit asks that what was deleted there is deleted everywhere within two days.
    rereads = Rereading(ages=(HOUR, DAY), batch=PER_PAGE, memory=50_000, every=1.5 * DAY)
    to_mention = staticmethod(things.read)

    def auth(self) -> auth.Auth:
        given = self.settings
        return auth.ClientCredentials(given.token_url, given.client_id, given.client_secret, headers=self._headers())

    def limits(self) -> Sequence[Limit]:
        """A hundred a minute, as an average of ten minutes, for each app."""
        return (Limit(1_000, per=600),)

    def parts(self) -> list[str]:
        """Return the listings that are walked through apart, as paths."""
        where = "+".join(self.settings.subreddits)
        posts = f"r/{where or 'all'}/search" if self.settings.query else f"r/{where}/new"
        return [posts, *([f"r/{where}/comments"] if where and self.settings.comments else [])]

    async def sheet(self, part: str, at: str | None) -> Sheet:
        """Return a page of a listing. `at` is how many came before, and the names to go on after."""
        count, anchors = json.loads(at) if at else (0, [None])
        rows: list[Row] = []
        after = None
        for anchor in anchors:  # after a thing that was deleted meanwhile there is nothing: ask after the one before
            rows, after = await self._listing(part, count, anchor)
            if rows:
                break
        count += len(rows)
        names = [name for row in reversed(rows) if (name := things.name_of(row))]
        following = json.dumps([count, list(dict.fromkeys([after, *names[:ANCHORS]]))]) if after else None
        is_cut = following is None and (count >= DEPTH or (not rows and at is not None))
        return Sheet([(things.time_of(row), row) for row in rows], following, is_cut=is_cut)

    async def _listing(self, path: str, count: int, after: str | None) -> tuple[list[Row], str | None]:
        params = {"limit": str(PER_PAGE), "raw_json": "1"}
        if path.endswith("/search"):
            narrow = "1" if self.settings.subreddits else "0"
            params |= {"q": self.settings.query, "sort": "new", "type": "link", "restrict_sr": narrow}
        if after:
            params |= {"after": after, "count": str(count)}
        return await self._get(path, params)

    async def _get(self, path: str, params: dict[str, str]) -> tuple[list[Row], str | None]:
        url = f"{self.settings.base_url}/{path}"
        body = (await self.http.get_json(url, params, self._headers())).json
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("children"), list):
            raise SourceUnavailableError(f"{self.instance}: the answer is no listing")
        rows = [one["data"] for one in data["children"] if isinstance(one, dict) and isinstance(one.get("data"), dict)]
        after = data.get("after")
        return rows, after if isinstance(after, str) and after else None

    def _headers(self) -> dict[str, str]:
        agent = self.http.client.headers["User-Agent"]
        return {"User-Agent": f"{agent} (by /u/{self.settings.account})"} if self.settings.account else {}

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Read things again by their names: what was taken away says so, what never was is left out."""
        rows, _ = await self._get("api/info", {"id": ",".join(ids), "raw_json": "1"})
        there = {things.name_of(row) for row in rows}
        return Reread(mentions=self.page(rows, None).mentions, absent=[one for one in ids if one not in there])

    async def check(self) -> str:
        return await self.first()

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        return cls.unique(cls.attempt(row, now) for row in things.rows_of(body))
