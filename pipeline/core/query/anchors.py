"""Which leaves a query is looked up by: a small set of which at least one must be there for the query to hold."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.query.tree import (
    All,
    Any,
    Between,
    Everything,
    Leaf,
    Like,
    Near,
    Node,
    Not,
    Pattern,
    Present,
    Same,
    Words,
)


def anchors(root: Node, usage: Mapping[Leaf, int]) -> frozenset[Leaf] | None:
    """Return the cheapest anchors of a query; None where there are none and it must always be evaluated.

    `usage` counts the queries a leaf is in: what many share would bring all of them up at once.
    """
    found = _anchors(root, usage)
    return None if found is None else found[1]


def _anchors(node: Node, usage: Mapping[Leaf, int]) -> tuple[float, frozenset[Leaf]] | None:
    if isinstance(node, Not | Everything):
        return None
    if isinstance(node, All):
        choices = [found for part in node.parts if (found := _anchors(part, usage)) is not None]
        return min(choices, key=lambda choice: choice[0]) if choices else None
    if isinstance(node, Any):
        parts = [_anchors(part, usage) for part in node.parts]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return sum(part[0] for part in known), frozenset().union(*(part[1] for part in known))
    leaf, frequency = _leaf(node)
    return frequency * usage.get(leaf, 1), frozenset({leaf})


def _leaf(leaf: Leaf) -> tuple[Leaf, float]:
    """Return the leaf that is looked up for a leaf, and a guess of how often it is there."""
    if isinstance(leaf, Words) and leaf.field in (None, "title", "text"):
        return leaf, _frequency(leaf.words)
    if isinstance(leaf, Near) and leaf.field in (None, "title", "text"):
        part = min(leaf.parts, key=_frequency)
        return Words(part, leaf.field, " ".join(part)), _frequency(part)
    if isinstance(leaf, Same):
        return leaf, 0.3
    if isinstance(leaf, Pattern) and leaf.field is None:
        return leaf, 2.0  # has to be searched for in every text
    if isinstance(leaf, Present):
        return leaf, 0.5
    assert isinstance(leaf, Words | Near | Pattern | Like | Between)
    assert leaf.field is not None
    return Present(leaf.field, f"_exists_:{leaf.field}"), 0.6


def _frequency(words: tuple[str, ...]) -> float:
    """Return a guess: each letter halves it, names with signs and digits are rare, words of a phrase multiply."""
    share = 1.0
    for word in words:
        letters = len(word.replace("*", "").replace("?", ""))
        share *= 0.5 ** min(letters, 12) * (4 if "*" in word else 1) * (1 if word.isalpha() else 0.02)
    return max(share, 1e-12)
