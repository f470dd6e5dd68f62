"""What we published of a stream, by the server's own numbers: a deletion names nothing else. And the cursor it travels in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

REMEMBERED: Final = 100_000  # texts, in memory: some 40 MB
CARRIED: Final = 200  # of them in the checkpoint, the newest: some 25 kB
EMPTY: Final = "0"  # the newest id of a timeline in which there was nothing


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cursor: the newest id of every timeline, and the newest texts of ours."""

    newest: dict[str, str] = {}
    posts: tuple[str, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place a cursor says; what cannot be read is the beginning."""
        try:
            found: Any = msgspec.json.decode(cursor or "{}")
            return msgspec.convert(found, cls)
        except (msgspec.MsgspecError, ValueError):
            return cls()

    def written(self) -> str:
        """Return it as a cursor."""
        return msgspec.json.encode(self).decode()


class Post(NamedTuple):
    """A text of ours: its address in the network, the id of its conversation, None where it began one, its revision.

    The revision is in memory only: after a restart it is 0, and whatever comes is later.
    """

    uri: str
    conversation: str | None
    revision: int = 0


class Published:
    """The texts we published, newest last. Bounded."""

    def __init__(self, limit: int = REMEMBERED, carried: int = CARRIED) -> None:
        self._limit = limit
        self._carried = carried
        self._posts: dict[str, Post] = {}
        self._ids: dict[str, str] = {}  # uri -> the server's own number

    def __len__(self) -> int:
        return len(self._posts)

    def add(self, number: str, post: Post) -> None:
        """Remember a text by the server's own number for it."""
        self.forget(number)
        self._posts[number] = post
        self._ids[post.uri] = number
        if len(self._posts) > self._limit:
            self.forget(next(iter(self._posts)))

    def get(self, number: str) -> Post | None:
        """Return the text with this number; None where it is none of ours."""
        return self._posts.get(number)

    def number(self, uri: str) -> str | None:
        """Return the server's own number for a text of ours."""
        return self._ids.get(uri)

    def forget(self, number: str) -> None:
        """Note that a text is gone."""
        post = self._posts.pop(number, None)
        if post is not None:
            self._ids.pop(post.uri, None)

    def newest(self) -> tuple[str, ...]:
        """Return the newest texts for a cursor."""
        return tuple(
            " ".join((number, post.uri, post.conversation or "")).rstrip()
            for number, post in list(self._posts.items())[-self._carried :]
            if " " not in number + post.uri
        )

    def load(self, carried: Iterable[str]) -> None:
        """Remember what a cursor carries, besides what is known already."""
        for entry in carried:
            number, _, rest = entry.partition(" ")
            uri, _, conversation = rest.partition(" ")
            if number and uri and number not in self._posts:
                self.add(number, Post(uri, conversation or None))
