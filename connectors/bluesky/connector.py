"""Bluesky: every public post, as it is written, through Jetstream; kept are those with your words in them.

Jetstream is a WebSocket of JSON frames (https://github.com/bluesky-social/jetstream), open to all, with some 50 posts a
second, in two versions (`connectors.bluesky.frames`). The cursor is a time in microseconds; it keeps 36 hours at the most.
Post search wants an account and is not meant as a data source (https://github.com/bluesky-social/atproto/issues/3423).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import msgspec
from pydantic import Field, StringConstraints, model_validator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from connectors import pacing, reading
from connectors.base import Facts, Gap, Page, Rejected, Settings, StreamingConnector
from connectors.bluesky import compression, frames, posts
from connectors.bluesky.compression import Inflating
from connectors.bluesky.memory import Place, Published
from connectors.http import place as shown
from pipeline.config.model import Duration
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Mention, State

PAGE: Final = 500  # mentions of one page at the most
FRAMES: Final = 5_000  # frames read for one page at the most
LINGER: Final = 0.25  # seconds a page waits for more
QUEUE: Final = 64  # frames read ahead while a page is committed; beyond that Jetstream waits for us
MAX_FRAME: Final = 8_000_000  # bytes; records of the network have 1 MB at the most
MAX_BROKEN: Final = 50  # frames in a row that cannot be read: then it is no Jetstream
OTHER_CLOCK: Final = 30.0  # seconds gone back when another instance goes on: their clocks and lags differ
SURE_GAP: Final = 60.0  # seconds between a cursor and the first frame: at 50 posts a second no chance
FUTURE: Final = timedelta(days=1)  # a frame of later is broken: it would take the cursor with it

Word = Annotated[str, StringConstraints(min_length=2, max_length=200, strip_whitespace=True)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^wss?://[^\s/?#]+(/[^\s?#]*)?$")]


class BlueskySettings(Settings):
    """What to keep of all posts, and where to hear them."""

    terms: tuple[Word, ...] = ()
    """Words, parts of words or phrases; posts with one of them in text, link, tag or picture description are kept."""
    languages: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")], ...] = ()
    """Languages to keep, such as en; a post that states none is kept. Empty means all."""
    everything: bool = False
    """Keep all posts: some 50 a second, 4 million a day."""
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)] = (
        "wss://jetstream2.us-east.bsky.network/subscribe",
        "wss://jetstream1.us-west.bsky.network/subscribe",
        "wss://jetstream1.us-east.bsky.network/subscribe",
        "wss://jetstream2.us-west.bsky.network/subscribe",
    )
    """Jetstream instances; the next one is taken when one fails."""
    silence: Duration = Field(default=30.0, ge=0.05)
    """How long nothing may arrive before the connection is taken for dead."""
    overlap: Duration = Field(default=5.0, le=20)
    """How far a new connection reaches back again."""
    compress: bool = False
    """Whether endpoints of version 2 compress what they send, by a dictionary of theirs: a third of the bytes."""

    @model_validator(mode="after")
    def _choose(self) -> BlueskySettings:
        if self.compress and not any(map(frames.is_second, self.endpoints)):
            raise ValueError(
                f"`compress` is for `endpoints` of Jetstream 2, wss://…/xrpc/{frames.EVENTS}; others compress by themselves"
            )
        if not self.terms and not self.everything:
            raise ValueError(
                "say what to keep: `terms: [your brand, your product]`, or `everything: true` for 4 million posts a day"
            )
        return self


class Bluesky(StreamingConnector[BlueskySettings]):
    """The cursor is a `Place`: the newest frame's time, the instance it came from, and the newest posts of ours."""

    name = "bluesky"
    settings_type = BlueskySettings
    facts = Facts(
        auth="none",
        cursor="time of the newest frame",
        changes="both",
        tested="a real PDS's firehose in Jetstream's frames, recordings",
    )
    seen_limit: ClassVar[int] = 2_000  # of 30 s at the most, when all is kept

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._published = Published()
        self._unconfirmed: list[tuple[str, str, str | None]] = []  # forgotten for a page that is not committed yet
        self._terms = tuple(filter(None, map(folded, self.settings.terms)))
        self._instance = 0
        self._refusals = 0
        self._dictionaries: dict[str, Inflating | None] = {}  # endpoint -> what it compresses by
        self._outdated: set[int] = set()  # numbers of dictionaries that were refused

    async def listen(self, cursor: str | None) -> AsyncIterator[Page]:
        place = Place.read(cursor)
        for post in self._unconfirmed:  # the page was lost: its deletions come again
            self._published.add(*post)
        self._unconfirmed.clear()
        self._published.load(place.posts)
        endpoint = self.settings.endpoints[self._instance % len(self.settings.endpoints)]
        try:
            inflating = await self._inflating(endpoint)
            async with (
                await self._connect(endpoint, place, inflating) as connection,
                contextlib.aclosing(self._pages(connection, endpoint, place, inflating)) as pages,
            ):
                self._refusals = 0
                async for page in pages:
                    yield page
        except _TooOldError:
            now = self.clock()
            here = Place(at=_microseconds(now), endpoint=endpoint, posts=place.posts)
            gap = Gap(posts.instant(place.at or 0), now, f"{shown(endpoint)} no longer has what is that old")
            yield Page(cursor=here.written(), gap=gap)
        except (SourceUnavailableError, SourceRefusedError):
            self._instance += 1
            raise

    async def cursor_at(self, since: datetime) -> str | None:
        return Place(at=_microseconds(since)).written()

    def time_of(self, cursor: str | None) -> datetime | None:
        at = Place.read(cursor).at
        return None if at is None else posts.instant(at)

    async def _inflating(self, endpoint: str) -> Inflating | None:
        """Return what frames of an endpoint are decompressed with; None where they come as they are."""
        if not self.settings.compress or not frames.is_second(endpoint):
            return None
        if endpoint not in self._dictionaries:
            found = await compression.of_server(self.http, endpoint)
            self._dictionaries[endpoint] = found if found and found.number not in self._outdated else None
        return self._dictionaries[endpoint]

    def _gave_up(self, endpoint: str) -> bool:
        """Go on without the dictionary that an endpoint gave, until it gives another; return whether there was one."""
        inflating = self._dictionaries.pop(endpoint, None)
        if inflating is not None:
            self._outdated.add(inflating.number)
        return inflating is not None

    async def _connect(self, endpoint: str, place: Place, inflating: Inflating | None) -> ClientConnection:
        """Return the open connection, from the place on. Raises what the runner knows, and _TooOldError."""
        cursor = None
        if place.at is not None:
            back = self.settings.overlap if place.endpoint in ("", endpoint) else OTHER_CLOCK
            cursor = max(0, place.at - int(back * 1_000_000))
        where = shown(endpoint)
        try:
            return await connect(
                frames.address(endpoint, cursor, inflating.number if inflating else None),
                user_agent_header=self.http.client.headers["User-Agent"],
                compression=None if frames.is_second(endpoint) else "deflate",
                max_size=MAX_FRAME,
                max_queue=QUEUE,
                close_timeout=1,
                open_timeout=10,
            )
        except InvalidStatus as error:
            raise self._refused(endpoint, error, place) from None
        except TimeoutError:
            raise SourceUnavailableError(f"{where} does not answer in time") from None
        except (OSError, WebSocketException, ValueError) as error:
            raise SourceUnavailableError(f"{where} cannot be reached: {_words(error)}") from None

    def _refused(self, endpoint: str, error: InvalidStatus, place: Place) -> Exception:
        """Return the error that an answer other than an open connection means."""
        where, status, said = shown(endpoint), error.response.status_code, error.response.body or b""
        if b"UnknownZstdDictionary" in said and self._gave_up(endpoint):  # it has another one by now
            return SourceUnavailableError(f"{where} no longer compresses by the dictionary it gave")
        if status == 400 and b"CursorTooOld" in said and place.at is not None:
            return _TooOldError()
        if status == 429:
            wait = pacing.seconds_until(error.response.headers.get("Retry-After"), self.clock())
            return RateLimitedError(f"{where} asks to wait (429)", wait)
        if status >= 500 or status in (408, 425):
            return SourceUnavailableError(f"{where} answers with an error of its own ({status})")
        self._refusals += 1
        if self._refusals < len(self.settings.endpoints):  # another one may let us in
            return SourceUnavailableError(f"{where} refuses ({status})")
        return SourceRefusedError(f"{where} refuses ({status}) — look at `endpoints` in this source's settings")

    async def _pages(
        self, connection: ClientConnection, endpoint: str, place: Place, inflating: Inflating | None
    ) -> AsyncGenerator[Page]:
        """Yield pages until the connection is lost: what has arrived first, then the error."""
        where, clock, at, broken = shown(endpoint), asyncio.get_running_loop().time, place.at, 0
        is_first, is_clamped = True, False
        while True:
            lost: SourceUnavailableError | None = None
            mentions: list[Mention] = []
            rejected: list[Rejected] = []
            gap: Gap | None = None
            wait, until = self.settings.silence, None
            for _ in range(FRAMES):
                try:
                    async with asyncio.timeout(wait):
                        raw = await connection.recv()
                except TimeoutError:
                    if until is None:
                        lost = SourceUnavailableError(f"{where} has sent nothing for {wait:g} s")
                    break
                except ConnectionClosed as error:
                    lost = SourceUnavailableError(f"{where} has ended the connection ({_code(error)})")
                    break
                until = clock() + LINGER if until is None else until
                found = self._read(raw, inflating)
                if isinstance(found, Rejected):
                    rejected.append(found)
                    broken += 1
                elif isinstance(found, _Notice):
                    is_clamped = is_clamped or found.name == frames.OUTDATED
                    if found.is_end:
                        lost = SourceUnavailableError(f"{where} has ended the connection ({found.name})")
                        break
                else:
                    broken = 0
                    time, heard = found
                    if is_first and at is not None:
                        gap = _gap(at, time, where, 0.0 if is_clamped else SURE_GAP)
                    is_first = False
                    at = max(at or 0, time)
                    mentions += heard
                wait = until - clock()
                if wait <= 0 or len(mentions) >= PAGE or broken >= MAX_BROKEN:
                    break
            if until is not None:
                clock_of = place.endpoint if at == place.at else endpoint  # until this one's has passed the other's
                here = Place(at=at, endpoint=clock_of, posts=self._published.newest())
                yield Page(mentions, here.written(), gap=gap, rejected=rejected)
                self._unconfirmed.clear()
            if broken >= MAX_BROKEN:
                self._gave_up(endpoint)  # it may be why
                lost = SourceUnavailableError(f"{where} sends what is no Jetstream")
            if lost is not None:
                raise lost

    def _read(
        self, raw: str | bytes, inflating: Inflating | None = None
    ) -> tuple[int, list[Mention]] | Rejected | _Notice:
        """Return a frame's time and what it says to us; or what it says of the stream."""
        data = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
        now = self.clock()
        try:
            if inflating is not None and isinstance(raw, bytes):
                data = inflating.frame(raw, MAX_FRAME)
            row = reading.json_value(data)
            if (said_of := frames.info_in(row) or frames.error_in(row)) is not None:
                return _Notice(said_of, is_end=frames.error_in(row) is not None)
            row = frames.as_first(row)
            time = row["time_us"]
            if not isinstance(time, int) or isinstance(time, bool) or time < 0 or posts.instant(time) > now + FUTURE:
                raise ValueError("a time that cannot be")
            said = list(self._said(row, now))
            for one in said:
                self.keep(one, data)
            return time, said
        except KeyError as error:
            return Rejected(reading.as_bytes(data), f"bluesky: the field {error.args[0]!r} is missing in a frame")
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError, OSError, RecursionError) as error:
            return Rejected(reading.as_bytes(data), f"bluesky: a frame is not readable ({type(error).__name__})")

    def _said(self, row: frames.Row, now: datetime) -> Iterator[Mention]:
        """Yield what is to be published of a frame, and remember it."""
        if row.get("kind") == "account":
            yield from self._account(row["did"], row["account"], now)
            return
        commit = row.get("commit")
        if row.get("kind") != "commit" or not isinstance(commit, dict) or commit.get("collection") != posts.POST:
            return
        did, rkey = str(row["did"]), str(commit["rkey"])
        is_ours = (did, rkey) in self._published
        if commit.get("operation") == "delete" and not is_ours:
            return
        found = posts.from_commit(row, now, self._published.root(did, rkey) if is_ours else None)
        if found is None or not (is_ours or self.wants(found)):
            return
        if found.is_withdrawn:
            self._forget(did, rkey)
        else:
            if found.state is State.LIVE and self._published.was_deleted(did, rkey):  # written anew: an edit
                revision = posts.milliseconds(commit.get("rev")) or row["time_us"] // 1000
                found = msgspec.structs.replace(found, state=State.EDITED, revision=revision)
            root = (found.conversation or "").removeprefix(f"{posts.SOURCE}:")
            self._published.add(did, rkey, None if root == found.native_id else root)
        yield found

    def _account(self, did: Any, account: dict[str, Any], now: datetime) -> Iterator[Mention]:
        """Yield the end of every post of ours that an account had, when it goes."""
        state = None if account.get("active", True) else posts.ACCOUNT_STATES.get(str(account.get("status")))
        if state is None:
            return
        at = reading.timestamp(account.get("time")) or now
        for rkey in self._published.of(str(did)):
            root = self._published.root(did, rkey)
            if state is not State.UNAVAILABLE:  # what may come back may also be deleted later
                self._forget(did, rkey)
            yield posts.withdrawn(did, rkey, root, state, int(at.timestamp() * 1000), at, now)

    def _forget(self, did: str, rkey: str) -> None:
        self._unconfirmed.append((did, rkey, self._published.root(did, rkey)))
        self._published.forget(did, rkey)

    def wants(self, found: Mention) -> bool:
        """Whether a post is to be published: one of the languages, one of the terms."""
        if self.settings.languages and found.language and found.language not in self.settings.languages:
            return False
        if self.settings.everything:
            return True
        said = folded("\n".join((found.text, found.title or "", *found.tags, *found.links)))
        return any(term in said for term in self._terms)

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Read a commit frame of Jetstream, version 1 or 2, or a post as the API shows it."""
        if "did" in row and ("commit" in row or "operation" in row):
            return posts.from_commit(row, now)
        return posts.from_view(row, now)


class _Notice(NamedTuple):
    """What an instance says of the stream itself, and whether that ends it."""

    name: str
    is_end: bool


class _TooOldError(Exception):
    """The instance no longer has what the cursor asks for."""


def folded(text: str) -> str:
    """Return a text as terms are compared: without case, accents, differences of form, and breaks of lines."""
    if not text.isascii():
        text = _plain(_plain(text).casefold())
    return " ".join(text.casefold().split())


def _plain(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _gap(cursor: int, first: int, where: str, sure: float) -> Gap | None:
    """Return what was missed when the first frame is so much later than the cursor: version 1 leaves out silently."""
    if (first - cursor) / 1_000_000 <= sure:
        return None
    return Gap(posts.instant(cursor), posts.instant(first), f"{where} no longer has what is that old")


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def _code(error: ConnectionClosed) -> str:
    return "no closing frame" if error.rcvd is None else str(error.rcvd.code)


def _words(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known (DNS); is this machine online?"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused"
    return f"the connection breaks ({type(error).__name__})"
