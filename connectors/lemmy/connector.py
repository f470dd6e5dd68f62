"""Posts and comments on a Lemmy server: of communities, of a search, or all that it sees.

API: https://join-lemmy.org/docs/contributors/04-api.html (version 3 of Lemmy 0.19; no key where a server shows itself to
all). It gives the newest first; what other servers wrote arrives late, so every poll reaches back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from pydantic import Field, SecretStr, field_validator

from connectors import auth, newest, one_by_one, reading
from connectors.base import Facts
from connectors.http import Answer
from connectors.lemmy import texts
from connectors.lemmy.texts import Row
from connectors.limits import Limit
from connectors.newest import Sheet
from connectors.one_by_one import GoneError
from connectors.rereading import DAY, HOUR, Reread, Rereading
from connectors.settings import Server
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceUnavailableError
from pipeline.contract.events import Mention

LIMIT: Final = 50  # of one answer at the most
SEARCH: Final = "search"
COMMUNITY: Final = re.compile(r"^\w[\w.-]*(@[\w.:-]+)?$")


class LemmySettings(newest.DescentSettings):
    """Which server, and what of it."""

    server: Server = "https://lemmy.world"
    """The server to ask: it knows what its people write and what reaches it from others."""
    communities: tuple[str, ...] = Field(default=(), max_length=100)
    """Communities to hear, as name or name@host; none is all that the server sees."""
    query: str = ""
    """Words to search for; empty is everything."""
    local: bool = False
    """Whether to keep to what was written in this server's own communities."""
    token: SecretStr | None = None
    """Token of an account, for a server that shows itself to its people only."""
    lookback: Duration = 86_400
    """How far back the very first poll goes."""
    overlap: Duration = 3_600
    """How far each poll reaches back again: for texts that come late, edits and deletions."""
    poll_interval: Duration = Field(default=120.0, ge=0.05)

    @field_validator("communities")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bare = tuple(dict.fromkeys(one.strip().lstrip("!").lower() for one in value))
        if any(not COMMUNITY.match(one) for one in bare):
            raise ValueError("write communities as name or name@host, such as technology@lemmy.world")
        return bare


class Lemmy(newest.NewestFirst[LemmySettings]):
    """The cursor is, for posts and comments of each community, the time of the newest, and where a walk is."""

    name = "lemmy"
    settings_type = LemmySettings
    facts = Facts(
        auth="none; a token where a server wants one",
        cursor="newest time of every community, and the page of a walk",
        changes="both, within `overlap`; the server's own when read again",
        tested="a spec of 0.19 (Prism), recorded ActivityPub objects",
    )
    seen_limit: ClassVar[int] = 5_000
    rereads = Rereading(ages=(6 * HOUR, DAY, 7 * DAY), batch=20)
    rows_of = rows_found = staticmethod(texts.rows_of)
    to_mention = staticmethod(texts.read)

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.token) if self.settings.token else auth.Auth(self.settings.server)

    def limits(self) -> Sequence[Limit]:
        """What a server allows an address where nobody has set it otherwise."""
        return (Limit(100, per=60), Limit(60, per=600, bucket=SEARCH))

    def parts(self) -> list[str]:
        """Return what is walked through apart."""
        return [f"{kind}s:{one}" for one in self.settings.communities or ("",) for kind in ("post", "comment")]

    async def sheet(self, part: str, at: str | None) -> Sheet:
        kinds, _, community = part.partition(":")
        kind = kinds.removesuffix("s")
        params = {"sort": "New", "limit": str(LIMIT)}
        params |= {"community_name": community} if community else {}
        scope = "Local" if self.settings.local else "All"
        if self.settings.query:
            params |= {"q": self.settings.query, "type_": kinds.title(), "listing_type": scope, "page": at or "1"}
            body = await self._get(SEARCH, params)
        else:
            params |= {"type_": scope, **({"page_cursor" if kind == "post" else "page": at} if at else {})}
            body = await self._get(f"{kind}/list", params)
        rows = self.listed(body, kinds)
        following = body.get("next_page") if kind == "post" and not self.settings.query else str(int(at or "1") + 1)
        is_last = len(rows) < LIMIT or not isinstance(following, str)
        # What is pinned stands on the first page however old it is: it ends no walk.
        timed = [(None if texts.is_pinned(row, kind) else texts.time_of(row, kind), row) for row in rows]
        return Sheet(timed, None if is_last else following)

    async def _get(self, path: str, params: dict[str, str]) -> Row:
        url = f"{self.settings.server}/api/v3/{path}"
        bucket = SEARCH if path == SEARCH else ""
        body = (await self.http.get_json(url, params, bucket=bucket, meaning=error_in)).json
        if not isinstance(body, dict):
            raise SourceUnavailableError(f"{self.instance}: the answer is none of Lemmy's")
        return body

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Read texts of this server again; it does not say how it calls those of others."""
        return await one_by_one.reread(ids, self._again)

    async def _again(self, native: str) -> Sequence[Mention]:
        path, _, number = native.removeprefix(f"{self.settings.server}/").partition("/")
        if path not in ("post", "comment") or not number.isdecimal():
            return []
        return self.page(texts.rows_of([await self._get(path, {"id": number})]), None).mentions

    async def check(self) -> str:
        return await self.first()


def error_in(answer: Answer, now: datetime) -> EarshotError | None:  # noqa: ARG001 - a `Meaning`
    """Return the error that Lemmy names in a body: it has told several of them under the status 400."""
    if answer.status < 400 or b'"error"' not in answer.body[:500]:
        return None
    try:
        body = reading.json_value(answer.body)
    except ValueError:
        return None
    said = str(body.get("error")) if isinstance(body, dict) else ""
    if said == "rate_limit_error" and "retry-after" not in answer.headers:
        return RateLimitedError("Lemmy asks to wait", None)
    if said in ("couldnt_find_post", "couldnt_find_comment", "not_found"):
        return GoneError(f"there is no such text or community ({said}) — look at `communities` and `server`")
    return None
