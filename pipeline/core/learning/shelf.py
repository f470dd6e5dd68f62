"""What stands on the topic `lessons`, and the models that can be made of it: today's, and those of before.

A model is the newest state that was written down, and the lessons after it, learned in their order. So the topic needs
only what the states kept still ask for; `expendable` says what may go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import About, KeptModel, Lesson
from pipeline.core.routing.learned import MEMORY
from pipeline.core.taught import CLASSES, Taught

STATES: Final = 20  # written down that are kept: a decision of the last 2,000 lessons can be repeated
PART: Final = 600_000  # bytes of one part of a state
_LESSON, _KEPT = "lesson", "kept"


def key_of(event: Lesson | KeptModel) -> str:
    """Return the record's key."""
    if isinstance(event, Lesson):
        return f"{_LESSON}/{event.number}"
    return f"{_KEPT}/{event.number}/{event.part}"


def written_down(taught: Taught, now: datetime) -> list[KeptModel]:
    """Return what was learned so far in parts; after every KEEP_EVERY lessons."""
    whole = taught.dump()
    parts = [whole[at : at + PART] for at in range(0, len(whole), PART)]
    return [
        KeptModel(number=taught.number, part=part, parts=len(parts), version=taught.version, at=now, data=data)
        for part, data in enumerate(parts)
    ]


class Shelf:
    """The records of the topic, by what they say."""

    def __init__(self) -> None:
        self.lessons: dict[int, Lesson] = {}
        self.states: dict[int, dict[int, KeptModel]] = {}

    def put(self, key: bytes | None, value: bytes | None) -> Lesson | int | None:
        """Take in a record; return the lesson in it, or the number of one that was taken away, None for what is neither.

        What cannot be read is passed over: whoever reads the topic passes over the same, so all still agree.
        """
        kind, _, rest = (key or b"").decode("utf-8", "replace").partition("/")
        numbers = rest.split("/")
        if not all(number.isascii() and number.isdigit() for number in numbers):
            return None
        if kind == _LESSON and len(numbers) == 1:
            return self._put_lesson(int(numbers[0]), value)
        if kind == _KEPT and len(numbers) == 2:
            self._put_state(int(numbers[0]), int(numbers[1]), value)
        return None

    def _put_lesson(self, number: int, value: bytes | None) -> Lesson | int | None:
        if value is None:
            self.lessons.pop(number, None)
            return number
        try:
            lesson = codec.decode(Lesson, value)
        except InvalidMessageError:
            return None
        classes = CLASSES[lesson.about]
        is_sound = lesson.truth in classes and len(lesson.known) == len(classes)
        if not is_sound or lesson.number != number or number in self.lessons:
            return None
        self.lessons[number] = lesson
        return lesson

    def _put_state(self, number: int, part: int, value: bytes | None) -> None:
        if value is None:
            parts = self.states.get(number, {})
            parts.pop(part, None)
            if not parts:
                self.states.pop(number, None)
            return
        try:
            state = codec.decode(KeptModel, value)
        except InvalidMessageError:
            return
        self.states.setdefault(number, {})[part] = state

    def whole(self) -> list[int]:
        """Return the numbers of the states that are there with all parts, the newest first."""
        return sorted(
            (number for number, parts in self.states.items() if len(parts) == next(iter(parts.values())).parts),
            reverse=True,
        )

    def taught(self, proof: float, upto: int | None = None) -> Taught:
        """Return what was learned, all of it or up to the lesson of this number.

        Raises LookupError when it cannot be made any more, because what it needs has gone.
        """
        taught = Taught(proof)
        last = max([0, *self.lessons, *self.whole()]) if upto is None else upto
        start = next((number for number in self.whole() if number <= last), 0)
        if start:
            data = b"".join(self.states[start][part].data for part in range(len(self.states[start])))
            taught.load(data, self.lessons.get)
        wanted = [number for number in sorted(self.lessons) if start < number <= last]
        if upto is not None and (not wanted or wanted[-1] != upto) and start != upto:
            raise LookupError(f"lesson {upto} is not kept any more")
        if upto is not None and not start and wanted and wanted[0] != 1:
            raise LookupError(f"the state before lesson {upto} is not kept any more")
        for number in wanted:
            taught.take(self.lessons[number])
        return taught

    def expendable(self, remembered: Iterable[int], since: datetime) -> Iterator[str]:
        """Yield the keys of records that nobody needs any more: old states, and lessons older than those kept ask for.

        `remembered` are the lessons that are seen again, `since` is the time from which lessons are counted.
        """
        kept = self.whole()[:STATES]
        if len(kept) < STATES:
            return
        oldest = kept[-1]
        for number, parts in self.states.items():
            if number < oldest:
                yield from (f"{_KEPT}/{number}/{part}" for part in parts)
        needed = set(remembered)
        for about in About:
            numbers = sorted(number for number, lesson in self.lessons.items() if lesson.about is about)
            before = [number for number in numbers if number <= oldest]
            needed.update(before[-MEMORY:])
        for number, lesson in self.lessons.items():
            if number <= oldest and number not in needed and lesson.at < since:
                yield f"{_LESSON}/{number}"
