"""Does a bare text fit a query? For the examples people write beside their rules."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.contract.events import Mention
from pipeline.core.query.matcher import Matcher
from pipeline.core.query.tree import All, Any, Everything, Near, Node, Not, Pattern, Query, Words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fits(query: Query, text: str) -> bool:
    """Whether a text fits what the query says about words; what it asks of other fields is taken as given.

    `refund rating.value:<3` fits "refund please": that it also needs few stars cannot be seen in a text.
    """
    root = _words_only(query.root) or Everything()
    if isinstance(root, Not):
        root = All((Everything(), root))
    elif isinstance(root, All) and all(isinstance(part, Not) for part in root.parts):
        root = All((Everything(), *root.parts))
    return matches(Query(query.text, root), text)


def matches(query: Query, text: str) -> bool:
    """Whether a mention of which nothing is known but its text matches the query."""
    mention = Mention(
        id="example:1", source="example", native_id="1", created_at=_EPOCH, collected_at=_EPOCH, text=text
    )
    return bool(Matcher({"example": query}).match(mention))


def _words_only(node: Node) -> Node | None:
    """Return the part of a query that is about words of the text; None where nothing is."""
    if isinstance(node, All | Any):
        parts = [part for part in map(_words_only, node.parts) if part is not None]
        if not parts or (isinstance(node, Any) and len(parts) < len(node.parts)):
            return None  # one of the alternatives is no word: it may be the one that holds
        return type(node)(tuple(parts))
    if isinstance(node, Not):
        part = _words_only(node.part)
        return None if part is None else Not(part)
    about_text = isinstance(node, Words | Near | Pattern) and node.field in (None, "text")
    return node if about_text or isinstance(node, Everything) else None
