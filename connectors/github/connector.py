"""GitHub: issues, pull requests, discussions and their comments, of repositories or wherever words are said.

API: https://docs.github.com/rest (a token for more than a few requests, and for discussions). Everything is read
forwards by the time of its last change, so a burst is walked through page by page and nothing between is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import auth, forwards, places, reading
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings, told
from connectors.forwards import Asked, Found
from connectors.github import discussions, texts
from connectors.http import Answer, as_json
from connectors.limits import Limit
from connectors.places import Row
from connectors.rereading import DAY, HOUR, Reread, Rereading
from pipeline.config.model import Duration
from pipeline.contract.errors import RateLimitedError, SourceUnavailableError
from pipeline.contract.events import Mention

PER_PAGE: Final = 100
DEPTH: Final = 1_000  # results of one search: https://docs.github.com/rest/search/search#about-search
HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
SECONDARY: Final = 60.0  # https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
SEARCH: Final = "search"
REPOSITORY: Final = re.compile(r"^[\w.-]+/[\w.-]+$")


class GithubSettings(PollingSettings):
    """Where to listen: in repositories, or for words everywhere."""

    repositories: tuple[str, ...] = Field(default=(), max_length=200)
    """Repositories whose issues, pull requests and comments are heard, as owner/name."""
    query: str = Field(default="", max_length=200)
    """What to search for in the issues and pull requests of all repositories, in GitHub's own search language."""
    discussions: bool = False
    """Whether discussions are heard, too; that needs a token."""
    token: SecretStr | None = None
    """Access token; without one GitHub answers 60 requests an hour."""
    lookback: Duration = 86_400
    """How far back the very first poll goes."""
    overlap: Duration = Field(default=300.0, le=86_400)
    """How far each poll reaches back again: the search learns of some texts late."""
    base_url: str = "https://api.github.com"

    @field_validator("repositories")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bare = [one.strip().removeprefix("https://github.com/").strip("/") for one in value]
        if any(not REPOSITORY.match(one) for one in bare):
            raise ValueError("write repositories as owner/name, such as acme/kettle")
        return tuple(dict.fromkeys(bare))

    @model_validator(mode="after")
    def _choose(self) -> GithubSettings:
        if not self.repositories and not self.query:
            raise ValueError("say where to listen: `repositories: [owner/name]`, or `query: your brand`")
        if self.discussions and self.token is None:
            raise ValueError("`discussions` needs a `token`")
        return self


