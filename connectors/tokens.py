"""Tokens that end: read from a token endpoint's answer, renewed before they end, one renewal at a time, kept sealed."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from connectors import reading, sealing
from connectors.answers import Answer, hidden, place
from connectors.record import Record, Value
from pipeline.contract.errors import (
    ConfigError,
    EarshotError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)

if TYPE_CHECKING:
    from connectors.auth import Post, Renewed

MARGIN: Final = 60.0  # seconds before its end at which a token is renewed; a tenth of its life where that is less
REFUSED_WAIT: Final = 900.0  # a token that was refused is asked for again this seldom, whoever needs it
LEASE: Final = 60.0  # seconds for which a process that renews is waited for by others

_PASSING: Final = ("temporarily_unavailable", "server_error", "slow_down")
_ADVICE: Final = {
    "invalid_grant": "the consent has ended or was taken back: give it anew and put the new token into the settings",
    "invalid_client": "client id or client secret are wrong",
    "unauthorized_client": "client id or client secret are wrong, or the app may not ask in this way",
    "invalid_scope": "the app or the account lacks a permission: see the source's README",
    "access_denied": "the app or the account lacks a permission: see the source's README",
}


@dataclass(frozen=True, slots=True)
class Token:
    """What lets us in until `expires_at`; None: until it is refused."""

    access: str = field(repr=False)
    made_at: datetime
    expires_at: datetime | None = None
    refresh: str | None = field(default=None, repr=False)

    def is_fresh(self, now: datetime) -> bool:
        """Whether it is good for a while yet."""
        if self.expires_at is None:
            return True
        life = (self.expires_at - self.made_at).total_seconds()
        return now < self.expires_at - timedelta(seconds=min(MARGIN, life / 10))

    def written(self) -> str:
        """Return it as text, to be sealed."""
        ends = self.expires_at.isoformat() if self.expires_at else None
        return json.dumps([self.access, self.made_at.isoformat(), ends, self.refresh])

    @staticmethod
    def read(text: str) -> Token:
        """Return what was written. Raises ValueError."""
        access, made, ends, refresh = json.loads(text)
        return Token(access, datetime.fromisoformat(made), datetime.fromisoformat(ends) if ends else None, refresh)


def token_in(answer: Answer, now: datetime, hide: Iterable[str] = ()) -> Token:
    """Return the token in a token endpoint's answer, whatever its status: some refuse with 200 (RFC 6749, 5).

    Raises SourceRefusedError with what to do, SourceUnavailableError where the answer is no such thing.
    """
    try:
        body = reading.json_value(answer.body)
    except ValueError:
        body = None
    found = body if isinstance(body, dict) else {}
    access = found.get("access_token")
    if isinstance(access, str) and access and answer.status < 300:
        lifetime = reading.whole(found.get("expires_in"))
        ends = now + timedelta(seconds=lifetime) if lifetime else None
        refresh = found.get("refresh_token")
        return Token(access, now, ends, refresh if isinstance(refresh, str) and refresh else None)
    raise _refusal(answer, found, hide)


def _refusal(answer: Answer, found: dict[str, Any], hide: Iterable[str]) -> EarshotError:
    error = found.get("error")
    code = error if isinstance(error, str) else ""
    if code in _PASSING:
        return SourceUnavailableError(f"{place(answer.url)} gives no token now ({code})")
    if not code and answer.status not in (400, 401, 403, 404):
        return SourceUnavailableError(f"{place(answer.url)} answers with no token ({answer.status})")
    said = hidden(code, hide)[:60] if code.isprintable() else ""
    advice = _ADVICE.get(code, "look at the credentials in the settings")
    return SourceRefusedError(f"{place(answer.url)} gives no token ({said or answer.status}) — {advice}")


class Tokens:
    """The tokens of one credential. All sources that use it share this object."""

    def __init__(self, auth: Renewed, record: Record, clock: Callable[[], datetime]) -> None:
        self._auth = auth
        self._record = record
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._refused: tuple[datetime, str] | None = None
        self._us = secrets.token_hex(8)

    @property
    def secrets(self) -> list[str]:
        """Return what may not be shown."""
        token = self._token
        return [one for one in (token.access, token.refresh) if one] if token else []

    def spoil(self, token: Token) -> None:
        """Note that the source does not take this token any more."""
        if self._token is not None and self._token.access == token.access:
            self._token = replace(self._token, expires_at=self._clock())

    async def get(self, post: Post) -> Token:
        """Return a token that is good, a new one where it must be. One renewal runs at a time.

        Raises SourceRefusedError, without asking again, for a while after the endpoint has refused.
        """
        async with self._lock:
            now = self._clock()
            if self._token is not None and self._token.is_fresh(now):
                return self._token
            if self._refused is not None and now < self._refused[0]:
                raise SourceRefusedError(self._refused[1])
            if self._auth.is_kept:
                await self._adopt(now)
                if self._token is not None and self._token.is_fresh(now):
                    return self._token
            try:
                token = await self._auth.obtain(post, self._token, now)
            except SourceRefusedError as error:
                self._refused = now + timedelta(seconds=REFUSED_WAIT), str(error)
                raise
            self._token, self._refused = token, None
            if self._auth.is_kept:
                await self._record.change(lambda value, _: self._with(value, token))
            return self._token

    async def _adopt(self, now: datetime) -> None:
        """Take what another process has got; where renewing ends the old token, wait for whoever renews it."""
        if self._auth.rotates and not self._record.is_durable:
            raise ConfigError(
                "this source's token is good for one renewal, which only a running source may use — see its state with "
                "`earshot connectors list`"
            )
        waits = False

        def lease(value: Value, _: int) -> Value | None:
            nonlocal waits
            theirs = self._in(value)
            if theirs is not None and (self._token is None or theirs.made_at > self._token.made_at):
                self._token = theirs
            if (self._token is not None and self._token.is_fresh(now)) or not self._auth.rotates:
                return None
            held = value.get("lease") or {}
            until = reading.timestamp(held.get("until"))
            waits = held.get("by") != self._us and until is not None and until > now
            ends = (now + timedelta(seconds=LEASE)).astimezone(UTC).isoformat()
            return None if waits else {**value, "lease": {"by": self._us, "until": ends}}

        await self._record.change(lease)
        if waits:
            self._record.doubt()
            raise RateLimitedError("another process is renewing the token of this source", 2.0)

    def _with(self, value: Value, token: Token) -> Value | None:
        theirs = self._in(value)
        if theirs is not None and theirs.made_at > token.made_at:
            self._token = theirs
            return None
        kept = {key: one for key, one in value.items() if key != "lease"}
        return {**kept, "token": sealing.seal(token.written(), self._auth.material, self._record.name)}

    def _in(self, value: Value) -> Token | None:
        sealed = value.get("token")
        text = sealing.unseal(sealed, self._auth.material, self._record.name) if isinstance(sealed, str) else None
        try:
            return Token.read(text) if text is not None else None
        except (ValueError, TypeError):
            return None
