"""Frames of Jetstream 2 that are compressed by a dictionary, which the server itself gives (getZstdDictionary).

https://github.com/bluesky-social/jetstream, lexicon network.bsky.jetstream.getZstdDictionary. The dictionary is fetched
when it is needed and kept in memory only. A server that has none is heard uncompressed.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from connectors.http import Http
from pipeline.contract.errors import ConfigError, SourceRefusedError

METHOD: Final = "/xrpc/network.bsky.jetstream.getZstdDictionary"
MAX_DICTIONARY: Final = 2_000_000  # bytes: Bluesky's has some 64 kB
INSTALL: Final = "`compress` needs zstandard: pip install 'earshot[zstd]'"


class Inflating:
    """Frames that were compressed by one dictionary, each for itself."""

    def __init__(self, zstandard: Any, dictionary: bytes) -> None:
        """Raises ValueError where the bytes are no dictionary with a number."""
        self._zstandard = zstandard
        try:
            found = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_FULLDICT)
            self._one = zstandard.ZstdDecompressor(dict_data=found)
        except (zstandard.ZstdError, ValueError, MemoryError) as error:
            raise ValueError("no dictionary") from error
        self.number = int(found.dict_id())
        if not self.number:
            raise ValueError("a dictionary without a number")

    def frame(self, packed: bytes, most: int) -> bytes:
        """Return what is in a frame, `most` bytes at the most. Raises ValueError where it is larger, or broken."""
        try:
            size = self._zstandard.frame_content_size(packed)  # -1: it does not say
            if size > most:
                raise ValueError("larger than any frame")
            return bytes(self._one.decompress(packed, max_output_size=most))
        except self._zstandard.ZstdError as error:
            raise ValueError("broken compression") from error


def check_installed() -> Any:
    """Return the module that decompresses. Raises ConfigError that says what to install."""
    try:
        import zstandard
    except ImportError:
        raise ConfigError(INSTALL) from None
    return zstandard


async def of_server(http: Http, endpoint: str) -> Inflating | None:
    """Return the server's dictionary at work; None where the server has none. Raises what is retriable."""
    zstandard = check_installed()
    scheme = "https" if endpoint.startswith("wss") else "http"
    try:
        answer = await http.get_bytes(f"{scheme}://{urlsplit(endpoint).netloc}{METHOD}", anonymous=True)
        return Inflating(zstandard, answer.body) if len(answer.body) <= MAX_DICTIONARY else None
    except (SourceRefusedError, ValueError):
        return None
