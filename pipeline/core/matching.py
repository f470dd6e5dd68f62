"""One walk over a mention for all the company's queries: brands, campaigns, and those routes that need no more.

Routes may also ask for what triage finds out (sentiment, intent, language, …). They are matched afterwards, but only
where their other words, which are looked for in the first walk, are there: for most mentions nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from pipeline.config.model import Config
from pipeline.contract.events import Mention
from pipeline.core.query.fields import FIELDS
from pipeline.core.query.matcher import Matcher
from pipeline.core.query.parse import parse
from pipeline.core.query.tree import All, Any, Leaf, Node, Not, Query, leaves

Matched = Mapping[str, tuple[str, ...]]

CAMPAIGN: Final = "campaign:"
_ROUTE: Final = "route:"
_MAYBE: Final = "maybe:"
_NONE: Final[Matched] = {}


def _is_prefixed(name: str) -> bool:
    return ":" in name


class Early(Struct, frozen=True, gc=False):
    """What the first walk found: `brands` with their terms, and all of it under prefixed names.

    `has_more` says whether there is more than brands.
    """

    all: Matched
    brands: Matched
    has_more: bool = False


_EARLY_OF_NONE: Final = Early(_NONE, _NONE)


class Queries:
    """All queries of a configuration. Raises QueryError when one is wrong."""

    def __init__(self, config: Config) -> None:
        early: dict[str, str | Query] = {name: brand.query for name, brand in config.brands.items()}
        early |= {CAMPAIGN + name: campaign.query for name, campaign in config.campaigns.items()}
        self.asks_language = any(
            _asks(parse(query), {"language"}) for query in early.values() if isinstance(query, str)
        )
        self._has_more = bool(config.campaigns or config.routes)
        late: dict[str, str | Query] = {}
        only_judged: dict[str, str | Query] = {}
        for route in config.routes:
            query = parse(route.when)
            if not _asks(query, _JUDGED):
                early[_ROUTE + route.name] = query
            elif (first := without_judged(query.root)) is not None:
                early[_MAYBE + route.name] = Query(query.text, first)
                late[route.name] = query
            elif _reads_mention(query):
                late[route.name] = query
            else:
                only_judged[route.name] = query
        self._is_always_late = any(_MAYBE + name not in early for name in late)
        self._early = Matcher(early) if early else None
        self._late = Matcher(late) if late else None
        self._only_judged = Matcher(only_judged) if only_judged else None

    def early(self, mention: Mention, facts: Mapping[str, object] = _NONE) -> Early:
        """Return the brands a mention is about, and what else the first walk found."""
        if self._early is None:
            return _EARLY_OF_NONE
        found = self._early.match(mention, facts=facts)
        if not found:
            return _EARLY_OF_NONE
        if self._has_more and any(map(_is_prefixed, found)):
            return Early(found, {name: terms for name, terms in found.items() if not _is_prefixed(name)}, has_more=True)
        return Early(found, found)

    def needs_facts(self, early: Early) -> bool:
        """Whether a route may still match that asks for what triage finds out."""
        return self._only_judged is not None or self._is_late(early)

    def _is_late(self, early: Early) -> bool:
        if self._is_always_late or self._late is None or not early.has_more:
            return self._is_always_late
        return any(name.startswith(_MAYBE) for name in early.all)

    def routes(self, mention: Mention, early: Early, facts: Mapping[str, object] | None) -> Matched:
        """Return the routes that match, with their terms. `facts` is None where `needs_facts` said no."""
        found: dict[str, tuple[str, ...]] = {}
        if early.has_more:
            found = {name.removeprefix(_ROUTE): terms for name, terms in early.all.items() if name.startswith(_ROUTE)}
        if facts is None:
            return found
        if self._late is not None and self._is_late(early):
            found |= self._late.match(mention, facts=facts)
        if self._only_judged is not None:
            found |= self._only_judged.match(mention, (), facts)  # no word is asked for, so none is looked at
        return found


_JUDGED: Final = frozenset(name for name, field in FIELDS.items() if field.judged) | {"language"}


def _asks(query: Query, names: frozenset[str] | set[str]) -> bool:
    return any(getattr(leaf, "field", None) in names for leaf, _ in leaves(query.root))


def _reads_mention(query: Query) -> bool:
    return any(getattr(leaf, "field", None) not in _JUDGED for leaf, _ in leaves(query.root))


def without_judged(node: Node) -> Node | None:
    """Return what must hold of the mention alone for the query to hold; None where nothing must."""
    if isinstance(node, All):
        parts = tuple(part for part in map(without_judged, node.parts) if part is not None)
        return All(parts) if any(not isinstance(part, Not) for part in parts) else None
    if isinstance(node, Any):
        either = [without_judged(part) for part in node.parts]
        kept = tuple(part for part in either if part is not None)
        return Any(kept) if len(kept) == len(either) else None
    if isinstance(node, Not):
        asks = any(getattr(leaf, "field", None) in _JUDGED for leaf, _ in leaves(node.part))
        return None if asks else node
    return None if _is_judged(node) else node


def _is_judged(leaf: Leaf) -> bool:
    return getattr(leaf, "field", None) in _JUDGED
