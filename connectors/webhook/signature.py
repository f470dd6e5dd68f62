"""Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.

The signature is over the bytes as they came: `id.timestamp.body`, HMAC-SHA256, compared in constant time. The library
`standardwebhooks` is what senders may use, and the tests hold us to it; here it is not: it decodes the body first
(UnicodeDecodeError), raises ValueError on a signature without a comma or in no base64, signs a timestamp other than
the one that was sent (`1.9` as `1`), and has its own clock and window.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

PREFIX: Final = "whsec_"
MAX_ID: Final = 256  # characters of a delivery's id
MAX_SIGNATURES: Final = 16  # in one header: a sender that rotates sends two
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_ID}}}")


class SignatureError(Exception):
    """The request is not from who knows the secret, or is not of now. The message is for the sender."""


def keys_of(secret: str) -> tuple[bytes, ...]:
    """Return the keys a secret may mean. Raises ValueError when it is none.

    `whsec_` and base64 is the standard's form. Without the prefix some senders take it as base64, some as it is.
    """
    secret = secret.strip()
    if secret.startswith(PREFIX):
        key = _base64(secret.removeprefix(PREFIX))
        if key is None or len(key) < 16:
            raise ValueError("after whsec_ there must be base64 of 16 bytes or more")
        return (key,)
    if len(secret) < 16:
        raise ValueError("a secret must have 16 characters or more")
    decoded = _base64(secret)
    return (secret.encode(), decoded) if decoded is not None and len(decoded) >= 16 else (secret.encode(),)


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def sign(key: bytes, delivery: str, timestamp: str, body: bytes) -> bytes:
    """Return the signature's bytes."""
    return hmac.digest(key, f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256)


def delivery_of(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], *, now: float, tolerance: float) -> str:
    """Return the id of a delivery that is signed with one of the keys. `now` and `tolerance` are in seconds.

    `headers` are found whatever the case of their names. Raises SignatureError.
    """
    delivery = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not (delivery and timestamp and signatures):
        raise SignatureError("the headers webhook-id, webhook-timestamp and webhook-signature are needed")
    if not _ID.fullmatch(delivery):
        raise SignatureError(f"webhook-id must be 1 to {MAX_ID} printable ASCII characters without spaces")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureError("webhook-timestamp must be whole seconds since 1970")
    given = [
        found
        for part in signatures.split(" ")[:MAX_SIGNATURES]
        if part.startswith("v1,") and (found := _base64(part[3:])) is not None
    ]
    wanted = [sign(key, delivery, timestamp, body) for key in keys]
    # No short cut: the time says nothing about which one was nearly right.
    if not sum([hmac.compare_digest(one, other) for one in wanted for other in given]):
        raise SignatureError("the signature does not match: compare the secrets, and sign the bytes that are sent")
    if abs(now - int(timestamp)) > tolerance:
        raise SignatureError("webhook-timestamp is too far from now: sign anew with each try, and check the clocks")
    return delivery
