"""Bodies and connections, safe with anything: decompression within bounds, failures in words, addresses inside."""

from __future__ import annotations

import ipaddress
import zlib


class Inflate:
    """Decompression that never makes more bytes than it is allowed. A gzip body may have several members (RFC 1952)."""

    def __init__(self) -> None:
        self._one = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False
        self._held = b""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end."""
        return self._one.eof or not self._begun

    def some(self, raw: bytes, most: int) -> bytes:
        """Return what is in these bytes, at most `most` bytes of it. Raises zlib.error."""
        parts: list[bytes] = []
        raw, self._held = self._held + raw, b""
        while raw and most > 0:
            if self._one.eof:
                if raw == b"\x1f":  # half of the sign that another member begins
                    self._held = raw
                    break
                if not raw.startswith(b"\x1f\x8b"):  # what follows is padding, not another member
                    break
                self._one = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._begun = True
            parts.append(self._one.decompress(raw, most))
            most -= len(parts[-1])
            raw = self._one.unused_data
        return b"".join(parts)


def words(error: Exception) -> str:
    """Say what happened to a connection without repeating an address."""
    text = str(error).lower()
    for sign, words in (
        ("name or service not known", "its name is not known (DNS)"),
        ("nodename nor servname", "its name is not known (DNS)"),
        ("temporary failure in name resolution", "names cannot be looked up (DNS); is this machine online?"),
        ("no address associated", "its name is not known (DNS)"),
        ("certificate", "its certificate is not trusted"),
        ("connection refused", "the connection is refused"),
        ("all connection attempts failed", "no connection can be made; is this machine online?"),
    ):
        if sign in text:
            return words
    return f"the connection breaks ({type(error).__name__})"


def is_inside(host: str) -> bool:
    """Whether a host is written as an address of this machine or a private network."""
    if host in ("localhost", ""):
        return True
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return host.endswith((".local", ".internal", ".localhost"))
