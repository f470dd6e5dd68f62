"""What a batch of judged mentions means for reputation: one small record per brand, source and minute.

Additive: counts, departments, intents, campaigns, the sketch of authors and the most-reached mentions of two records
can be merged into exactly what one record of both batches would have said (`merge`). `stories` and `terms` are cut
to the most frequent of each batch, and terms are those of the first ENOUGH_TERMS mentions of a brand and source in it,
so their sums are a lower bound.

The minute is that of `created_at`, except that a mention from the future counts in the minute it was collected, and
one from before 1970 in minute 0: no source's clock can put a count where no window ever looks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from heapq import nsmallest
from itertools import compress, islice
from typing import Final
from zlib import crc32

from pipeline.contract.events import Counts, JudgedMention, Label, Outcome, Pulse, Reason, Sentiment, Top, Towards
from pipeline.core.routing.wordings import words

ALL: Final = "all"  # the brand of an installation without brands
SKETCH: Final = 32  # smallest hashes kept: the distinct count is right within about 18 % beyond that many authors
MOST_TOP: Final = 5
MOST_STORIES: Final = 20
MOST_TERMS: Final = 30
ENOUGH_TERMS: Final = 25  # mentions of a brand and source whose words are looked at: what they are about, all are
_WORDS_OF_ONE: Final = 20  # distinct words one mention adds to `terms`
_LETTERS_OF_ONE: Final = 2000  # of a text that are looked at
_LEAST_LETTERS: Final = 4
_NAMES_AND_LINKS: Final = re.compile(r"＠\S+|https?://\S+|www\.\S+")
_STOP_WORDS: Final = """
    about after again also always another anyone aren been before being both came cant come could didnt does doesnt
    doing done dont down each even ever every from gets getting give goes going gone gonna have havent having here hers
    into isnt itll its ive just keep know less like made make many maybe more most much must need never next only other
    over really said same says shall should since some something still such sure take than that thats their them then
    there theres these they theyre thing things this those though through today told took until upon very want wasnt
    well went were what when where which while will with without wont would yall year years your youre yours yourself
    aber alle auch auf aus bei bin bis dann dass dein denn dieser diese dieses doch eine einem einen einer eines euch
    euer für habe haben hatte hier ihre immer ist jetzt kann kein keine mehr mein meine mich nach nicht noch nur oder
    schon sehr sein seine sich sind über und uns unter vom von wenn werden wird como cuando donde ellos esta este esto
    estos hace hasta para pero porque pues sino sobre solo tiene todo todos unas unos usted ustedes avec avez avoir
    cette comme dans depuis donc elle elles encore entre être fait leur leurs mais même nous plus pour quand quel quoi
    sans sont sous tout tous très vous alla alle anche ancora come cosa così dalla delle dello dopo fare hanno loro
    nella nelle perché quale quando quella quello quindi sempre sono stato sulla tutto tutti aqui assim cada ela eles
    essa esse estou fazer isso isto mais mesmo meu minha muito não nossa nosso para pelo pela porque quem seja são sem
    seu sua também tem uma você vocês https http amp"""
_TOO_COMMON: Final = frozenset(_STOP_WORDS.split())

_REMEMBERED: Final = 50_000  # words looked up before
_LONGEST: Final = 40  # letters of a word worth remembering
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ROUTED, _SPAM = Outcome.ROUTED, Reason.SPAM  # looked up once: Python 3.11 takes 0.2 µs for each
_NEGATIVE, _POSITIVE = Label.NEGATIVE, Label.POSITIVE

Key = tuple[str, str, int, bool]


class _Slot:
    """Everything of one brand, source and minute, before it becomes a record."""

    __slots__ = ("authors", "campaigns", "counts", "departments", "intents", "stories", "terms", "top")

    def __init__(self) -> None:
        self.counts = Counts()
        self.departments: dict[str, int] = {}
        self.intents: dict[str, int] = {}
        self.campaigns: dict[str, Counts] = {}
        self.authors: set[int] = set()
        self.stories: dict[str, int] = {}
        self.terms: Counter[str] = Counter()
        self.top: list[Top] = []


class PulseBatch:
    """Gathers one triage batch. Spam and what was discarded do not count: neither is a customer's voice."""

    def __init__(self) -> None:
        self._slots: dict[Key, _Slot] = {}
        self._read: dict[tuple[str, str, bool], int] = {}  # mentions whose terms were taken

    def add(self, judged: JudgedMention) -> None:
        """Count one judged mention for each of its brands (`all` where none are configured), by what it says of each."""
        if judged.outcome is not _ROUTED or judged.reason is _SPAM:
            return
        author = judged.author
        reach = (author.followers or 0) if author else 0
        who = (author.id or author.handle) if author else None
        sketch = crc32(f"{judged.source}:{who}".encode("utf-8", "replace")) if who else None
        at, source, backfill, story = minute(judged), judged.source, judged.backfill, judged.story
        terms: set[str] | None = None
        for brand in judged.brands or (ALL,):
            key = (brand, source, at, backfill)
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot()
            feeling = judged.sentiment if not judged.towards else judged.towards.get(brand, judged.sentiment)
            _count(slot.counts, feeling, reach)
            departments, intents = slot.departments, slot.intents
            for name in judged.departments:
                departments[name] = departments.get(name, 0) + 1
            for name in judged.intents:
                intents[name] = intents.get(name, 0) + 1
            for campaign in judged.campaigns:
                _count(slot.campaigns.setdefault(campaign, Counts()), feeling, reach)
            if sketch is not None:
                slot.authors.add(sketch)
            if story:
                slot.stories[story] = slot.stories.get(story, 0) + 1
            place = (brand, source, backfill)
            read = self._read.get(place, 0)
            if read < ENOUGH_TERMS:
                self._read[place] = read + 1
                terms = _terms(judged) if terms is None else terms
                slot.terms.update(terms)
            top = slot.top
            if len(top) < MOST_TOP or reach >= top[-1].reach:
                _keep(top, judged, feeling.label, reach)

    def records(self, now: datetime) -> list[Pulse]:
        """Return a record for each brand, source, minute and kind (live, backfill), sorted by these."""
        return [
            Pulse(
                brand=brand,
                source=source,
                minute=at,
                counts=slot.counts,
                sent_at=now,
                departments=slot.departments,
                intents=slot.intents,
                campaigns=slot.campaigns,
                authors=tuple(nsmallest(SKETCH, slot.authors)),
                stories=_most(slot.stories, MOST_STORIES),
                terms=_most(slot.terms, MOST_TERMS),
                top=_top(slot.top),
                backfill=backfill,
            )
            for (brand, source, at, backfill), slot in sorted(self._slots.items())
        ]


