"""Answers that do not end: an HTTP response that is held open, and read as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import httpx

from connectors.answers import Answer, error_for, place
from connectors.base import Connector
from connectors.bodies import words
from connectors.settings import secrets_of
from pipeline.contract.errors import EarshotError, SourceUnavailableError

MAX_ERROR: Final = 100_000  # bytes read of an answer that is an error


async def parts(
    connector: Connector[Any],
    url: str,
    *,
    silence: float,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[bytes]:
    """Yield what arrives, with the connector's credential, until the source ends it.

    Raises SourceUnavailableError when nothing has come for `silence` seconds, the connection is lost or what comes is
    compressed, and what an answer other than 200 means.
    """
    where, http = place(url), connector.http
    signed = await http.account.signed(http.post)
    given = {**(headers or {}), **signed.headers, "Accept-Encoding": "identity"}
    timeout = httpx.Timeout(10.0, read=silence)
    try:
        async with http.client.stream("GET", url, params=params, headers=given, timeout=timeout) as response:
            if response.status_code != 200:
                raise await _refused(connector, response, url, silence)
            if response.headers.get("content-encoding", "").lower() not in ("", "identity"):
                raise SourceUnavailableError(f"{where} compresses what it sends, which was not asked for")
            async for part in response.aiter_raw():
                yield part
    except httpx.ReadTimeout:
        raise SourceUnavailableError(f"{where} has sent nothing for {silence:g} s") from None
    except (httpx.TimeoutException, TimeoutError):
        raise SourceUnavailableError(f"{where} does not answer in time") from None
    except httpx.HTTPError as error:
        raise SourceUnavailableError(f"{where} cannot be reached: {words(error)}") from None


async def _refused(connector: Connector[Any], response: httpx.Response, url: str, silence: float) -> EarshotError:
    body = b""
    async with asyncio.timeout(silence):
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_ERROR:
                break
    headers = {key.lower(): value for key, value in response.headers.items()}
    answer = Answer(response.status_code, headers, body, url)
    hide = [secret.get_secret_value() for secret in secrets_of(connector.settings)]
    found = connector.judge(answer) or error_for(answer, connector.clock(), hide)
    return found or SourceUnavailableError(f"{place(url)} answers in another way ({response.status_code})")
