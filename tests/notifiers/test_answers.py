"""Whatever a receiver answers: told, to be tried again, or refused; never another error, never a wait without end."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.errors import ReceiverRefusedError, ReceiverUnavailableError
from pipeline.notifiers.base import utc_now
from pipeline.notifiers.http import Poster, error_for, wait_in
from pipeline.notifiers.settings import HttpSettings
from tests.notifiers.alerts import NOW

PARTS = [
    b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/9.9 ", b"200", b"204", b"503", b"429", b"100", b"301", b"999", b"0", b" OK",
    b"\r\n", b"\n", b"\r\n\r\n", b"Content-Length: ", b"10", b"-1", b"99999999999999999999", b"Transfer-Encoding: chunked",
    b"ffffffff", b"zz", b"Retry-After: ", b"Wed, 21 Oct 2099 07:28:00 GMT", b"Connection: close", b"\x00", b"\xff" * 9,
    b"Content-Encoding: gzip", b"\x1f\x8b\x08", b"a" * 3000, b":", b" ",
]  # fmt: skip


@given(
    st.integers(0, 999),
    st.none()
    | st.text()
    | st.integers().map(str)
    | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT")),
)
def test_every_status_and_every_retry_after_mean_one_of_three_things(status, retry_after):
    error = error_for(status, retry_after, "host", NOW)
    assert error is None or isinstance(error, ReceiverUnavailableError | ReceiverRefusedError)
    assert (error is None) == (200 <= status < 300)
    wait = wait_in(retry_after, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    "strange",
    [
        "Wed, 21 Oct 99999 07:28:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Wed, 21 Oct 2015 07:28:00 +99999999",
        "9" * 5000,
        "²",
    ],
)
def test_a_retry_after_from_the_end_of_time_is_no_error(strange):
    wait = wait_in(strange, datetime.now(UTC))
    assert wait is None or wait >= 0


async def answered(raw, *, rest=0.0, patience=5.0):
    """Post to a server that says just this; return the error, None when it took it as told."""

    over, handling = asyncio.Event(), set()

    async def serve(reader, writer):
        handling.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await asyncio.wait_for(writer.drain(), patience)
            if rest:
                await asyncio.wait_for(over.wait(), rest)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    poster = Poster("p", HttpSettings(timeout=patience), utc_now)
    try:
        await poster.post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b"{}", {})
    except (ReceiverUnavailableError, ReceiverRefusedError) as error:
        return error
    finally:
        await poster.close()
        over.set()
        server.close()
        await asyncio.gather(*handling, return_exceptions=True)
        await server.wait_closed()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=30), max_size=14).map(b"".join))
def test_any_bytes_as_an_answer(raw):
    asyncio.run(asyncio.wait_for(answered(raw), 60))


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5_000_000]
)
async def test_an_answer_without_end_is_given_up(raw):
    error = await answered(raw, rest=2.0, patience=1.0)
    assert isinstance(error, ReceiverUnavailableError)
