"""Reading again what was published: edits, deletions, and what a platform's terms make us give up by themselves.

What was published lately is remembered page by page, each page a small record on connector-memory, written in the same
transaction. All of a page comes due at the same times; read once, the record is written anew, and taken away after its
last time. A deletion that is only told by absence counts when it was told twice, at least `CONFIRM` apart; an error
counts nothing, and when nearly all of many are absent at once, which is how a broken source looks, it is not believed
before the third day. The arithmetic is pure, the runner carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from pipeline.contract.events import Mention, Remembered, State

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
CONFIRM: Final = HOUR  # seconds between the two answers that must both say that something is not there
SUSPICIOUS: Final = 20  # asked for at once: when nearly all of so many are absent, the answer is not believed
DISBELIEF: Final = 0.9
DOUBTS: Final = 2  # times it is not believed, a day apart; the time after that it is
MAX_PAGE: Final = 1_000  # mentions in one record


@dataclass(frozen=True, slots=True)
class Rereading:
    """When what was published is read again: at these ages in seconds, and then `every` so often until forgotten.

    `batch` ids are asked for at once. `memory` mentions of a source are remembered at the most, the oldest are
    forgotten first. What is `erase_after` old is withdrawn, whatever the source says: a duty of some platforms' terms.
    """

    ages: tuple[float, ...] = (HOUR, DAY, 7 * DAY)
    batch: int = 100
    memory: int = 20_000
    every: float | None = None
    erase_after: float | None = None


@dataclass(frozen=True, slots=True)
class Reread:
    """What has become of mentions: those that are there, or are said to be gone, and the native ids that are absent."""

    mentions: Sequence[Mention] = ()
    absent: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from a reading: mentions to publish, records to write, numbers of records to take away."""

    mentions: Sequence[Mention] = ()
    records: Sequence[Remembered] = ()
    gone: Sequence[int] = ()
    disbelieved: int = 0


