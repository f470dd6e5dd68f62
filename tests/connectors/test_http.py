"""Asking a source: what every kind of answer means, what is refused, and that no secret is ever said."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from connectors.http import Answer, Http, UnavailableError, error_for, hidden, make_client, place, said_by, user_agent
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.metrics import Metrics

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRET = "s3cr3t/of+the test"
URL = "https://api.example.org/v1/search"


def http(answer, **more) -> Http:
    given = {"clock": lambda: NOW, "connector": "example", "secrets": [SecretStr(SECRET)], **more}
    return Http(make_client(transport=httpx.MockTransport(answer)), **given)


def always(status=200, body=b"{}", headers=None):
    return lambda request: httpx.Response(status, content=body, headers=headers or {}, request=request)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, URL)


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_means_one_thing_to_do(status):
    error = error_for(answer(status), NOW)
    if status < 300 or status == 304:
        assert error is None
    elif status == 429:
        assert isinstance(error, RateLimitedError)
        assert error.retry_after is None
    elif status < 400 or status in (408, 425) or status >= 500:
        assert isinstance(error, SourceUnavailableError)
    else:
        assert isinstance(error, SourceRefusedError)
        assert " — " in str(error)  # says what to do
    if error is not None:
        assert str(status) in str(error)


@pytest.mark.parametrize("status", [429, 503, 500, 408, 403])
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("77", 77),
        ("0", 0),
        ("-5", 0),
        ("1.5", 1.5),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ((NOW + timedelta(seconds=30)).isoformat(), 30),
        ("999999", 6 * 3600),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_too_long(status, said, seconds):
    error = error_for(answer(status, retry_after=said), NOW)
    assert error.retry_after == seconds


@pytest.mark.parametrize("said", ["soon", "", "nan", "inf", "Wed, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_is_none(said):
    assert error_for(answer(429, retry_after=said), NOW).retry_after is None
    assert isinstance(error_for(answer(403, retry_after=said), NOW), SourceRefusedError)


def test_a_limit_without_retry_after_waits_until_the_reset_it_names():
    reset = str(int((NOW + timedelta(seconds=40)).timestamp()))
    for status in (429, 403):
        error = error_for(answer(status, x_ratelimit_remaining="0", x_ratelimit_reset=reset), NOW)
        assert isinstance(error, RateLimitedError)
        assert error.retry_after == 40
    forbidden = error_for(answer(403, x_ratelimit_remaining="12", x_ratelimit_reset=reset), NOW)
    assert isinstance(forbidden, SourceRefusedError)


async def test_what_a_source_says_of_its_limit_is_kept_also_when_it_refuses():
    headers = {"x-ratelimit-remaining": "5", "x-ratelimit-limit": "10", "x-ratelimit-reset": "60"}
    asked = http(always(401, headers=headers))
    with pytest.raises(SourceRefusedError):
        await asked.get_json(URL)
    assert asked.quota.share == 0.5
    asked.client._transport = httpx.MockTransport(always())
    await asked.get_json(URL)
    assert asked.quota.share == 0.4  # an answer without headers forgets nothing, and counts as one request


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"cut', b"\xff\xfe", b"null "], ids=repr)
async def test_an_answer_of_another_kind_is_unavailable_and_its_body_is_not_said(body):
    asked = http(always(200, body, {"content-type": "text/html; charset=\x1b[31mred"}))
    if body == b"null ":
        assert (await asked.get_json(URL)).json is None
        return
    with pytest.raises(SourceUnavailableError) as raised:
        await asked.get_json(URL)
    assert "instead of JSON" in str(raised.value)
    assert "<html>" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def forms(secret: str) -> list[str]:
    return [secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("=")]


@pytest.mark.parametrize("form", forms(SECRET))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 302])
async def test_a_secret_is_in_no_error_however_the_source_echoes_it(status, form):
    body = f'{{"error": {{"message": "token {form} of ?key={form} is bad"}}}}'.encode()
    asked = http(always(status, body, {"content-type": form.replace(" ", ""), "location": ""}))
    with pytest.raises(Exception, match=r"api\.example\.org") as raised:
        await asked.request("GET", URL, params={"key": SECRET}, headers={"Authorization": f"Bearer {SECRET}"})
    shown = str(raised.value) + repr(raised.value) + repr(raised.value.__cause__)
    assert [one for one in forms(SECRET) if one in shown] == []
    if status in (400, 401, 404):
        assert "token *** of ?key=*** is bad" in shown


async def test_no_address_or_credential_shows_in_what_is_printed_of_an_answer_or_an_error():
    given = answer(200, b"body " + SECRET.encode())
    assert SECRET not in repr(given)
    assert place(f"https://user:{quote(SECRET, safe='')}@example.org:8443/a/b?token=1#x") == "example.org:8443/a/b"
    assert place("::::") in ("the address", "?")
    for error in (httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError):

        def fail(request, error=error):
            raise error(f"at {request.url}", request=request)

        with pytest.raises(SourceUnavailableError) as raised:
            await http(fail).request("GET", URL, params={"key": SECRET})
        assert raised.value.__suppress_context__
        assert [one for one in forms(SECRET) if one in str(raised.value)] == []


def test_hiding_takes_the_longest_form_first_and_leaves_the_rest():
    assert hidden("a b%20c b c", ["b c", ""]) == "a *** ***"
    assert hidden("nothing here", ["secret"]) == "nothing here"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no such tag"}', "no such tag"),
        (b'{"errors": [{"message": "bad query"}]}', "bad query"),
        (b'{"error": {"message": "quota", "code": 3}}', "quota"),
        (b'{"title": "Forbidden", "detail": "needs a key"}', "needs a key"),
        (b'"just words"', "just words"),
        (b'{"error": 7}', ""),
        (b'{"error": []}', ""),
        (b"<html>", ""),
        (b"[" * 9000, ""),
        (b'{"error": "\\u001b[31m\\u0000red"}', "[31m red"),
        (b'{"error": "' + b"x" * 900 + b'"}', "x" * 160),
    ],
    ids=lambda value: repr(value[:25]),
)
def test_what_an_error_says_in_words_is_taken_over_short_and_harmless(body, words):
    assert said_by(body) == words


@pytest.mark.parametrize("url", ["ftp://example.org/", "no address", "http://", "https://exa mple/", "http://[::1"])
async def test_what_is_no_address_is_refused_in_words(url):
    with pytest.raises((SourceRefusedError, SourceUnavailableError)) as raised:
        await Http(make_client(), clock=lambda: NOW, connector="x").get_bytes(url)
    assert "Traceback" not in str(raised.value)


class Sent:
    """A source of redirects: what was asked, and with which headers."""

    def __init__(self, **hops: tuple[int, str]) -> None:
        self.hops = hops
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        hop = self.hops.get(request.url.path.strip("/"))
        if hop is None:
            return httpx.Response(200, content=b"{}")
        return httpx.Response(hop[0], headers={"location": hop[1]})


async def test_a_redirect_to_another_host_takes_neither_headers_nor_query_along():
    sent = Sent(a=(302, "/b"), b=(302, "https://other.example.net/c"))
    given = await http(sent).get_json(
        "https://api.example.org/a", {"key": SECRET}, {"Authorization": f"Bearer {SECRET}"}
    )
    assert [str(request.url) for request in sent.asked[1:]] == [
        "https://api.example.org/b",
        "https://other.example.net/c",
    ]
    assert "authorization" in sent.asked[1].headers
    assert "authorization" not in sent.asked[2].headers
    assert sent.asked[2].headers["user-agent"].startswith("earshot/")
    assert given.url == "https://other.example.net/c"
    assert given.moved_to is None


async def test_only_permanent_redirects_move_an_address_for_good():
    sent = Sent(a=(301, "/b"), b=(308, "/c"))
    assert (await http(sent).get_bytes("https://example.org/a")).moved_to == "https://example.org/c"
    mixed = Sent(a=(301, "/b"), b=(302, "/c"))
    assert (await http(mixed).get_bytes("https://example.org/a")).moved_to is None


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://example.org/x",
        "http://example.org/plain",
        "https://127.0.0.1/admin",
        "https://localhost/admin",
        "https://10.0.0.7/admin",
        "https://[::1]/admin",
        "https://169.254.169.254/latest/meta-data",
        "https://printer.local/",
    ],
)
async def test_a_redirect_to_a_lesser_place_is_not_followed(target):
    sent = Sent(a=(302, target))
    with pytest.raises(SourceRefusedError, match="not followed"):
        await http(sent).get_bytes("https://example.org/a")
    assert len(sent.asked) == 1


@pytest.mark.parametrize("target", ["javascript:alert(1)", "data:text/plain,x", "https://[::1"])
async def test_a_redirect_to_what_is_no_address_is_the_sources_fault_not_the_settings(target):
    with pytest.raises(SourceUnavailableError, match=r"redirects to what is no address|the connection breaks"):
        await http(Sent(a=(302, target))).get_bytes("https://example.org/a")


async def test_redirects_in_a_circle_end_and_other_requests_are_not_redirected():
    circle = Sent(a=(302, "/b"), b=(302, "/a"))
    with pytest.raises(SourceUnavailableError, match="redirects more than"):
        await http(circle).get_bytes("https://example.org/a")
    assert len(circle.asked) == 5
    posted = Sent(a=(302, "/b"))
    with pytest.raises(SourceUnavailableError, match="cannot be followed"):
        await http(posted).request("POST", "https://example.org/a", json={"password": SECRET})
    assert len(posted.asked) == 1


async def test_an_etag_and_a_time_are_sent_and_unchanged_is_an_answer():
    sent = []

    def unchanged(request):
        sent.append(request)
        return httpx.Response(304)

    given = await http(unchanged).get_bytes(URL, etag='"1"', last_modified="Fri, 20 Nov 2026 12:00:00 GMT")
    assert given.is_unchanged
    assert sent[0].headers["if-none-match"] == '"1"'
    assert sent[0].headers["if-modified-since"].startswith("Fri")


async def test_cookies_are_neither_kept_nor_sent():
    sent = []

    def cookie(request):
        sent.append(request)
        return httpx.Response(200, content=b"{}", headers={"set-cookie": "session=1; Path=/; Max-Age=9999"})

    asked = http(cookie)
    for _ in range(3):
        await asked.get_json(URL)
    assert not list(asked.client.cookies.jar)
    assert [request.headers.get("cookie") for request in sent] == [None, None, None]


def test_the_user_agent_says_who_asks_and_cannot_be_broken_out_of():
    assert user_agent("ops@example.org").endswith("(+ops@example.org)")
    assert "\n" not in user_agent("x\r\nEvil: 1")


async def test_requests_are_counted_by_outcome():
    metrics = Metrics()
    for status, outcome in ((200, "ok"), (304, "ok"), (401, "refused"), (429, "limited"), (503, "unavailable")):
        before = metrics.registry.get_sample_value(
            "earshot_source_requests_total", {"connector": "example", "outcome": outcome}
        )
        with contextlib.suppress(Exception):
            await http(always(status), metrics=metrics).get_bytes(URL)
        after = metrics.registry.get_sample_value(
            "earshot_source_requests_total", {"connector": "example", "outcome": outcome}
        )
        assert after == (before or 0) + 1


async def test_what_a_platform_says_itself_goes_before_its_status():
    metrics = Metrics()

    def meaning(found, now):
        assert now == NOW
        return RateLimitedError("too much", 7) if b"limit" in found.body else None

    asked = http(always(200, b'{"limit":1}'), metrics=metrics)
    with pytest.raises(RateLimitedError, match="too much"):
        await asked.get_json(URL, meaning=meaning)
    labels = {"connector": "example", "outcome": "limited"}
    assert metrics.registry.get_sample_value("earshot_source_requests_total", labels) == 1
    assert (await http(always()).get_json(URL, meaning=meaning)).json == {}
    with pytest.raises(SourceRefusedError):
        await http(always(404)).get_json(URL, meaning=meaning)


# ------------------------------------------------------------------------------------- over a real connection


class Site:
    """A server that writes what it is told to, piece by piece, and then holds the connection."""

    def __init__(self, *pieces: bytes, pause: float = 0.0, hold: bool = False) -> None:
        self.pieces, self.pause, self.hold = pieces, pause, hold
        self.sent = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                self.sent += len(piece)
                await asyncio.sleep(self.pause)
            if self.hold:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/feed"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *lines, "", ""]).encode()


@contextlib.asynccontextmanager
async def real(**more):
    async with make_client() as client:
        yield Http(client, clock=lambda: NOW, connector="example", **more)


async def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not():
    for size, fits in ((1000, True), (1001, False)):
        async with Site(head(), b"x" * size) as url, real(max_body=1000) as asked:
            if fits:
                assert len((await asked.get_bytes(url)).body) == 1000
            else:
                with pytest.raises(SourceUnavailableError, match="more than 1000 bytes"):
                    await asked.get_bytes(url)


async def test_a_body_without_end_is_left_at_the_limit():
    site = Site(head(), *[b"x" * 60_000] * 2000)
    async with site as url, real(max_body=100_000) as asked:
        with pytest.raises(SourceUnavailableError, match="more than 100000 bytes"):
            await asked.get_bytes(url)
    assert site.sent < 60_000 * 2000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_body_that_unpacks_to_a_huge_one_is_stopped_before_it_is_there(encoding):
    import tracemalloc

    bomb = gzip.compress(bytes(50_000_000)) if encoding == "gzip" else zlib.compress(bytes(50_000_000))
    async with Site(head(f"Content-Encoding: {encoding}"), bomb) as url, real(max_body=100_000) as asked:
        tracemalloc.start()
        try:
            with pytest.raises(SourceUnavailableError, match="more than 100000 bytes"):
                await asked.get_bytes(url)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (gzip.compress(b"one"), b"one"),
        (gzip.compress(b"one ") + gzip.compress(b"two"), b"one two"),
        (gzip.compress(b"one") + b"\x00\x00\x00", b"one"),
        (b"", b""),
        (gzip.compress(b"one")[:-3], None),
        (gzip.compress(b"one")[:9], None),
        (b"this is not packed", None),
    ],
    ids=["one", "members", "padding", "empty", "cut", "cut early", "plain"],
)
@pytest.mark.parametrize("piece", [1, 1000])
async def test_packed_bodies_are_read_whole_or_not_at_all(body, found, piece):
    pieces = [body[at : at + piece] for at in range(0, len(body), piece)]
    async with Site(head("Content-Encoding: gzip"), *pieces) as url, real() as asked:
        if found is None:
            with pytest.raises(SourceUnavailableError, match=r"broken compression|breaks off"):
                await asked.get_bytes(url)
        else:
            assert (await asked.get_bytes(url)).body == found


async def test_a_compression_that_was_not_asked_for_is_refused():
    async with Site(head("Content-Encoding: br"), b"x") as url, real() as asked:
        with pytest.raises(SourceUnavailableError, match="not asked for"):
            await asked.get_bytes(url)


@pytest.mark.parametrize("where", ["in the head", "in the body", "before it"])
async def test_a_source_that_sends_a_byte_now_and_then_is_not_waited_for(where):
    began = asyncio.get_running_loop().time()
    slow = {
        "in the head": Site(b"HTTP/1.1 200 OK\r\n", *[b"X-A: 1\r\n"] * 500, pause=0.05),
        "in the body": Site(head(), *[b"x"] * 500, pause=0.05),
        "before it": Site(hold=True),
    }[where]
    async with slow as url, real(total_timeout=0.4) as asked:
        with pytest.raises(SourceUnavailableError, match=r"takes longer than 0\.4 s"):
            await asked.get_bytes(url)
    assert asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"not http at all\r\n\r\n"],
        [head("Content-Length: 100"), b"short"],
        [head("Transfer-Encoding: chunked"), b"zz\r\n"],
        [b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"x" * 200_000 + b"\r\n\r\n"],
    ],
    ids=["closes at once", "no HTTP", "cut", "bad chunk", "endless head"],
)
async def test_a_broken_connection_is_unavailable_and_said_in_words(pieces):
    async with Site(*pieces) as url, real() as asked:
        with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1"):
            await asked.get_bytes(url)


async def test_nobody_at_the_address_is_said_in_words():
    async with Site() as url:
        pass
    async with real() as asked:
        with pytest.raises(SourceUnavailableError, match="no connection can be made"):
            await asked.get_bytes(url)


def test_an_error_with_a_time_to_wait_is_still_unavailable():
    error = error_for(answer(503, retry_after="5"), NOW)
    assert isinstance(error, UnavailableError)
    assert isinstance(error, SourceUnavailableError)
