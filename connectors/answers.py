"""What an answer of a source means: the error it is, by what to do next, in words that may be shown.

| answer                                   | raised                                        |
|------------------------------------------|-----------------------------------------------|
| 429; 403 that says until when to wait    | RateLimitedError(retry_after)                 |
| 408, 425, 5xx                            | UnavailableError, with `retry_after` if given |
| other 4xx                                | SourceRefusedError                            |
| no answer, too slow, too large, not JSON | SourceUnavailableError                        |

An error names the host and the path, never the query, a header or the body: tokens travel in those. A platform that
says in the body what it means, under whatever status, is read by a `Meaning` that is asked before the table.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from connectors import pacing, reading
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError

_ADVICE: Final = {
    400: "the request is wrong; look at this source's settings",
    401: "the credentials are wrong or have expired; renew them",
    402: "the account has to be paid for",
    403: "access is forbidden; look at the credentials' permissions and the source's terms",
    404: "there is nothing at this address; look at names and addresses in the settings",
    410: "it is gone for good; take it out of the settings",
    451: "it is withheld for legal reasons",
}
SAFE: Final = re.compile(r"[^\x20-\x7e\u00a1-\u024f]")


Meaning = Callable[["Answer", datetime], EarshotError | None]
"""What an answer means by what it says itself; None where the table at the top is to say. Quotes no body."""


class UnavailableError(SourceUnavailableError):
    """A source answers with an error of its own. `retry_after` is in seconds, None when it did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CredentialError(SourceRefusedError):
    """The credential is not taken, or not any more, under whatever status: one that can be renewed is, once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answered. Header names are lower-case; `url` is where it was found after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    moved_to: str | None = field(default=None, repr=False)  # set when every redirect on the way was a permanent one
    json: Any = field(default=None, repr=False)  # where it was asked for

    @property
    def is_unchanged(self) -> bool:
        """Whether the source says that nothing has changed since the given ETag or time."""
        return self.status == 304


def as_json(answer: Answer, secrets: Iterable[str] = ()) -> Any:
    """Return the JSON in an answer. Raises SourceUnavailableError when it is something else, without the secrets."""
    try:
        return reading.json_value(answer.body)
    except ValueError:
        kind = SAFE.sub("", answer.headers.get("content-type", "no content type"))[:60]
        what = f"{len(answer.body)} bytes of {kind}" if answer.body else "an empty body"
        where = hidden(place(answer.url), secrets)
        raise SourceUnavailableError(f"{where} sends {what} instead of JSON") from None


def error_for(answer: Answer, now: datetime, secrets: Iterable[str] = ()) -> EarshotError | None:
    """Return the error an answer means, None where it means none. A pure function: the table at the top."""
    status, headers = answer.status, answer.headers
    if status < 300 or status == 304:
        return None
    secrets = list(secrets)
    where = hidden(place(answer.url), secrets)
    wait = pacing.seconds_until(headers.get("retry-after"), now)
    known = pacing.quota(headers, now)
    asks_to_wait = wait is not None or (known is not None and known.remaining < 1)
    if status == 429 or (status == 403 and asks_to_wait):  # GitHub's secondary limits are a 403 with Retry-After
        if wait is None and known is not None and known.remaining < 1:
            wait = pacing.allowed_in(known, now)
        return RateLimitedError(f"{where} asks to wait ({status})", wait)
    if status in (408, 425) or status >= 500:
        return UnavailableError(f"{where} answers with an error of its own ({status})", wait)
    if status < 400:
        return SourceUnavailableError(f"{where} redirects in a way that cannot be followed ({status})")
    said = said_by(answer.body, secrets)
    advice = _ADVICE.get(status, "look at this source's settings")
    return SourceRefusedError(f"{where} refuses ({status}){f': {said}' if said else ''} — {advice}")


def said_by(body: bytes, secrets: Iterable[str] = ()) -> str:
    """Return what a JSON error body says in words, short and harmless to show; empty where it says nothing."""
    try:
        value = reading.json_value(body[:20_000])
    except ValueError:
        return ""
    found = value
    for key in ("error", "errors", "message", "detail", "error_description", "title"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and key in found:
            inner = found[key]
            if isinstance(inner, dict | list) and inner:
                found = inner
            elif isinstance(inner, str):
                found = inner
                break
    if not isinstance(found, str):
        return ""
    return SAFE.sub(" ", hidden(found, secrets))[:160].strip()


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return the text with stars for every secret in it, also percent-encoded and in base64."""
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), _base64(secret))}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _base64(secret: str) -> str:
    return b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")


def place(url: str) -> str:
    """Return host and path of an address: what may be shown of it."""
    try:
        parsed = httpx.URL(url)
        return SAFE.sub("", f"{parsed.host}{f':{parsed.port}' if parsed.port else ''}{parsed.path}")[:200] or "?"
    except (httpx.InvalidURL, TypeError, ValueError, UnicodeError):
        return "the address"


def without(url: str, params: Mapping[str, str]) -> str:
    """Return an address without these parameters."""
    parsed = httpx.URL(url)
    for name in params:
        parsed = parsed.copy_remove_param(name)
    return str(parsed)
