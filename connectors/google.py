"""What sources at Google's share: an account's consent, and the proof that Pub/Sub is who calls.

Proof: https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions. The token is read here and not by a
JWT library: one algorithm is accepted, and nothing in the token decides how it is checked.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import SecretStr

from connectors import auth, newest
from connectors.base import Settings
from connectors.newest import Ask, Descent, Row, Walked
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError

TOKENS: Final = "https://oauth2.googleapis.com/token"
KEYS: Final = "https://www.googleapis.com/oauth2/v3/certs"
ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")
LEEWAY: Final = 60  # seconds by which clocks may differ
MAX_TOKEN: Final = 8_000  # characters


class NotProvenError(Exception):
    """A request that does not prove to come from Pub/Sub. The message is for the sender, and quotes nothing."""


class Consent(Settings):
    """An account's consent that its business profiles may be read."""

    client_id: str
    """Client id of the OAuth client in the Google Cloud project."""
    client_secret: SecretStr
    """Client secret of the same."""
    refresh_token: SecretStr
    """Refresh token of the account that owns or manages the locations (scope business.manage)."""
    token_url: str = TOKENS
    """Where tokens are renewed; another one in tests."""

    def auth(self) -> auth.Auth:
        """Return how requests prove the consent."""
        return auth.RefreshToken(self.token_url, self.refresh_token, self.client_id, self.client_secret, rotates=False)


def rows_of(body: Any, instance: str) -> list[Row]:
    """Return the reviews of an answer, which has no such field when there are none."""
    rows = body.get("reviews", []) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise SourceUnavailableError(f"{instance}: the answer is no list of reviews")
    return [row for row in rows if isinstance(row, dict)]


async def descend(parts: Sequence[str], cursor: str | None, ask: Ask, **given: Any) -> Walked:
    """Return what a walk through the newest gives; one whose page is no longer known to Google begins anew."""
    try:
        return await newest.descend(parts, cursor, ask, **given)
    except SourceRefusedError:
        kept = {part: Descent(known=one.known) for part, one in newest.read(cursor).items()}
        begun = newest.written(kept)
        if begun == cursor:
            raise
        return await newest.descend(parts, begun, ask, **given)


def key_of(token: str) -> str:
    """Return the id of the key that a token says it is signed with. Raises NotProvenError where it says none."""
    return str(_part(token, 0).get("kid") or "")


def verify(token: str, keys: Mapping[str, Any], *, audience: str, email: str, now: float) -> None:
    """Raise NotProvenError unless the token is Google's, for this audience, of this service account, and of now.

    `keys` are Google's, as a set of JSON Web Keys; `now` is in epoch seconds.
    """
    header, claims = _part(token, 0), _part(token, 1)
    if header.get("alg") != "RS256":
        raise NotProvenError("the token is not signed with RS256")
    found = [key for key in keys.get("keys", ()) if key.get("kid") == header.get("kid") and key.get("kty") == "RSA"]
    signed, _, signature = token.rpartition(".")
    if not found or not _is_signed(signed.encode(), _bytes(signature), found[0]):
        raise NotProvenError("the token is not signed by Google")
    if claims.get("iss") not in ISSUERS:
        raise NotProvenError("the token is not issued by Google")
    if claims.get("aud") != audience:
        raise NotProvenError("the token is for another audience: compare `audience` with the push subscription's")
    if claims.get("email") != email or claims.get("email_verified") is not True:
        raise NotProvenError("the token is of another account: compare `service_account` with the push subscription's")
    begins, ends = (_time(claims.get(name)) for name in ("iat", "exp"))
    if begins is None or ends is None or not begins - LEEWAY <= now <= ends + LEEWAY:
        raise NotProvenError("the token is not of now: compare the clocks")


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_signed(signed: bytes, signature: bytes, key: Mapping[str, Any]) -> bool:
    try:
        numbers = RSAPublicNumbers(*(int.from_bytes(_bytes(str(key[name]))) for name in ("e", "n")))
        numbers.public_key().verify(signature, signed, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _part(token: str, number: int) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN:
        raise NotProvenError("an OpenID Connect token of Pub/Sub is needed as Bearer")
    try:
        found = json.loads(_bytes(parts[number]))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotProvenError("the token cannot be read")
    return found


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise NotProvenError("the token cannot be read") from None
