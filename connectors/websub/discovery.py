"""Where a feed is pushed from: its hubs, and the topic it goes by there. Pure.

Rules: https://www.w3.org/TR/websub/#discovery. HTTP `Link` headers count before what stands in the feed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from connectors.bodies import is_inside

MAX_HUBS: Final = 3  # of one feed
MAX_ADDRESS: Final = 2_000  # characters
_LINK: Final = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s;,="]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)')
_REL: Final = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Announced:
    """What a feed names. Without a topic or without a hub it cannot be subscribed to."""

    hubs: tuple[str, ...] = ()
    topic: str | None = None


def announced(headers: Mapping[str, str], head: Any, base: str) -> Announced:
    """Return what an answer names. `head` is what feedparser says of the feed, `base` the address that answered."""
    told = [*_header_links(headers.get("link", ""))]
    within = [*_feed_links(head)]
    hubs = _addresses(told, "hub", base) or _addresses(within, "hub", base)
    topics = _addresses(told, "self", base) or _addresses(within, "self", base)
    return Announced(tuple(hub for hub in hubs if is_allowed(hub, base))[:MAX_HUBS], topics[0] if topics else None)


def is_allowed(hub: str, feed: str) -> bool:
    """Whether a feed may name this hub: one out there does not send us into our own network."""
    return not is_inside(urlsplit(hub).hostname or "") or is_inside(urlsplit(feed).hostname or "")


def _header_links(header: str) -> Iterator[tuple[str, str]]:
    for found in _LINK.finditer(header):
        rel = _REL.search(found[2])
        if rel is not None:
            for name in (rel[1] or rel[2] or "").lower().split():
                yield name, found[1]


def _feed_links(head: Any) -> Iterator[tuple[str, str]]:
    for link in head.get("links", ()):
        for name in str(link.get("rel", "")).lower().split():
            yield name, str(link.get("href", ""))


def _addresses(links: list[tuple[str, str]], rel: str, base: str) -> list[str]:
    """Return the addresses of this kind, each once, without those nobody can ask."""
    found: dict[str, None] = {}
    for name, target in links:
        if name != rel or len(target) > MAX_ADDRESS:
            continue
        try:
            whole = urljoin(base, target.strip())
            parts = urlsplit(whole)
        except ValueError:
            continue
        if parts.scheme in ("http", "https") and parts.hostname and not re.search(r"[\s\x00-\x1f\x7f]", whole):
            found[whole] = None
    return list(found)
