"""Thousands of wordings found in one walk over a text's words.

A wording is a word, words in a row, or a word with `*` at its end (any ending); `^` in front: only where the text
begins. All wordings of all rules are one trie of words, so the cost of a text hardly depends on how many there are:
one dictionary look-up a word, made by C code, and a few more where a wording begins and may go on.

The longest wording wins: one that lies within a longer one says nothing ("would love" silences "love").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, count
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[❤♥♡☺\U0001F300-\U0001FAFF]")
_SPLIT: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*\*?|[❤♥♡☺\U0001F300-\U0001FAFF]")
_LETTERS: Final = bytes(ord(chr(code).lower()) if chr(code).isalnum() or code == 39 else 32 for code in range(256))
_EDGE: Final = re.compile(rb"(?<![a-z0-9])'|'(?![a-z0-9])")  # an apostrophe that is not within a word
_REMEMBERED: Final = 50_000  # words whose start nodes are kept; then the memory begins anew
_PREFIX_LEAST: Final = 3
_MOST_LETTERS: Final = 20_000
_MOST_WORDS: Final = 2000  # of a text: rules judge what a person reads, not a novel; keeps cost bounded

BEGINNING: Final = "^"


def words(text: str) -> list[str]:
    """Return the words of a text, lower-case, with plain apostrophes, and the emoji among them; at most 2000."""
    if len(text) > _MOST_LETTERS:
        text = text[:_MOST_LETTERS]
    if not text.isascii() and "’" in text:
        text = text.replace("’", "'")
    if text.isascii():  # a table of bytes takes a quarter of the expression's time
        plain = text.encode().translate(_LETTERS)
        found = (_EDGE.sub(b" ", plain) if b"'" in plain else plain).decode().split()
    else:
        found = _WORD.findall(text.lower())
    return found if len(found) <= _MOST_WORDS else found[:_MOST_WORDS]


Hit = tuple[int, int, tuple[int, ...]]
"""A wording found: its first word's place, the place behind its last, and what it stands for. First place -1: bound to
the beginning. A plain tuple: a named one takes five times as long to make."""


class _Node:
    __slots__ = ("next", "prefixes", "says")

    def __init__(self) -> None:
        self.next: dict[str, _Node] = {}
        self.prefixes: list[tuple[str, _Node]] = []
        self.says: tuple[int, ...] = ()


class Wordings:
    """An index of wordings; each stands for one or more numbers that its user gives meaning to."""

    def __init__(self, wordings: Mapping[int, Iterable[str]]) -> None:
        self._root = _Node()
        for number, texts in wordings.items():
            for text in texts:
                self._add(text, number)
                if "'" in text:  # people leave it out
                    self._add(text.replace("'", ""), number)
        self._starts = _Starts(self._root)
        self._opening = self._root.next.get(BEGINNING)

    def _add(self, text: str, number: int) -> None:
        parts = _SPLIT.findall(text.lower())
        if not parts:
            raise ValueError(f"the wording {text!r} has no word in it")
        if len(parts) == 1 and len(parts[0]) == 1 and parts[0].isalnum():
            raise ValueError(f"the wording {text!r} is a single letter")
        if text.startswith(BEGINNING):
            parts.insert(0, BEGINNING)
        node = self._root
        for part in parts:
            if part.endswith("*"):
                if len(part) <= _PREFIX_LEAST:
                    raise ValueError(f"the wording {text!r}: write at least {_PREFIX_LEAST} letters before *")
                node = self._prefix(node, part[:-1])
            else:
                node = node.next.setdefault(part, _Node())
        if number not in node.says:
            node.says = (*node.says, number)

    @staticmethod
    def _prefix(node: _Node, prefix: str) -> _Node:
        for known, child in node.prefixes:
            if known == prefix:
                return child
        child = _Node()
        node.prefixes.append((prefix, child))
        return child

    def find(self, found: Sequence[str]) -> list[Hit]:
        """Return the wordings in these words (see `words`), in order, without those within a longer one."""
        hits: list[Hit] = []
        if found and self._opening is not None:
            for node in _children(self._opening, found[0]):
                _walk(node, found, -1, 1, hits)
        starts = list(map(self._starts.__getitem__, found))
        last = len(found) - 1
        for at in compress(count(), starts):  # most words begin nothing
            start = starts[at]
            assert start is not None
            nodes, says, goes_on, prefixes = start
            if at < last and ((word := found[at + 1]) in goes_on or (prefixes and word.startswith(prefixes))):
                for node in nodes:
                    _walk(node, found, at, at + 1, hits)
            elif says:
                hits += [(at, at + 1, one) for one in says]
        return _longest(hits) if len(hits) > 1 else hits


_Start = tuple[tuple[_Node, ...], tuple[tuple[int, ...], ...], frozenset[str], tuple[str, ...]]
"""What a word begins: the nodes, what it says by itself, and the words and beginnings of words it may go on with. Four
starts in five do not go on, and that is seen here without a walk."""


class _Starts(dict[str, _Start | None]):
    """What each word begins, found once a word; None where it begins nothing. C code does the look-up."""

    def __init__(self, root: _Node) -> None:
        super().__init__()
        self._root = root
        self._prefixes: dict[str, list[tuple[str, _Node]]] = {}  # by their first letters: rare words are new every time
        for prefix, node in root.prefixes:
            self._prefixes.setdefault(prefix[:_PREFIX_LEAST], []).append((prefix, node))

    def __missing__(self, word: str) -> _Start | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        exact = self._root.next.get(word)
        nodes: tuple[_Node, ...] = () if exact is None else (exact,)
        alike = self._prefixes.get(word[:_PREFIX_LEAST])
        if alike is not None:
            nodes += tuple(node for prefix, node in alike if word.startswith(prefix))
        self[word] = start = _start(nodes) if nodes else None
        return start


def _start(nodes: tuple[_Node, ...]) -> _Start:
    says = tuple(node.says for node in nodes if node.says)
    goes_on = frozenset(word for node in nodes for word in node.next)
    return nodes, says, goes_on, tuple(prefix for node in nodes for prefix, _ in node.prefixes)


def _children(node: _Node, word: str) -> list[_Node]:
    exact = node.next.get(word)
    found = [] if exact is None else [exact]
    if node.prefixes:
        found += [child for prefix, child in node.prefixes if word.startswith(prefix)]
    return found


def _walk(node: _Node, found: Sequence[str], start: int, end: int, hits: list[Hit]) -> None:
    while True:
        if node.says:
            hits.append((start, end, node.says))
        if end >= len(found):
            return
        word = found[end]
        if node.prefixes:
            for child in _children(node, word):
                _walk(child, found, start, end + 1, hits)
            return
        following = node.next.get(word)
        if following is None:
            return
        node, end = following, end + 1


def _longest(hits: list[Hit]) -> list[Hit]:
    """Drop hits that lie within a longer one; two of the same place both stay."""
    hits.sort(key=_place)
    kept: list[Hit] = []
    reach, width = 0, 0  # end of the kept hit that reaches furthest, and its length
    for hit in hits:
        start, end, _ = hit
        if end <= reach and end - start < width:
            continue
        kept.append(hit)
        if end > reach:
            reach, width = end, end - start
    return kept


def _place(hit: Hit) -> tuple[int, int]:
    return hit[0], -hit[1]
