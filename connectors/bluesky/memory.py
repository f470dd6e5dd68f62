"""What we published of Bluesky, so that a deletion is told on only when it concerns us; and the cursor it travels in.

A deletion names the post, not its thread, and an account's end names no posts at all. Both are needed: the thread is
the key that brings the deletion to those who have the post.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from connectors.bluesky.posts import place_of, uri_of

REMEMBERED: Final = 100_000  # posts, in memory: some 30 MB
CARRIED: Final = 300  # of them in the checkpoint, the newest: some 25 kB
_PLC: Final = "did:plc:"  # how nearly every account's id begins


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cursor: the time of the newest frame in epoch microseconds, whose clock that is, and the newest posts of ours."""

    at: int | None = None
    endpoint: str = ""
    posts: tuple[str, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place a cursor says; a plain number is a time. What cannot be read is the beginning."""
        try:
            found: Any = msgspec.json.decode(cursor or "{}")
            if isinstance(found, int) and not isinstance(found, bool):
                return cls(at=found)
            return msgspec.convert(found, cls)
        except (msgspec.MsgspecError, ValueError):
            return cls()

    def written(self) -> str:
        """Return it as a cursor."""
        return msgspec.json.encode(self).decode()


class Published:
    """The posts we published, newest last, each with the thread it is in. Bounded."""

    def __init__(self, limit: int = REMEMBERED, carried: int = CARRIED) -> None:
        self._limit = limit
        self._carried = carried
        self._roots: dict[tuple[str, str], str | None] = {}
        self._of: dict[str, dict[str, None]] = {}  # account -> record keys
        self._gone: dict[tuple[str, str], None] = {}  # deleted by their author: may be written anew

    def __len__(self) -> int:
        return len(self._roots)

    def __contains__(self, post: object) -> bool:
        return post in self._roots

    def add(self, did: str, rkey: str, root: str | None) -> None:
        """Remember a post; `root` is the native id of its thread, None when it began one."""
        self._drop(did, rkey)
        self._roots[did, rkey] = root
        self._of.setdefault(did, {})[rkey] = None
        self._gone.pop((did, rkey), None)
        if len(self._roots) > self._limit:
            self._drop(*next(iter(self._roots)))

    def root(self, did: str, rkey: str) -> str | None:
        """Return the thread of a remembered post, None when it began one."""
        return self._roots[did, rkey]

    def of(self, did: str) -> list[str]:
        """Return the record keys of what an account wrote, oldest first."""
        return list(self._of.get(did, ()))

    def forget(self, did: str, rkey: str) -> None:
        """Note that a post is gone for good."""
        self._drop(did, rkey)
        self._gone[did, rkey] = None
        if len(self._gone) > self._carried:
            del self._gone[next(iter(self._gone))]

    def was_deleted(self, did: str, rkey: str) -> bool:
        """Whether this post of ours was deleted lately: some programs edit by deleting and writing anew."""
        return (did, rkey) in self._gone

    def _drop(self, did: str, rkey: str) -> None:
        if self._roots.pop((did, rkey), self) is self:
            return
        keys = self._of[did]
        del keys[rkey]
        if not keys:
            del self._of[did]

    def newest(self) -> tuple[str, ...]:
        """Return the newest posts for a cursor, in the shortest form."""
        return tuple(_short(post, self._roots[post]) for post in list(self._roots)[-self._carried :])

    def load(self, carried: Iterable[str]) -> None:
        """Remember what a cursor carries, besides what is known already."""
        for post, root in _long(carried):
            if post not in self._roots and post not in self._gone:
                self.add(*post, root)


def _short(post: tuple[str, str], root: str | None) -> str:
    own = "/".join(post).removeprefix(_PLC)
    place = place_of(root) if root else None
    return own if place is None else f"{own} {'/'.join(place).removeprefix(_PLC)}"


def _long(carried: Iterable[str]) -> Iterator[tuple[tuple[str, str], str | None]]:
    for entry in carried:
        own, _, root = entry.partition(" ")
        did, _, rkey = own.rpartition("/")
        if did and rkey:
            there, _, key = root.rpartition("/")
            yield (_whole(did), rkey), uri_of(_whole(there), key) if there else None


def _whole(did: str) -> str:
    return did if did.startswith("did:") else f"{_PLC}{did}"
