"""What is between us and a hub: an address nobody guesses and a secret, for each subscription its own.

Both are made of the configured secret, so nothing secret is kept, and all of it is the same after a restart. Signatures:
https://www.w3.org/TR/websub/#authenticated-content-distribution.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

METHODS: Final = ("sha1", "sha256", "sha384", "sha512")
"""What hubs may sign with: the registered names. HMAC with SHA-1, which most still use, is not broken."""


def name_of(secret: str, feed: str, hub: str, topic: str) -> str:
    """Return the last part of a subscription's address: 192 bits."""
    return _made(secret, "callback", feed, hub, topic)[:32]


def secret_of(secret: str, feed: str, hub: str, topic: str) -> str:
    """Return what a hub is to sign with: 256 bits, 43 of the 199 bytes that it may have."""
    return _made(secret, "secret", feed, hub, topic)


def _made(secret: str, what: str, *about: str) -> str:
    data = "\x00".join(("earshot websub", what, *about)).encode("utf-8", "replace")
    digest = hmac.digest(secret.encode("utf-8", "replace"), data, hashlib.sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def is_signed(header: str, body: bytes, secret: str) -> bool:
    """Return whether `X-Hub-Signature` is of these bytes. Takes the same time however much of it is right."""
    method, _, given = header.strip().partition("=")
    method = method.lower()
    if method not in METHODS:
        return False
    wanted = hmac.digest(secret.encode(), body, method).hex()
    return hmac.compare_digest(wanted.encode(), given.strip().lower().encode("utf-8", "replace"))
