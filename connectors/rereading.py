"""Reading again what was published: edits, deletions, and what a platform's terms make us give up by themselves.

What was published lately is remembered page by page, each page a small record on connector-memory, written in the same
transaction. All of a page comes due at the same times; read once, the record is written anew, and taken away after its
last time. A deletion that is only told by absence counts when it was told twice, at least `CONFIRM` apart; an error
counts nothing, and when nearly all of many are absent at once, which is how a broken source looks, it is not believed
before the third day. The arithmetic is pure, the runner carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


Item = tuple[str, str | None, int]
"""A native id, its conversation, its revision."""


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
    _where: dict[str, int] = field(default_factory=dict)  # native id -> number of its page

    def load(self, records: Iterable[Remembered]) -> None:
        """Take what was written for what is known."""
        self.pages.clear()
        self._where.clear()
        self.committed(Outcome(records=sorted(records, key=lambda one: one.number)))

    @property
    def count(self) -> int:
        """Return how many mentions are remembered."""
        return len(self._where)

    def remember(self, mentions: Sequence[Mention], now: datetime) -> Outcome:
        """Return the records to write with these mentions: new pages, pages whose mentions were edited or withdrawn.

        Numbers are times in microseconds, so that a backfill beside the live source takes none of its numbers.
        """
        changed: dict[int, Remembered] = {}
        items: dict[str, Item] = {}
        for one in mentions:
            known = self._where.get(one.native_id)
            if known is not None:
                page = changed.get(known, self.pages[known])
                rest = [item for item in _items(page) if item[0] != one.native_id]
                if not one.is_withdrawn:
                    rest.append((one.native_id, one.conversation, one.revision))
                changed[known] = _with(page, rest)
            elif one.is_withdrawn:
                items.pop(one.native_id, None)
            else:
                items[one.native_id] = (one.native_id, one.conversation, one.revision)
        number = max(int(now.timestamp() * 1_000_000), max(self.pages, default=0) + 1)
        new = list(items.values())
        records = [
            _with(
                Remembered(connector=self.connector, number=number + place, at=now, ids=(), threads=(), revisions=()),
                part,
            )
            for place, part in enumerate(new[start : start + MAX_PAGE] for start in range(0, len(new), MAX_PAGE))
        ]
        emptied = [number for number, page in changed.items() if not page.ids]
        gone = {*emptied, *self._too_many(len(new))}
        return Outcome(
            records=[*(page for number, page in changed.items() if number not in gone), *records], gone=sorted(gone)
        )

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
        for number in (*outcome.gone, *(record.number for record in outcome.records)):
            before = self.pages.pop(number, None)
            for native in before.ids if before else ():
                self._where.pop(native, None)
        for record in outcome.records:
            self.pages[record.number] = record
            self._where.update(dict.fromkeys(record.ids, record.number))

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

    def expired(self, now: datetime) -> Outcome:
        """Return the withdrawal of all that is too old to be kept, and of pages that are never read again the end."""
        mentions: list[Mention] = []
        gone = []
        for number, page in sorted(self.pages.items()):
            end = self._erased_at(page)
            if end is not None and end <= now:
                mentions += [self._withdrawn(native, thread, now) for native, thread, _ in _items(page)]
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
        answers = {one.native_id: one for one in told.mentions if one.native_id in asked}
        mentions: list[Mention] = []
        records: list[Remembered] = []
        gone: list[int] = []
        for page in pages:
            confirmed = absent & set(asked if is_doubted else page.absent)
            left: list[Item] = []
            for native, thread, revision in _items(page):
                answer = answers.get(native)
                if answer is not None and answer.is_withdrawn:
                    mentions.append(_of_thread(answer, thread))
                elif native in confirmed:
                    mentions.append(self._withdrawn(native, thread, now))
                elif answer is not None and answer.revision > revision:
                    mentions.append(_of_thread(answer, thread))
                    left.append((native, thread, answer.revision))
                else:
                    left.append((native, thread, revision))
            changed = self._later(
                msgspec.structs.replace(_with(page, left), doubts=0),
                [native for native, *_ in left if native in absent],
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


def _items(page: Remembered) -> list[Item]:
    return list(zip(page.ids, page.threads, page.revisions, strict=True))


def _with(page: Remembered, items: Sequence[Item]) -> Remembered:
    return msgspec.structs.replace(
        page,
        ids=tuple(native for native, _, _ in items),
        threads=tuple(thread for _, thread, _ in items),
        revisions=tuple(revision for _, _, revision in items),
    )


def _of_thread(answer: Mention, thread: str | None) -> Mention:
    """Return a mention under the key that it was published with, so that it comes after what it changes."""
    return answer if answer.conversation == thread else msgspec.structs.replace(answer, conversation=thread)
