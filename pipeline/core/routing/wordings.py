"""Thousands of wordings found in one walk over a text's words.

A wording is a word, words in a row, or a word with `*` at its end (any ending); `^` in front: only where the text
begins. All wordings of all rules are one trie of words, so the cost of a text hardly depends on how many there are:
one dictionary look-up a word, made by C code, and a few more where a wording begins and may go on.

The longest wording wins: one that lies within a longer one says nothing ("would love" silences "love").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress, count
from typing import Any, Final

from pipeline.core.native import pick

_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[❤♥♡☺\U0001F300-\U0001FAFF]")
_SPLIT: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*\*?|[❤♥♡☺\U0001F300-\U0001FAFF]")
_LETTERS: Final = bytes(ord(chr(code).lower()) if chr(code).isalnum() or code == 39 else 32 for code in range(256))
_EDGE: Final = re.compile(rb"(?<![a-z0-9])'|'(?![a-z0-9])")  # an apostrophe that is not within a word
_REMEMBERED: Final = 50_000  # words whose start nodes are kept; then the memory begins anew
_LONGEST: Final = 40  # letters of a word worth remembering: longer ones seldom come again
_PREFIX_LEAST: Final = 3
_MOST_LETTERS: Final = 20_000
_MOST_WORDS: Final = 2000  # of a text: rules judge what a person reads, not a novel; keeps cost bounded

BEGINNING: Final = "^"


def words_twin(text: str) -> list[str]:
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


words: Final[Callable[[str], list[str]]] = pick("words", words_twin)
"""The words of a text: see `words_twin`."""


Hit = tuple[int, int, tuple[int, ...]]
"""A wording found: its first word's place, the place behind its last, and what it stands for. First place -1: bound to
the beginning. A plain tuple: a named one takes five times as long to make."""


Node = tuple[dict[str, Any], tuple[tuple[str, Any], ...], tuple[int, ...]]
"""The words that go on with their nodes, beginnings of words with theirs, and what ends here. Plain tuples: the compiled
walk reads them, too."""


class _Growing:
    """A node while wordings are added."""

    __slots__ = ("next", "prefixes", "says")

    def __init__(self) -> None:
        self.next: dict[str, _Growing] = {}
        self.prefixes: list[tuple[str, _Growing]] = []
        self.says: tuple[int, ...] = ()

    def done(self) -> Node:
        """Return the node as it stays."""
        return (
            {word: node.done() for word, node in self.next.items()},
            tuple((prefix, node.done()) for prefix, node in self.prefixes),
            self.says,
        )


class Wordings:
    """An index of wordings; each stands for one or more numbers that its user gives meaning to."""

    def __init__(self, wordings: Mapping[int, Iterable[str]]) -> None:
        root = _Growing()
        for number, texts in wordings.items():
            for text in texts:
                self._add(root, text, number)
                if "'" in text:  # people leave it out
                    self._add(root, text.replace("'", ""), number)
        whole = root.done()
        self.starts = Starts(whole)
        self.opening: Node | None = whole[0].get(BEGINNING)

    def _add(self, node: _Growing, text: str, number: int) -> None:
        parts = _SPLIT.findall(text.lower())
        if not parts:
            raise ValueError(f"the wording {text!r} has no word in it")
        if len(parts) == 1 and len(parts[0]) == 1 and parts[0].isalnum():
            raise ValueError(f"the wording {text!r} is a single letter")
        if text.startswith(BEGINNING):
            parts.insert(0, BEGINNING)
        for part in parts:
            if part.endswith("*"):
                if len(part) <= _PREFIX_LEAST:
                    raise ValueError(f"the wording {text!r}: write at least {_PREFIX_LEAST} letters before *")
                node = self._prefix(node, part[:-1])
            else:
                node = node.next.setdefault(part, _Growing())
        if number not in node.says:
            node.says = (*node.says, number)

    @staticmethod
    def _prefix(node: _Growing, prefix: str) -> _Growing:
        for known, child in node.prefixes:
            if known == prefix:
                return child
        child = _Growing()
        node.prefixes.append((prefix, child))
        return child

    def find(self, found: Sequence[str]) -> list[Hit]:
        """Return the wordings in these words (see `words`), in order, without those within a longer one."""
        return _wordings(self.starts, self.opening, found)


_Start = tuple[tuple[Node, ...], tuple[tuple[int, ...], ...], frozenset[str], tuple[str, ...]]
"""What a word begins: the nodes, what it says by itself, and the words and beginnings of words it may go on with. Four
starts in five do not go on, and that is seen here without a walk."""


class Starts(dict[str, _Start | None]):
    """What each word begins, found once a word; None where it begins nothing. C code does the look-up."""

    def __init__(self, root: Node) -> None:
        super().__init__()
        self._root = root
        self._prefixes: dict[str, list[tuple[str, Node]]] = {}  # by their first letters: rare words are new every time
        for prefix, node in root[1]:
            self._prefixes.setdefault(prefix[:_PREFIX_LEAST], []).append((prefix, node))
        self.rare = (_REMEMBERED, _LONGEST, root[0], self._prefixes, _PREFIX_LEAST)  # for the compiled part

    def __missing__(self, word: str) -> _Start | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        exact = self._root[0].get(word)
        nodes: tuple[Node, ...] = () if exact is None else (exact,)
        alike = self._prefixes.get(word[:_PREFIX_LEAST])
        if alike is not None:
            nodes += tuple(node for prefix, node in alike if word.startswith(prefix))
        start = _start(nodes) if nodes else None
        if len(word) <= _LONGEST:
            self[word] = start
        return start


def _start(nodes: tuple[Node, ...]) -> _Start:
    says = tuple(says for _, _, says in nodes if says)
    goes_on = frozenset(word for goes_on, _, _ in nodes for word in goes_on)
    return nodes, says, goes_on, tuple(prefix for _, prefixes, _ in nodes for prefix, _ in prefixes)


def wordings_twin(starts: Starts, opening: Node | None, found: Sequence[str]) -> list[Hit]:
    """Return the wordings in these words; `starts` are what words begin, `opening` what the beginning of the text does."""
    hits: list[Hit] = []
    if found and opening is not None:
        for node in _children(opening, found[0]):
            _walk(node, found, -1, 1, hits)
    begun = list(map(starts.__getitem__, found))
    last = len(found) - 1
    for at in compress(count(), begun):  # most words begin nothing
        start = begun[at]
        assert start is not None
        nodes, says, goes_on, prefixes = start
        if at < last and ((word := found[at + 1]) in goes_on or (prefixes and word.startswith(prefixes))):
            for node in nodes:
                _walk(node, found, at, at + 1, hits)
        elif says:
            hits += [(at, at + 1, one) for one in says]
    return _longest(hits) if len(hits) > 1 else hits


_wordings: Final[Callable[[Starts, Node | None, Sequence[str]], list[Hit]]] = pick("wordings", wordings_twin)


def _children(node: Node, word: str) -> list[Node]:
    goes_on, prefixes, _ = node
    exact = goes_on.get(word)
    found: list[Node] = [] if exact is None else [exact]
    if prefixes:
        found += [child for prefix, child in prefixes if word.startswith(prefix)]
    return found


def _walk(node: Node, found: Sequence[str], start: int, end: int, hits: list[Hit]) -> None:
    while True:
        goes_on, prefixes, says = node
        if says:
            hits.append((start, end, says))
        if end >= len(found):
            return
        word = found[end]
        if prefixes:
            for child in _children(node, word):
                _walk(child, found, start, end + 1, hits)
            return
        following = goes_on.get(word)
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