def minute(mention: JudgedMention) -> int:
    """Return the epoch minute a mention counts in (see the module's first lines)."""
    since = min(mention.created_at, mention.collected_at) - _EPOCH
    return max(0, since.days * 1440 + since.seconds // 60)


def merge(one: Pulse, other: Pulse) -> Pulse:
    """Return what one record of both would have said. Both are of the same brand, source, minute and kind.

    Raises ValueError where they are not.
    """
    if _key(one) != _key(other):
        raise ValueError(f"pulse records of {_key(one)} and {_key(other)} cannot be merged")
    campaigns = {name: add(counts, Counts()) for name, counts in one.campaigns.items()}
    for name, counts in other.campaigns.items():
        campaigns[name] = add(campaigns.get(name, Counts()), counts)
    return Pulse(
        brand=one.brand,
        source=one.source,
        minute=one.minute,
        counts=add(one.counts, other.counts),
        sent_at=max(one.sent_at, other.sent_at),
        departments=dict(Counter(one.departments) + Counter(other.departments)),
        intents=dict(Counter(one.intents) + Counter(other.intents)),
        campaigns=campaigns,
        authors=tuple(nsmallest(SKETCH, {*one.authors, *other.authors})),
        stories=_most(Counter(one.stories) + Counter(other.stories), MOST_STORIES),
        terms=_most(Counter(one.terms) + Counter(other.terms), MOST_TERMS),
        top=_top([*one.top, *other.top]),
        backfill=one.backfill,
    )


def add(one: Counts, other: Counts) -> Counts:
    """Return the sum of two counts, field by field."""
    return Counts(
        mentions=one.mentions + other.mentions,
        negative=one.negative + other.negative,
        neutral=one.neutral + other.neutral,
        positive=one.positive + other.positive,
        score_sum=one.score_sum + other.score_sum,
        reach=one.reach + other.reach,
    )


def distinct(authors: tuple[int, ...]) -> int:
    """Return how many authors a sketch stands for: exact below SKETCH, else the k-minimum-values estimate.

    Formula: (k - 1) / (k-th smallest hash as a share of all), Bar-Yossef et al., "Counting distinct elements in a data
    stream", RANDOM 2002.
    """
    if len(authors) < SKETCH:
        return len(authors)
    return round((SKETCH - 1) / ((max(authors) + 1) / 2**32))


def _key(pulse: Pulse) -> Key:
    return pulse.brand, pulse.source, pulse.minute, pulse.backfill


def _count(counts: Counts, feeling: Sentiment | Towards, reach: int) -> None:
    counts.mentions += 1
    label = feeling.label
    if label is _NEGATIVE:
        counts.negative += 1
    elif label is _POSITIVE:
        counts.positive += 1
    else:
        counts.neutral += 1
    counts.score_sum += feeling.score
    counts.reach += reach


def _keep(top: list[Top], judged: JudgedMention, label: Label, reach: int) -> None:
    if len(top) >= MOST_TOP and (-reach, judged.id) >= (-top[-1].reach, top[-1].id):
        return
    quoted = Top(id=judged.id, reach=reach, label=label, url=judged.url, story=judged.story)
    top[:] = _top([*top, quoted])


def _top(quoted: Iterable[Top]) -> tuple[Top, ...]:
    return tuple(sorted({one.id: one for one in quoted}.values(), key=lambda one: (-one.reach, one.id))[:MOST_TOP])


def _most(counted: Mapping[str, int], most: int) -> dict[str, int]:
    if len(counted) <= most:
        return dict(counted)
    return dict(nsmallest(most, counted.items(), key=lambda pair: (-pair[1], pair[0])))


def _terms(judged: JudgedMention) -> set[str]:
    """Words that may tell what it is about: what rules saw, tags, words of the text; no handles, no addresses."""
    said = {term for rule in judged.decision.rules if rule.department for term in rule.terms}
    said.update(judged.tags)
    text = without_names(judged.text[:_LETTERS_OF_ONE])
    unique = dict.fromkeys(words(text))
    said.update(islice(compress(unique, map(_TELLING.__getitem__, unique)), _WORDS_OF_ONE))  # in C code
    return said


class _Telling(dict[str, bool]):
    """Word to whether it may tell what a mention is about. Bounded."""

    def __missing__(self, word: str) -> bool:
        if len(self) >= _REMEMBERED:
            self.clear()
        tells = len(word) >= _LEAST_LETTERS and word not in _TOO_COMMON and not word.isdecimal()
        if len(word) <= _LONGEST:
            self[word] = tells
        return tells


_TELLING: Final = _Telling()


def without_names(text: str) -> str:
    """Return a text without handles, mail addresses and web addresses."""
    if "@" in text:  # chunk by chunk: an expression for what may stand before an @ asks at every letter
        text = " ".join([chunk for chunk in text.split() if "@" not in chunk[:-1]])
    if "://" in text or "www." in text or "＠" in text:
        text = _NAMES_AND_LINKS.sub(" ", text)
    return text
