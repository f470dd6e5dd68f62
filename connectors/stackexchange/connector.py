"""Questions, answers and comments on the sites of Stack Exchange, such as Stack Overflow.

API: https://api.stackexchange.com/docs (version 2.3; a key is free and raises the quota). Read forwards by the time of
a question's last activity: new answers and edits move it. Quota and waiting are told in the body, not in headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

from pydantic import Field, SecretStr

from connectors import auth, forwards, places, reading
from connectors.base import Facts, Page, PollingConnector, PollingSettings
from connectors.forwards import Found
from connectors.limits import Limit
from connectors.rereading import DAY, HOUR, Reread, Rereading
from connectors.stackexchange import texts
from connectors.stackexchange.errors import error_in
from connectors.stackexchange.texts import Row
from pipeline.config.model import Duration

PER_PAGE: Final = 100
PAGES: Final = 25  # of one question without a key: https://api.stackexchange.com/docs/paging
WATCHED: Final = 100  # posts whose comments are asked for together


class StackexchangeSettings(PollingSettings):
    """Which site, and what to listen for."""

    site: str = Field(default="stackoverflow", pattern=r"^[\w.-]+$")
    """The site, as the API calls it: stackoverflow, superuser, unix, or a whole host."""
    query: str = Field(default="", max_length=300)
    """Words that a question must hold; empty is every question."""
    tags: tuple[str, ...] = Field(default=(), max_length=20)
    """Tags of which a question must have one, such as acme-api."""
    answers: bool = True
    """Whether answers to these questions are heard."""
    comments: bool = False
    """Whether comments on the newest of these questions and answers are heard: one request more with each poll."""
    key: SecretStr | None = None
    """Key of an app at stackapps.com: 10,000 requests a day instead of 300."""
    lookback: Duration = 86_400
    """How far back the very first poll goes."""
    overlap: Duration = Field(default=300.0, le=86_400)
    """How far each poll reaches back again: answers come from caches now and then."""
    poll_interval: Duration = Field(default=600.0, ge=0.05)
    slowest_poll: Duration = Field(default=1_800.0, ge=0.05)
    base_url: str = "https://api.stackexchange.com/2.3"


class Stackexchange(PollingConnector[StackexchangeSettings]):
    """The cursor holds the places of questions and comments (`forwards`), and which posts are watched for comments."""

    name = "stackexchange"
    settings_type = StackexchangeSettings
    facts = Facts(
        auth="none for 300 requests a day; a key",
        cursor="time of the newest activity",
        changes="edits; deletions when read again",
        tested="a third-party spec (Prism), hand-written answers",
    )
    seen_limit: ClassVar[int] = 2_000
    rereads = Rereading(ages=(HOUR, DAY, 7 * DAY), batch=100)
    to_mention = staticmethod(texts.read)

    def auth(self) -> auth.Auth:
        return auth.query("key", self.settings.key)

    def limits(self) -> Sequence[Limit]:
        """https://api.stackexchange.com/docs/throttle."""
        return (Limit(10_000 if self.settings.key else 300, per="day"), Limit(25, per=1))

    async def fetch(self, cursor: str | None) -> Page:
        known = places.read(cursor)
        first = self.clock().timestamp() - self.settings.lookback
        place = known.get("questions", {})
        request = forwards.asked(place, first, self.settings.overlap)
        asked = {"sort": "activity", "order": "asc", "min": f"{request.since:.0f}", "page": str(request.page)}
        path = "search/advanced" if self.settings.query or self.settings.tags else "questions"
        tags = {"tagged": ";".join(self.settings.tags)} if self.settings.tags else {}
        words = {"q": self.settings.query} if self.settings.query else {}
        rows, is_full = await self._ask(path, {**words, **tags, **asked})
        found = Found(rows, "last_activity_date", is_full=is_full, depth=PER_PAGE * PAGES)
        if self.settings.answers:
            rows = rows + await self._answers(rows, request.floor)
        heard = [row for row in rows if _newest(row) >= request.floor]
        known["questions"], gap = forwards.after(place, request, found)
        if self.settings.comments:
            comments, known["comments"] = await self._comments(rows, known.get("comments", {}), first)
            heard += comments
        heard.sort(key=lambda row: reading.whole(row.get("creation_date")) or 0)
        return self.page(heard, places.written(known), is_full="more" in known["questions"], gap=gap)

    async def _answers(self, questions: Sequence[Row], floor: float) -> list[Row]:
        """Return the answers to these questions that are new or edited, with their questions' title and site."""
        named = {str(row["question_id"]): row for row in questions if row.get("question_id")}
        found: list[Row] = []
        for page in range(1, PAGES + 1) if named else ():
            asked = {"sort": "activity", "order": "asc", "min": f"{floor:.0f}", "page": str(page)}
            rows, is_full = await self._ask(f"questions/{';'.join(named)}/answers", asked)
            for row in rows:
                question = named.get(str(row.get("question_id")), {})
                known = {"title": question.get("title"), "earshot_site": texts.host_of(question)}
                found.append({**{name: value for name, value in known.items() if value}, **row})
            if not is_full:
                break
        return found

    async def _comments(self, rows: Sequence[Row], place: Row, first: float) -> tuple[list[Row], Row]:
        """Return what was said since under the newest questions and answers: it does not move their activity."""
        now = [str(native) for row in reversed(rows) if (native := row.get("answer_id") or row.get("question_id"))]
        before = place.get("watched")
        watched = list(dict.fromkeys([*now, *(before if isinstance(before, list) else ())]))[:WATCHED]
        since = places.number(place, "at") or first
        found: list[Row] = []
        for page in range(1, PAGES + 1) if watched else ():
            asked = {"sort": "creation", "order": "asc", "min": f"{since:.0f}", "page": str(page)}
            more, is_full = await self._ask(f"posts/{';'.join(map(str, watched))}/comments", asked)
            found += more
            if not is_full:
                break
        times = [float(row["creation_date"]) for row in found if isinstance(row.get("creation_date"), int)]
        return found, {"at": max([since, *times]), "watched": watched}

    async def _ask(self, path: str, params: Mapping[str, str]) -> tuple[list[Row], bool]:
        """Return the items of an answer and whether there are more, having noted what it says of quota and waiting."""
        method = re.sub(r"/[\d;]+", "", f"/{path}")
        asked = {"site": self.settings.site, "pagesize": str(PER_PAGE), "filter": "withbody", **params}
        url = f"{self.settings.base_url}/{path}"
        body = (await self.http.get_json(url, asked, bucket=method, meaning=error_in)).json
        rows = self.listed(body, "items")
        backoff = reading.whole(body.get("backoff"))
        if backoff:
            self.http.hold(backoff, method)
        if body.get("quota_remaining") == 0:
            midnight = 86_400 - self.clock().timestamp() % 86_400
            self.http.hold(midnight)
        return rows, bool(body.get("has_more"))

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Read texts again by their ids: what was deleted is left out of the answer."""
        found: list[Row] = []
        there: set[str] = set()
        named = texts.numbers(list(ids))
        for kind, wanted in named.items():
            if wanted:
                rows, _ = await self._ask(f"{kind}s/{';'.join(wanted)}", {})
                found += rows
                there |= {native for number, native in wanted.items() if _is_in(rows, f"{kind}_id", number)}
        page = self.page(found, None)
        absent = [native for wanted in named.values() for native in wanted.values() if native not in there]
        return Reread(mentions=page.mentions, absent=absent)

    async def cursor_at(self, since: datetime) -> str | None:
        at = since.timestamp()
        return places.written({"questions": {"at": at, "floor": at, "more": True}, "comments": {"at": at}})

    def time_of(self, cursor: str | None) -> datetime | None:
        return places.time_of(cursor, "questions")


def _newest(row: Row) -> float:
    """Return when a text was written or last edited; its activity also moves with what others do."""
    return max(float(reading.whole(row.get(name)) or 0) for name in ("creation_date", "last_edit_date"))


def _is_in(rows: Sequence[Row], field: str, number: str) -> bool:
    return any(str(row.get(field)) == number for row in rows)
