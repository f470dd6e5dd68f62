"""Posts on Mastodon under hash tags, or all public ones, as they are written, edited and deleted, over server-sent events.

API: https://docs.joinmastodon.org/methods/streaming/ (a token since Mastodon 4.2). The stream has no memory: what was
written while nobody listened is read from the timelines, forwards from the newest id known.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

import msgspec
from pydantic import Field, SecretStr, StringConstraints, field_validator

from connectors import auth, one_by_one, reading
from connectors.answers import place as shown
from connectors.base import Facts, Page, Rejected, Settings, StreamingConnector, mention
from connectors.mastodon import statuses, texts
from connectors.mastodon.statuses import Row, order
from connectors.mastodon_stream import streams, upwards
from connectors.mastodon_stream.events import Event
from connectors.mastodon_stream.memory import Place, Post, Published
from connectors.mastodon_stream.streams import Part, Streams
from connectors.rereading import DAY, HOUR, Reread, Rereading
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Mention, State

PAGE: Final = 500  # mentions of one page at the most
LINGER: Final = 0.25  # seconds a page waits for more
SETTLED: Final = 10.0  # seconds after which timelines are asked once more: for what came while the stream was opened
MAX_BROKEN: Final = 50  # events in a row that cannot be read: then it is no stream of Mastodon's
FUTURE: Final = timedelta(days=1)  # an id of later would take the cursor with it

Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+$")]


class MastodonStreamSettings(Settings):
    """Which server, and what of it."""

    tags: tuple[str, ...] = Field(max_length=20)
    """Hash tags to hear, with or without #; none is everything public that the server sees."""
    token: SecretStr
    """Access token of an account on this server, with the scope read:statuses."""
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1, max_length=1)] = ("https://mastodon.social",)
    """The server; it says itself from where it streams."""
    local: bool = False
    """Whether to hear only what the server's own people write."""
    indexable_only: bool = False
    """Whether to hear only authors who have agreed to be found in searches."""
    overlap: Duration = 300
    """How far the timelines are read back again after a loss: for texts that came late."""
    silence: Duration = Field(default=45.0, ge=0.05)
    """How long nothing may arrive before the connection is taken for dead: Mastodon sends a sign every 15 seconds."""

    @field_validator("tags")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return statuses.bare_tags(value)

    @field_validator("endpoints", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        given = [value] if isinstance(value, str) else value
        return [statuses.address(one) if isinstance(one, str) else one for one in given or ()]


class MastodonStream(StreamingConnector[MastodonStreamSettings]):
    """The cursor is a `Place`: the newest id of every timeline, and the newest texts of ours with their numbers."""

    name = "mastodon-stream"
    sources = (texts.SOURCE,)
    settings_type = MastodonStreamSettings
    facts = Facts(
        auth="token of an account",
        cursor="newest id of every tag; what came since is asked for",
        changes="both while it listens, and when read again",
        tested="streams and timelines of our own",
    )
    seen_limit: ClassVar[int] = 5_000
    rows_of = staticmethod(texts.rows_of)
    to_mention = staticmethod(texts.read)
    rereads = Rereading(ages=(HOUR, DAY, 7 * DAY), batch=20)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._published = Published()
        self._unconfirmed: list[Mention] = []  # edits and deletions not in Kafka yet: they do not come again
        self._streams_at: str | None = None

    @property
    def server(self) -> str:
        return self.settings.endpoints[0]

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags that are streams of their own; an empty one is all that is public."""
        return self.settings.tags or ("",)

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.token)

    async def listen(self, cursor: str | None) -> AsyncIterator[Page]:
        place = Place.read(cursor)
        newest = dict(place.newest)
        self._published.load(place.posts)
        if self._streams_at is None:
            self._streams_at = await streams.found_at(self.http, self.server)
        try:
            async with streams.opened(self, self._streams_at, self.tags, self._path, self.settings.silence) as heard:
                async with contextlib.aclosing(self._missed(newest)) as pages:  # from here on nothing is missed
                    async for page in pages:
                        yield page
                async with contextlib.aclosing(self._pages(heard, newest)) as pages:
                    async for page in pages:
                        yield page
        except (SourceUnavailableError, SourceRefusedError):
            self._streams_at = None
            raise

    @property
    def _path(self) -> str:
        return f"{'hashtag' if self.settings.tags else 'public'}{'/local' if self.settings.local else ''}"

    async def _pages(self, heard: Streams, newest: dict[str, str]) -> AsyncGenerator[Page]:
        """Yield pages until a stream ends: what has arrived first, then the error."""
        clock, broken = asyncio.get_running_loop().time, 0
        settled_at: float | None = clock() + SETTLED
        while True:
            mentions, rejected = list(self._unconfirmed), []
            part: Part | None = await heard.next()
            until = clock() + LINGER
            lost = None
            while part is not None:
                for event in part.events:
                    found = self._said(event, part.tag, newest)
                    broken = broken + 1 if isinstance(found, Rejected) else 0
                    if isinstance(found, Rejected):
                        rejected.append(found)
                    elif found is not None:
                        mentions.append(found)
                        self._unconfirmed += [found] if event.name != "update" else []
                lost = part.lost
                is_enough = lost is not None or len(mentions) >= PAGE or broken >= MAX_BROKEN
                part = None if is_enough else await heard.next(until)
            yield Page(mentions, self._place(newest), rejected=rejected)
            self._unconfirmed.clear()
            if broken >= MAX_BROKEN:
                raise SourceUnavailableError(f"{shown(self.server)} sends what is no stream of Mastodon's")
            if lost is not None:
                raise lost
            if settled_at is not None and clock() >= settled_at:
                settled_at = None
                async with contextlib.aclosing(self._missed(newest)) as pages:
                    async for page in pages:
                        yield page

    def _said(self, event: Event, tag: str, newest: dict[str, str]) -> Mention | Rejected | None:
        """Return what an event says to us; None where it is nothing of ours."""
        if event.name == "delete":
            return self._deleted(event.data.decode("utf-8", "replace").strip().strip('"'))
        if event.name not in ("update", "status.update"):
            return None
        try:
            row = reading.json_value(event.data)
        except ValueError:
            return Rejected(reading.as_bytes(event.data), f"{self.name}: an event is not readable")
        if not isinstance(row, dict):
            return Rejected(reading.as_bytes(event.data), f"{self.name}: an event is no text")
        return self._heard(row, event.data, tag, newest)

    def _heard(self, row: Row, raw: Any, tag: str, newest: dict[str, str]) -> Mention | Rejected | None:
        """Return the mention that a text is, and remember it; None where it is not for us."""
        number, now = str(row.get("id") or ""), self.clock()
        time = statuses.time_of(number)
        if time is None or time <= (now + FUTURE).timestamp() * 1000:
            newest[tag] = max(newest.get(tag, ""), number, key=order)
        row = statuses.original(row)
        if not statuses.is_heard(row, indexable_only=self.settings.indexable_only):
            return None
        found = self.attempt(self._in_thread(row), now)
        if isinstance(found, str):
            return Rejected(reading.as_bytes(raw), f"{self.name}: {found}")
        if found is not None:
            before = self._published.get(str(row.get("id") or ""))
            if before is not None:  # it comes after what it changes only in the same thread
                found = msgspec.structs.replace(found, conversation=before.conversation)
            self.keep(found, raw)
            revision = max(found.revision, before.revision if before is not None else 0)
            self._published.add(str(row.get("id") or ""), Post(found.native_id, found.conversation, revision))
        return found

    def _in_thread(self, row: Row) -> Row:
        """Return the row with the `uri` of what it answers and of its thread, where that is a text of ours."""
        parent = self._published.get(str(row.get("in_reply_to_id") or ""))
        if parent is None:
            return row
        top = (parent.conversation or parent.uri).removeprefix(f"{texts.SOURCE}:")
        return {**row, "earshot_parent": parent.uri, "earshot_top": top}

    def _deleted(self, number: str) -> Mention | None:
        """Return what takes a text of ours back; None where it is none of ours."""
        post, now = self._published.get(number), self.clock()
        if post is None:
            return None
        self._published.forget(number)
        written = statuses.time_of(number)
        return mention(
            texts.SOURCE,
            post.uri,
            created_at=now if written is None else datetime.fromtimestamp(written / 1000, UTC),
            now=now,
            state=State.DELETED,
            revision=max(int(now.timestamp() * 1000), post.revision + 1),  # edits are by the server's clock
            conversation=post.conversation,
        )

    async def _missed(self, newest: dict[str, str]) -> AsyncGenerator[Page]:
        """Yield what the timelines have above the newest ids known, oldest first, or that it was missed.

        A timeline that was never read is not gone through: from its newest text on it is heard.
        """
        for tag in self.tags:
            ask = functools.partial(self._timeline, tag)
            known = newest.get(tag, "")
            if not known:
                newest[tag] = await upwards.newest(ask)
                continue
            async with contextlib.aclosing(upwards.walk(ask, known, self.settings.overlap)) as walk:
                async for rows, gap in walk:
                    found = [self._heard(row, row, tag, newest) for row in rows]
                    yield Page(
                        [one for one in found if isinstance(one, Mention)],
                        self._place(newest),
                        gap=gap,
                        rejected=[one for one in found if isinstance(one, Rejected)],
                    )

    def _place(self, newest: dict[str, str]) -> str:
        kept = {tag: newest[tag] for tag in self.tags if newest.get(tag)}
        return Place(newest=kept, posts=self._published.newest()).written()

    async def _timeline(self, tag: str, min_id: str | None, limit: int) -> list[Row]:
        path, params = statuses.timeline(tag, min_id, limit)
        params |= {"local": "true"} if self.settings.local else {}
        body = (await self.http.get_json(f"{self.server}{path}", params)).json
        if not isinstance(body, list):
            raise SourceUnavailableError(f"{self.instance}: the answer is no timeline")
        return reading.objects(body)

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Read texts again whose number on this server is known: its own people's, and those heard lately."""
        return await one_by_one.reread(ids, self._again)

    async def _again(self, native: str) -> Sequence[Mention]:
        number = self._published.number(native) or statuses.number_in(native, self.server)
        if number is None:
            return []
        url = f"{self.server}/api/v1/statuses/{quote(number, safe='')}"
        row = (await self.http.get_json(url, meaning=one_by_one.gone)).json
        return self.page([row] if isinstance(row, dict) else [], None).mentions

    def time_of(self, cursor: str | None) -> datetime | None:
        times = [time for one in Place.read(cursor).newest.values() if (time := statuses.time_of(one)) is not None]
        return datetime.fromtimestamp(min(times) / 1000, UTC) if times else None