class Github(PollingConnector[GithubSettings]):
    """The cursor holds a place for each question (`forwards`): up to what time of change everything was given."""

    name = "github"
    settings_type = GithubSettings
    facts = Facts(
        auth="none for 60 requests an hour; a token",
        cursor="time of the newest change of every question",
        changes="edits of comments; with a token all edits, and deletions",
        tested="Octokit's server of recorded answers, a server of our own",
    )
    seen_limit: ClassVar[int] = 3_000
    rereads = Rereading(ages=(HOUR, DAY, 7 * DAY), batch=100)
    rows_of = staticmethod(texts.rows_of)
    to_mention = staticmethod(texts.read)

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.token)

    def limits(self) -> Sequence[Limit]:
        """https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api."""
        has_token = self.settings.token is not None
        return (Limit(5_000 if has_token else 60, per=3_600), Limit(30 if has_token else 10, per=60, bucket=SEARCH))

    def questions(self) -> Iterator[str]:
        """Yield the names under which the cursor keeps a place."""
        for repository in self.settings.repositories:
            yield from (f"{kind}:{repository}" for kind in ("issues", "issues/comments", "pulls/comments"))
        if self.settings.query:
            yield "search"
        if self.settings.discussions:
            yield from (f"discussions:{one}" for one in self.settings.repositories or ("",))

    async def fetch(self, cursor: str | None) -> Page:
        known = places.read(cursor)
        first = self.clock().timestamp() - self.settings.lookback
        rows: list[Row] = []
        gaps: list[Gap | None] = []
        waiting = [name for name in self.questions() if known.get(name, {}).get("more")]
        for name in waiting or self.questions():
            place = known.get(name, {})
            request = forwards.asked(place, first, self.settings.overlap)
            found = await self._ask(name, request)
            rows += (row for row in found.rows if self._is_new(name, row, request.floor))
            known[name], gap = forwards.after(place, request, found)
            gaps.append(gap)
        rows.sort(key=lambda row: str(row.get("created_at") or row.get("createdAt") or ""))
        is_full = any(place.get("more") for place in known.values())
        return self.page(rows, places.written(known), is_full=is_full, gap=places.together(gaps))

    @staticmethod
    def _is_new(name: str, row: Row, floor: float) -> bool:
        """Whether a text is to be given: an issue's time moves with all that happens to it, a comment's with edits."""
        if name.startswith(("issues/", "pulls/")):
            return True
        times = (forwards.time_of(row, clock) for clock in ("created_at", "createdAt", "lastEditedAt"))
        return max((at for at in times if at is not None), default=floor) >= floor

    async def _ask(self, name: str, request: Asked) -> Found:
        kind, _, repository = name.partition(":")
        time = datetime.fromtimestamp(request.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if kind == "discussions":
            where = f"repo:{repository}" if repository else self.settings.query
            data = await self._graphql(discussions.SEARCH, {"q": f"{where} updated:>={time} sort:updated-asc"})
            found = data.get("search")
            if not isinstance(found, dict):
                raise SourceUnavailableError(f"{self.instance}: the answer holds no discussions")
            is_full = bool((found.get("pageInfo") or {}).get("hasNextPage"))
            return Found(list(discussions.texts_of(found)), "updatedAt", is_full=is_full, depth=discussions.PER_PAGE)
        params = {"per_page": str(PER_PAGE), "page": str(request.page)}
        if kind == SEARCH:
            params |= {"q": f"{self.settings.query} created:>={time}", "sort": "created", "order": "asc"}
            body = (await self._get("search/issues", params, SEARCH)).json
            rows, is_partial = self.listed(body, "items", "search result"), bool(body.get("incomplete_results"))
            is_full = len(rows) >= PER_PAGE
            return Found(rows, "created_at", is_full=is_full, is_partial=is_partial, depth=DEPTH)
        params |= {"since": time, "sort": "updated", "direction": "asc"}
        if kind == "issues":
            params["state"] = "all"
        answer = await self._get(f"repos/{repository}/{kind}", params, etag=request.etag)
        if answer.is_unchanged:
            return Found(is_unchanged=True)
        if not isinstance(answer.json, list):
            raise SourceUnavailableError(f"{self.instance}: the answer is no list")
        rows = reading.objects(answer.json)
        is_full = len(rows) >= PER_PAGE or 'rel="next"' in answer.headers.get("link", "")
        return Found(rows, is_full=is_full, etag=answer.headers.get("etag"))

    async def _get(self, path: str, params: Mapping[str, str], bucket: str = "", etag: str | None = None) -> Answer:
        headers = HEADERS | ({"If-None-Match": etag} if etag else {})
        url = f"{self.settings.base_url}/{path}"
        return await self.http.get_json(url, params, headers, bucket=bucket, meaning=secondary_limit)

    async def _graphql(self, query: str, variables: Row) -> Row:
        url = f"{self.settings.base_url.removesuffix('/v3')}/graphql"
        given = {"query": query, "variables": variables}
        answer = await self.http.request(
            "POST", url, json=given, headers=HEADERS, bucket="graphql", meaning=secondary_limit
        )
        body = as_json(answer)
        error = discussions.error_of(body)
        if error is not None:
            raise error
        data: Row = body["data"]
        return data

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Read texts again by their ids: GitHub gives null for what is not there any more.

        Only GraphQL reads many at once, and that wants a token: without one nothing is said of any.
        """
        if self.settings.token is None:
            return Reread()
        nodes = (await self._graphql(discussions.NODES, {"ids": list(ids)})).get("nodes")
        if not isinstance(nodes, list) or len(nodes) != len(ids):
            raise SourceUnavailableError(f"{self.instance}: the answer holds not what was asked for")
        page = self.page([node for node in nodes if isinstance(node, dict)], None)
        return Reread(
            mentions=page.mentions, absent=[one for one, node in zip(ids, nodes, strict=True) if node is None]
        )

    async def check(self) -> str:
        request = forwards.asked({}, self.clock().timestamp() - self.settings.lookback, self.settings.overlap)
        found = await self._ask(next(self.questions()), request)
        return told(self.page(found.rows, None))

    async def cursor_at(self, since: datetime) -> str | None:
        at = since.timestamp()
        return places.written({name: {"at": at, "floor": at, "more": True} for name in self.questions()})

    def time_of(self, cursor: str | None) -> datetime | None:
        return places.time_of(cursor)

    @staticmethod
    def unique(found: Iterable[Mention | str | None]) -> Iterator[Mention]:
        """Yield the mentions, each revision and state once, told apart by their address, too.

        What is recorded for tests often bears one made-up id throughout.
        """
        known = set()
        for one in found:
            if isinstance(one, Mention) and (mark := (one.id, one.url, one.revision, one.state)) not in known:
                known.add(mark)
                yield one


def secondary_limit(answer: Answer, now: datetime) -> RateLimitedError | None:  # noqa: ARG001 - a `Meaning`
    """Return the error of GitHub's secondary limits, which are a 403 or 429 that need not say how long to wait."""
    says_when = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    if answer.status in (403, 429) and not says_when and b"rate limit" in answer.body.lower():
        return RateLimitedError("GitHub asks to wait (secondary limit)", SECONDARY)
    return None
