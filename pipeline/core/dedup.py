"""What a partition has seen: ids with their revision and what became of them, and stories that go round.

A story is what several mentions say in nearly the same words: retweets, copies with another address, handle or
number. Words of up to three letters, numbers, addresses and order do not count. Texts whose other words are equal get
the same story id in every worker and on every machine, unless their partition knows a near one that came first. Near
is: at least 0.7 of the different words in common (Jaccard), estimated from the 24 smallest hashes of the words
(A. Broder, "On the resemblance and containment of documents", 1997); for texts of up to 24 such words it is exact.
Compared are only texts that share two of their smallest hashes.

Bounded: the last `limit` mentions and the last stories are kept, oldest forgotten first. A batch that is aborted
leaves no trace: `mark()` before it, `undo()` after. Rebuilt after a restart from record headers, so texts seen before
are not compared with those that come after; equal words still give equal ids.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Sequence
from struct import unpack_from
from typing import Any, Final

from msgspec import Struct

from pipeline.core.sketch import MAX_WORDS, in_common, packed, sketch, without_addresses

MIN_WORDS: Final = 5
"""Different words a text needs to be a story with others: "thank you so much" is said by many who share nothing."""
NEAR: Final = 0.7
MAX_STORIES: Final = 20_000
"""Stories kept for comparison, half a kilobyte each."""
_SHORT: Final = 3  # letters
_ADDRESS_WORDS: Final = 3  # t, co, xyz: what is left of an address after its protocol
_MAX_CACHED: Final = 50_000
_LONGEST: Final = 40  # letters of a word worth keeping
MOST_MARKS: Final = 2
"""Batches that can be undone: one whose transaction is under way, and the next one."""

Step = tuple[Any, ...]
"""What undoes something: a method of `Memory` and its arguments."""


class Remembered(Struct, frozen=True, kw_only=True, gc=False):
    """What became of a mention when it was last judged."""

    revision: int
    departments: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    story: str | None = None


class _Story(Struct, eq=False, gc=False):
    """A story: its id, the sketch of the text that began it, and how often it stands in the queue."""

    id: str
    sketch: bytes
    keys: tuple[int, ...]
    queued: int = 0


class Mark:
    """A point to go back to; only the newest two of a memory are good."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: list[Step] = []  # what undoes what was done since, oldest first


