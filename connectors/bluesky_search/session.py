"""A session of an account: an app password is exchanged for tokens, which are renewed before they end.

https://docs.bsky.app/docs/advanced-guides/api-directory and the lexicons com.atproto.server.createSession and
refreshSession. Sessions are rationed, renewals are not: tokens are kept, and a session is made anew only when the one
before is not taken any more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import jwt
from pydantic import SecretStr

from connectors import auth, reading
from connectors.answers import Answer, CredentialError, hidden, place
from connectors.tokens import Token
from pipeline.contract.errors import EarshotError, SourceRefusedError, SourceUnavailableError

SERVER: Final = "/xrpc/com.atproto.server"
NOT_TAKEN: Final = ("ExpiredToken", "InvalidToken", "AuthMissing", "AuthenticationRequired")
"""What a server calls a token that it does not take, under 400 or 401."""

_ADVICE: Final = {
    "AuthFactorTokenRequired": "the account wants a second factor, which an app password does not: make one, see README",
    "AccountTakedown": "the account was taken down by its server",
    "InvalidRequest": "look at `handle` and `server` in the settings",
}


class AppPassword(auth.Renewed):
    """The handle and an app password of an account, at its server."""

    is_kept: ClassVar[bool] = True

    def __init__(self, server: str, handle: str, password: SecretStr) -> None:
        super().__init__(server, handle, password)
        self._server, self._handle, self._password = server, handle, password

    @property
    def secrets(self) -> list[str]:
        return [self._password.get_secret_value()]

    async def obtain(self, post: auth.Post, known: Token | None, now: datetime) -> Token:
        if known is not None and known.refresh:
            bearer = {"Authorization": f"Bearer {known.refresh}"}
            answer = await post(f"{self._server}{SERVER}.refreshSession", headers=bearer)
            found = _token(answer, now)
            if found is not None:
                return found
        given = {"identifier": self._handle, "password": self._password.get_secret_value()}
        answer = await post(f"{self._server}{SERVER}.createSession", json=given)
        found = _token(answer, now)
        if found is None:
            raise _refusal(answer, self.secrets)
        return found


def judge(answer: Answer) -> EarshotError | None:
    """Return the error that an answer is where it says that the token is not taken; its status may be 400."""
    if answer.status not in (400, 401) or name_in(answer) not in NOT_TAKEN:
        return None
    return CredentialError(
        f"{place(answer.url)} does not take the session ({name_in(answer)}) — look at handle and app password in the settings"
    )


def name_in(answer: Answer) -> str:
    """Return what an error is called; empty where the answer names none."""
    try:
        found = reading.mapping(reading.json_value(answer.body)).get("error")
    except ValueError:
        return ""
    return found[:60] if isinstance(found, str) and found.isascii() and found.isalnum() else ""


def _token(answer: Answer, now: datetime) -> Token | None:
    try:
        found = reading.mapping(reading.json_value(answer.body))
    except ValueError:
        return None
    access, refresh = found.get("accessJwt"), found.get("refreshJwt")
    if answer.status >= 300 or not isinstance(access, str) or not access:
        return None
    return Token(access, now, _end_of(access, now), refresh if isinstance(refresh, str) and refresh else None)


def _end_of(access: str, now: datetime) -> datetime | None:
    """Return when a token ends, as it says itself; None where it does not, then it is good until it is refused.

    So is a new one that has ended already by our clock: the clock is wrong.
    """
    try:
        claims: dict[str, Any] = jwt.decode(access, options={"verify_signature": False})
        end = datetime.fromtimestamp(float(claims["exp"]), UTC)
        return end if end > now else None
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _refusal(answer: Answer, hide: list[str]) -> EarshotError:
    name, where = hidden(name_in(answer), hide), place(answer.url)
    if not name and answer.status not in (400, 401, 403, 404):
        return SourceUnavailableError(f"{where} gives no session ({answer.status})")
    advice = _ADVICE.get(
        name, "handle or app password are wrong, or the password was revoked: make a new one, see README"
    )
    return SourceRefusedError(f"{where} gives no session ({name or answer.status}) — {advice}")