@dataclass(slots=True)
class Memory:
    """What one source has published lately, by the numbers of its pages."""

    connector: str
    source: str
    plan: Rereading
    pages: dict[int, Remembered] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Return how many mentions are remembered."""
        return sum(len(page.ids) for page in self.pages.values())

    def remember(self, mentions: Sequence[Mention], now: datetime) -> Outcome:
        """Return the records to write once these are published, and those that are too many."""
        found = [mention for mention in mentions if not mention.is_withdrawn]
        left: dict[str, str | None] = {one.native_id: one.conversation for one in found}
        records: list[Remembered] = []
        number = max(self.pages, default=-1) + 1
        items = list(left.items())
        for start in range(0, len(items), MAX_PAGE):
            part = items[start : start + MAX_PAGE]
            records.append(
                Remembered(
                    connector=self.connector,
                    number=number + len(records),
                    at=now,
                    ids=tuple(native for native, _ in part),
                    threads=tuple(thread for _, thread in part),
                )
            )
        return Outcome(records=records, gone=self._too_many(len(items)))

    def _too_many(self, more: int) -> list[int]:
        over, gone = self.count + more - self.plan.memory, []
        for number in sorted(self.pages):
            if over <= 0:
                break
            over -= len(self.pages[number].ids)
            gone.append(number)
        return gone

    def committed(self, outcome: Outcome) -> None:
        """Take in what has been written."""
        for record in outcome.records:
            self.pages[record.number] = record
        for number in outcome.gone:
            self.pages.pop(number, None)

    def due(self, page: Remembered) -> datetime | None:
        """Return when a page is read next; None when never again."""
        ages, step = self.plan.ages, page.step
        if page.doubts and page.read_at is not None:
            return page.read_at + timedelta(seconds=DAY)
        if page.absent and page.read_at is not None:
            return page.read_at + timedelta(seconds=CONFIRM)
        if step < len(ages):
            age = ages[step]
        elif self.plan.every is not None:
            last = ages[-1] if ages else 0.0
            age = last + self.plan.every * (step - len(ages) + 1)
        else:
            return self._erased_at(page)
        due = page.at + timedelta(seconds=age)
        end = self._erased_at(page)
        return due if end is None else min(due, end)

    def _erased_at(self, page: Remembered) -> datetime | None:
        after = self.plan.erase_after
        return None if after is None else page.at + timedelta(seconds=after)

    def next_at(self) -> datetime | None:
        """Return when the next page is due; None where nothing is remembered."""
        times = [due for page in self.pages.values() if (due := self.due(page)) is not None]
        return min(times, default=None)

    def expired(self, now: datetime) -> Outcome:
        """Return the withdrawal of all that is too old to be kept, and of pages that are never read again the end."""
        mentions: list[Mention] = []
        gone = []
        for number, page in sorted(self.pages.items()):
            end = self._erased_at(page)
            if end is not None and end <= now:
                mentions += [self._withdrawn(native, thread, now) for native, thread in _items(page)]
                gone.append(number)
            elif self.due(page) is None:
                gone.append(number)
        return Outcome(mentions, gone=gone)

    def batch(self, now: datetime) -> list[Remembered]:
        """Return the pages to read now, as many as fit into one question; the first whole, however large it is."""
        ready = [(due, page) for page in self.pages.values() if (due := self.due(page)) is not None and due <= now]
        found: list[Remembered] = []
        size = 0
        for _, page in sorted(ready, key=lambda one: (one[0], one[1].number)):
            if found and size + len(page.ids) > self.plan.batch:
                break
            found.append(page)
            size += len(page.ids)
        return found

    def read(self, pages: Sequence[Remembered], told: Reread, now: datetime) -> Outcome:
        """Return what follows from the answer about these pages."""
        asked = {native for page in pages for native in page.ids}
        absent = asked & set(told.absent)
        is_doubted = len(asked) >= SUSPICIOUS and len(absent) > DISBELIEF * len(asked)
        if is_doubted and min(page.doubts for page in pages) < DOUBTS:
            later = [self._later(page, page.absent, now) for page in pages]
            doubted = [msgspec.structs.replace(page, doubts=page.doubts + 1) for page in later]
            return Outcome(records=doubted, disbelieved=len(absent))
        withdrawn = {one.native_id for one in told.mentions if one.is_withdrawn}
        mentions, records, gone = list(told.mentions), [], []
        for page in pages:
            confirmed = absent & set(asked if is_doubted else page.absent)
            mentions += [self._withdrawn(*item, now) for item in _items(page) if item[0] in confirmed]
            left = [item for item in _items(page) if item[0] not in confirmed | withdrawn]
            changed = self._later(
                msgspec.structs.replace(_with(page, left), doubts=0),
                [native for native, _ in left if native in absent],
                now,
            )
            if left and self.due(changed) is not None:
                records.append(changed)
            else:
                gone.append(page.number)
        return Outcome(mentions, records, gone)

    def _later(self, page: Remembered, absent: Iterable[str], now: datetime) -> Remembered:
        """Return a page that has been read now. Steps whose time has passed meanwhile are not caught up one by one."""
        step = page.step if page.absent else page.step + 1
        ages = self.plan.ages
        while step < len(ages) and page.at + timedelta(seconds=ages[step]) <= now:
            step += 1
        every = self.plan.every
        if every is not None and step >= len(ages):
            passed = (now - page.at).total_seconds() - (ages[-1] if ages else 0.0)
            step = max(step, len(ages) + int(passed // every))
        return msgspec.structs.replace(page, step=step, absent=tuple(absent), read_at=now)

    def _withdrawn(self, native: str, thread: str | None, now: datetime) -> Mention:
        return Mention(
            id=f"{self.source}:{native}",
            source=self.source,
            native_id=native,
            created_at=now,
            collected_at=now,
            conversation=thread,
            state=State.REMOVED,
            revision=int(now.timestamp() * 1000),
        )


def _items(page: Remembered) -> list[tuple[str, str | None]]:
    return list(zip(page.ids, page.threads, strict=True))


def _with(page: Remembered, items: Sequence[tuple[str, str | None]]) -> Remembered:
    ids, threads = tuple(native for native, _ in items), tuple(thread for _, thread in items)
    return msgspec.structs.replace(page, ids=ids, threads=threads)


def by_number(records: Iterable[Remembered]) -> Mapping[int, Remembered]:
    """Return records by their numbers, as they were read."""
    return {record.number: record for record in records}
