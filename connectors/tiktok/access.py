"""How TikTok lets us in, and what its errors mean: every answer holds an `error`, also one without any. Pure.

https://developers.tiktok.com/doc/client-access-token-management, https://developers.tiktok.com/doc/tiktok-api-v2-error-handling
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import SecretStr

from connectors.answers import Answer
from connectors.auth import Post, Renewed
from connectors.reading import json_value
from connectors.tokens import Token, token_in
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError

SPENT: Final = ("daily_quota_limit_exceeded", "daily_quota_exceeded")
PASSING: Final = ("internal_error", "timeout", "service_unavailable", "query_timeout")


class StaleSearchError(SourceRefusedError):
    """The results that a page belongs to are not known any more: the question begins anew."""


class ClientKey(Renewed):
    """A client key and secret, exchanged for a token of two hours. TikTok calls the id `client_key`."""

    def __init__(self, token_url: str, client_key: str, client_secret: SecretStr) -> None:
        super().__init__(token_url, client_key, client_secret)
        self._url, self._key, self._secret = token_url, client_key, client_secret

    @property
    def secrets(self) -> list[str]:
        return [self._secret.get_secret_value()]

    async def obtain(self, post: Post, known: Token | None, now: datetime) -> Token:  # noqa: ARG002 - as all are called
        form = {
            "client_key": self._key,
            "client_secret": self._secret.get_secret_value(),
            "grant_type": "client_credentials",
        }
        return token_in(await post(self._url, data=form, headers={"Accept": "application/json"}), now, self.secrets)


def meaning(answer: Answer, now: datetime) -> EarshotError | None:
    """Return what the error in an answer means; None where there is none, or its status says as much."""
    try:
        error: Any = json_value(answer.body[:20_000] if answer.status >= 400 else answer.body)["error"]
        code, said = str(error.get("code")), str(error.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if code in ("ok", "None"):
        return None
    if code in SPENT:
        return RateLimitedError("the project's requests of this day are used up", until_midnight(now))
    if code == "rate_limit_exceeded":
        return RateLimitedError("TikTok asks for fewer requests", 60.0)
    if code in PASSING:
        return SourceUnavailableError(f"TikTok answers with an error of its own ({code})")
    if code.startswith("invalid_param") and "search" in said.lower():
        return StaleSearchError("TikTok does not know the search any more")
    if code in ("scope_not_authorized", "scope_permission_missed"):
        return SourceRefusedError(
            "the project lacks research.data.basic — look at its approval in TikTok for Developers"
        )
    if answer.status < 400:
        return SourceRefusedError(f"TikTok refuses the question ({_plain(code)}) — look at this source's settings")
    return None


def _plain(code: str) -> str:
    return "".join(letter for letter in code if letter.isalnum() or letter == "_")[:60]


def until_midnight(now: datetime) -> float:
    """Return the seconds until a new day of UTC begins."""
    there = now.astimezone(UTC)
    midnight = (there + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - there).total_seconds()
