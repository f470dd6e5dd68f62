"""Tokens at rest: sealed under a key that comes from the configured secrets, so that the topic alone opens nothing.

AES-256-GCM, the key by HKDF-SHA256. Who puts another secret into the settings cannot open the old seal, and so begins
with the new secret.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12  # bytes: https://csrc.nist.gov/pubs/sp/800/38/d/final, 8.2


def seal(text: str, secret: str, about: str) -> str:
    """Return the text sealed. `about` says whose it is: nobody else's seal can be put in its place."""
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_key(secret, about)).encrypt(nonce, text.encode(), about.encode())
    return b64encode(nonce + sealed).decode()


def unseal(sealed: str, secret: str, about: str) -> str | None:
    """Return what was sealed; None where it was sealed with another secret or is broken."""
    try:
        raw = b64decode(sealed, validate=True)
        return AESGCM(_key(secret, about)).decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def _key(secret: str, about: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=about.encode(), info=b"earshot tokens at rest").derive(
        secret.encode("utf-8", "replace")
    )