class _Hashes(dict[str, int]):
    """Word to its hash, the same on every machine. Bounded."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _MAX_CACHED:
            self.clear()
        value = zlib.crc32(word.encode("utf-8", "replace"))
        if len(word) <= _LONGEST:
            self[word] = value
        return value


class _LongHashes(dict[str, int | None]):
    """Word to its hash where it is long and of letters, None where not: C code picks the words that make most stories."""

    rare = (_MAX_CACHED, _LONGEST, _SHORT)  # for the compiled part

    def __missing__(self, word: str) -> int | None:
        if len(self) >= _MAX_CACHED:
            self.clear()
        value = zlib.crc32(word.encode()) if len(word) > _SHORT and word.isalpha() else None
        if len(word) <= _LONGEST:
            self[word] = value
        return value


class Memory:
    """The memory of one partition: its last `limit` judged mentions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: deque[tuple[str, Remembered]] = deque()
        self._latest: dict[str, Remembered] = {}
        self._queue: deque[_Story] = deque()
        self._index: dict[int, _Story] = {}
        self._max_stories = min(limit, MAX_STORIES)
        self._hashes = _Hashes()
        self._long = _LongHashes()
        self._marks: deque[Mark] = deque(maxlen=MOST_MARKS)
        self._steps: list[Step] | None = None  # of the newest mark

    def __len__(self) -> int:
        return len(self._latest)

    # -------------------------------------------------------------------------------------------- mentions

    def latest(self, mention_id: str) -> Remembered | None:
        """Return what became of a mention when it was last judged; None when it is not remembered."""
        return self._latest.get(mention_id)

    def remember(self, mention_id: str, remembered: Remembered) -> None:
        """Remember a judged mention; the oldest is forgotten when there are more than `limit`."""
        event = (mention_id, remembered)
        if self._steps is not None:
            self._steps.append((Memory._unremember, mention_id, self._latest.get(mention_id)))
        self._events.append(event)
        self._latest[mention_id] = remembered
        if len(self._events) > self._limit:
            self._forget()

    def _forget(self) -> None:
        mention_id, remembered = event = self._events.popleft()
        is_latest = self._latest.get(mention_id) is remembered
        if is_latest:
            del self._latest[mention_id]
        if self._steps is not None:
            self._steps.append((Memory._unforget, event, is_latest))

    # --------------------------------------------------------------------------------------------- stories

    def story(self, tokens: Sequence[str], own_id: str) -> str:
        """Return the id of the story a text belongs to: that of an earlier near text, else one made from its words.

        `tokens` are its words in lower case, without punctuation. A text with too few words is a story of its own,
        named after `own_id`.
        """
        if len(tokens) > MAX_WORDS:
            tokens = tokens[:MAX_WORDS]
        size, smallest, words = sketch(self._long, tokens, _ADDRESS_WORDS)
        if size < MIN_WORDS:
            words = _all_words(tokens)
            hashes = set(map(self._hashes.__getitem__, words))
            if len(hashes) <= MIN_WORDS:
                return _digest(own_id)
            smallest = packed(hashes)
        first, second, third, fourth = unpack_from("=4I", smallest)
        keys = (
            first ^ second,
            second ^ third,
            third ^ fourth,
            first ^ third,
        )  # two words at once: one is in many texts
        index = self._index
        best: _Story | None = None
        nearest = 0.0
        compared: list[_Story] = []  # near texts share several keys: each story is compared once
        for key in keys:
            known = index.get(key)
            if known is not None and known not in compared:
                compared.append(known)
                common = in_common(known.sketch, smallest, NEAR)
                if common >= NEAR and common > nearest:
                    best, nearest = known, common
        if best is not None:
            self._put(best, None)
            return best.id
        story = _Story(_digest(" ".join(words)), smallest, keys)
        self._put(story, tuple(map(index.get, keys)) if self._steps is not None else None)
        for key in keys:
            index[key] = story
        return story.id

    def _put(self, story: _Story, replaced: tuple[_Story | None, ...] | None) -> None:
        """Put a story at the end of the queue; `replaced` is what its keys led to before, None for a known story."""
        story.queued += 1
        self._queue.append(story)
        if self._steps is not None:
            self._steps.append((Memory._unput, story, replaced))
        if len(self._queue) > self._max_stories:
            self._drop()

    def _drop(self) -> None:
        story = self._queue.popleft()
        story.queued -= 1
        gone: list[int] = []
        if not story.queued:
            for key in story.keys:
                if self._index.get(key) is story:
                    del self._index[key]
                    gone.append(key)
        if self._steps is not None:
            self._steps.append((Memory._undrop, story, gone))

    # ------------------------------------------------------------------------------------------------ undo

    def mark(self) -> Mark:
        """Return a point to go back to. The one before it stays good, too; what came before that stays as it is."""
        made = Mark()
        self._marks.append(made)
        self._steps = made.steps
        return made

    def undo(self, mark: Mark) -> None:
        """Go back to the mark as if nothing had been remembered since. Raises ValueError when it is too old."""
        if not any(mark is one for one in self._marks):
            raise ValueError("this mark was replaced by newer ones: undo only the two batches that were marked last")
        while self._marks[-1] is not mark:
            self._take_back(self._marks.pop())
        self._take_back(mark)
        self._steps = mark.steps

    def _take_back(self, mark: Mark) -> None:
        while mark.steps:
            step, *arguments = mark.steps.pop()
            step(self, *arguments)

    def _unremember(self, mention_id: str, before: Remembered | None) -> None:
        self._events.pop()
        if before is None:
            self._latest.pop(mention_id, None)
        else:
            self._latest[mention_id] = before

    def _unforget(self, event: tuple[str, Remembered], was_latest: bool) -> None:
        self._events.appendleft(event)
        if was_latest:
            self._latest[event[0]] = event[1]

    def _unput(self, story: _Story, replaced: tuple[_Story | None, ...] | None) -> None:
        self._queue.pop()
        story.queued -= 1
        for key, before in zip(story.keys, replaced, strict=True) if replaced is not None else ():
            if before is None:
                self._index.pop(key, None)
            else:
                self._index[key] = before

    def _undrop(self, story: _Story, gone: list[int]) -> None:
        self._queue.appendleft(story)
        story.queued += 1
        for key in gone:
            self._index[key] = story


def _all_words(tokens: Sequence[str]) -> list[str]:
    """Return all words of letters; characters where a script has no spaces between words."""
    words = [word for word in without_addresses(tokens, _ADDRESS_WORDS) if word.isalpha()]
    if words and words[0] == "rt":
        del words[:2]
    if len(words) <= MIN_WORDS and any(len(word) > MIN_WORDS and not word.isascii() for word in words):
        return list("".join(words)[:MAX_WORDS])
    return words


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
