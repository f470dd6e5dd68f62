"""Small questions about a mention before it is judged: whose account, which campaign runs, what is its text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from pipeline.config.model import Campaign, Config
from pipeline.contract.events import Author, Mention


def whole_text(mention: Mention) -> str:
    """Return title and text as one, the title first as a sentence of its own."""
    text, title = mention.text.strip(), (mention.title or "").strip()
    if not title or text.startswith(title):
        return text
    if not text:
        return title
    return f"{title} {text}" if title[-1] in ".!?…:" else f"{title}. {text}"


def own_accounts(config: Config) -> dict[str, frozenset[str]]:
    """Return brand -> its own handles, ids and profile addresses, in the form of `names_of`."""
    return {
        name: frozenset(map(_plain, brand.own_accounts)) for name, brand in config.brands.items() if brand.own_accounts
    }


def names_of(author: Author | None) -> frozenset[str]:
    """Return the ways an author may be named in `own_accounts`; empty where nothing is known."""
    return frozenset() if author is None else _names(author.handle, author.id, author.url)


@lru_cache(maxsize=20_000)  # authors come again
def _names(*names: str | None) -> frozenset[str]:
    return frozenset(_plain(name) for name in names if name)


def without_own(
    brands: Mapping[str, tuple[str, ...]], author: Author | None, own: Mapping[str, frozenset[str]]
) -> Mapping[str, tuple[str, ...]]:
    """Return the brands whose own account this author is not: a competitor's account still counts."""
    if not own or author is None:
        return brands
    names = names_of(author)
    for brand in brands:
        if brand in own and not names.isdisjoint(own[brand]):
            return _of_others(brands, names, own)
    return brands


def _of_others(
    brands: Mapping[str, tuple[str, ...]], names: frozenset[str], own: Mapping[str, frozenset[str]]
) -> Mapping[str, tuple[str, ...]]:
    return {brand: terms for brand, terms in brands.items() if names.isdisjoint(own.get(brand, ()))}


def _plain(name: str) -> str:
    """Return a handle, id or address as it is compared: no case, no scheme, no @ in front, no slash at the end."""
    plain = name.strip().lower().removeprefix("https://").removeprefix("http://").removeprefix("www.")
    return plain.removeprefix("@").rstrip("/")


class Running:
    """A campaign: of which brand, and from when until when its mentions count."""

    def __init__(self, name: str, campaign: Campaign) -> None:
        self.name = name
        self.brand = campaign.brand
        self.starts = _instant(campaign.starts)
        self.ends = _instant(campaign.ends)

    def takes(self, brands: Mapping[str, tuple[str, ...]], at: datetime) -> bool:
        """Whether a mention of these brands at that time may belong to it."""
        if self.brand is not None and self.brand not in brands:
            return False
        return (self.starts is None or self.starts <= at) and (self.ends is None or at <= self.ends)


def _instant(written: str | None) -> datetime | None:
    if written is None:
        return None
    at = datetime.fromisoformat(written)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
