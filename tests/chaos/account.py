"""What must have come out, counted by read_committed consumers of every topic."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from pipeline.broker.client import quiet
from pipeline.contract import codec
from pipeline.contract.events import Alert, AlertStatus, Erasure, JudgedMention, Lesson, Mention, Pulse, Reason
from pipeline.core.reputation.state import Brand, load
from pipeline.runtime.reading import Reader
from pipeline.topology import ALERTS, BRANDS, DEPARTMENT, ENRICHED, ERASURES, FEEDBACK, LESSONS, MENTIONS, PULSE
from tests.chaos.load import BRANDS as STORMY
from tests.chaos.load import Truth
from tests.chaos.site import Receiver

DAMAGE = "ReputationDamage"
DEPARTMENTS = ("service", "support", "design", "marketing", "review")


@dataclass
class Account:
    """The sums, and of each thing that is wrong a few examples. `wrong` is empty when all is well."""

    sums: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def expect(self, what: str, found: list[Any]) -> None:
        """Note what is wrong, if anything."""
        self.sums[what] = len(found)
        if found:
            self.wrong[what] = len(found)
            self.examples[what] = [str(one)[:200] for one in found[:5]]


def read(client: dict[str, str], *topics: str) -> list[Any]:
    """Return all committed records of these topics."""
    with Reader(quiet(client), topics, "beginning", timeout=30) as reader:
        return list(reader.until_end())


def key_of(mention: Mention) -> tuple[str, int, str]:
    """Return what names one revision of a mention."""
    return mention.id, mention.revision, mention.state.value


def mentions(client: dict[str, str], topic: str) -> Counter[tuple[str, int, str]]:
    """Return how often each revision stands on `mentions`; heartbeats and what cannot be read are left out."""
    found: Counter[tuple[str, int, str]] = Counter()
    for record in read(client, topic):
        try:
            one = codec.decode(Mention, record.value())
        except codec.InvalidMessageError:
            continue
        if one.source != "heartbeat":
            found[key_of(one)] += 1
    return found


def states(client: dict[str, str]) -> dict[str, Brand]:
    """Return the folded states by brand."""
    latest = {record.key(): record.value() for record in read(client, BRANDS)}
    return {key.decode(): load(value) for key, value in latest.items() if value is not None}


def pulses(client: dict[str, str]) -> Counter[tuple[str, str]]:
    """Return mentions by brand and source, added up over `pulse`."""
    found: Counter[tuple[str, str]] = Counter()
    for record in read(client, PULSE):
        if codec.header(record.headers(), "ce_type") == codec.TYPES[Pulse]:
            one = codec.decode(Pulse, record.value())
            found[one.brand, one.source] += one.counts.mentions
    return found


def lessons(client: dict[str, str]) -> list[Lesson]:
    """Return all lessons, in the order in which they were learned."""
    return [
        codec.decode(Lesson, record.value())
        for record in read(client, LESSONS)
        if record.value() is not None and codec.header(record.headers(), "ce_type") == codec.TYPES[Lesson]
    ]


def alerts(client: dict[str, str]) -> list[Alert]:
    """Return all alerts, in the order of their partitions."""
    return [codec.decode(Alert, record.value()) for record in read(client, ALERTS) if record.value() is not None]


def incidents(found: list[Alert]) -> dict[str, list[Alert]]:
    """Return the records of each incident."""
    by_fingerprint: dict[str, list[Alert]] = defaultdict(list)
    for alert in found:
        by_fingerprint[alert.fingerprint].append(alert)
    return by_fingerprint


def is_wellformed(records: list[Alert]) -> bool:
    """Whether an incident has each sequence once, in order, and nothing after its end."""
    sequences = [alert.sequence for alert in records]
    ends = [place for place, alert in enumerate(records) if alert.status is AlertStatus.RESOLVED]
    return sequences == list(range(sequences[0], sequences[0] + len(sequences))) and ends in ([], [len(records) - 1])


def make(client: dict[str, str], truth: Truth, receiver: Receiver) -> Account:
    """Return the account of a run that has come to rest."""
    account = Account()
    _of_mentions(account, client, truth)
    judged = _of_enriched(account, client, truth)
    _of_departments(account, client, judged)
    _of_rest(account, client, truth)
    _of_reputation(account, client, judged)
    _of_alerts(account, client, truth, receiver)
    _of_learning(account, client, truth)
    return account


def _of_mentions(account: Account, client: dict[str, str], truth: Truth) -> None:
    published = mentions(client, MENTIONS)
    account.sums["given by sources"] = sum(truth.given.values())
    account.sums["published on mentions"] = sum(published.values())
    account.expect(
        "lost before mentions",
        [key for key, count in truth.given.items() if published[key] < count and key not in truth.maybe],
    )
    account.expect("duplicated on mentions", [key for key, count in published.items() if count > truth.given[key]])


def _of_enriched(account: Account, client: dict[str, str], truth: Truth) -> list[JudgedMention]:
    judged = [codec.decode(JudgedMention, record.value()) for record in read(client, ENRICHED)]
    counts = Counter(map(key_of, judged))
    account.sums["on mentions-enriched"] = len(judged)
    account.sums["routed"] = sum(one.outcome == "routed" for one in judged)
    account.sums["discarded with a reason"] = sum(one.outcome == "discarded" for one in judged)
    account.sums["about no brand, only counted"] = len(truth.given.keys() - truth.relevant)
    account.expect(
        "lost before mentions-enriched", [key for key in truth.relevant if not counts[key] and key not in truth.maybe]
    )
    account.expect("duplicated on mentions-enriched", [key for key, count in counts.items() if count > 1])
    account.expect("never given, yet on mentions-enriched", [key for key in counts if key not in truth.relevant])
    return judged


def _of_departments(account: Account, client: dict[str, str], judged: list[JudgedMention]) -> None:
    # What was taken back goes to those who had it.
    expected = Counter((*key_of(one), name) for one in judged for name in one.departments)
    found: Counter[tuple[str, int, str, str]] = Counter()
    for record in read(client, *(DEPARTMENT + name for name in DEPARTMENTS)):
        one = codec.decode(JudgedMention, record.value())
        found[(*key_of(one), record.topic().removeprefix(DEPARTMENT))] += 1
        if not codec.header(record.headers(), "ce_departments"):
            found[("no decision", 0, "", "")] += 1
    account.sums["on department topics"] = sum(found.values())
    account.expect("lost before department topics", [key for key in expected if not found[key]])
    account.expect("duplicated on department topics", [key for key, count in found.items() if count > 1])
    account.expect("on a wrong department", [key for key in found if key not in expected])


def _of_rest(account: Account, client: dict[str, str], truth: Truth) -> None:
    letters = Counter(record.value() for record in read(client, f"{MENTIONS}-dlq"))
    account.sums["dead-lettered"] = sum(letters.values())
    account.expect("lost before mentions-dlq", [value for value in truth.broken if not letters[value]])
    account.expect("duplicated on mentions-dlq", [value for value, count in letters.items() if count > 1])
    account.expect("dead-lettered though sound", [value for value in letters if value not in truth.broken])
    erasures = Counter(
        codec.decode(Erasure, record.value()).id for record in read(client, ERASURES) if record.value() is not None
    )
    account.sums["erasures"] = sum(erasures.values())
    account.expect("lost before erasures", [one for one in truth.erased if not erasures[one]])
    account.expect("duplicated on erasures", [one for one, count in erasures.items() if count > truth.erased[one]])
    for topic in (PULSE, ALERTS):
        account.expect(f"dead letters of {topic}", [r.value() for r in read(client, f"{topic}-dlq")])


def _of_reputation(account: Account, client: dict[str, str], judged: list[JudgedMention]) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    by_id: dict[str, list[JudgedMention]] = defaultdict(list)
    for one in judged:
        by_id[one.id].append(one)
    for revisions in by_id.values():
        one = min(revisions, key=lambda each: (each.is_withdrawn, each.revision))
        if one.outcome == "routed" and one.reason is not Reason.SPAM:
            for brand in one.brands:
                expected[brand, one.source] += 1
    sent = pulses(client)
    folded = states(client)
    account.sums["counted by pulse"] = sum(sent.values())
    account.expect(
        "wrong sums on pulse",
        [f"{key}: {sent[key]} of {expected[key]}" for key in {*sent, *expected} if sent[key] != expected[key]],
    )
    brands: Counter[str] = Counter()
    for (brand, _), count in sent.items():
        brands[brand] += count
    totals = {brand: state.counted + state.late for brand, state in folded.items()}
    account.sums["folded by reputation"] = sum(totals.values())
    account.expect(
        "wrong reputation totals",
        [
            f"{brand}: {totals.get(brand, 0)} of {brands[brand]}"
            for brand in {*brands, *totals}
            if totals.get(brand, 0) != brands[brand]
        ],
    )
    by_source = {
        (brand, scope.removeprefix("source:")): round(sum(cell[0] for cell in series.blocks.values()))
        for brand, state in folded.items()
        for scope, series in state.series.items()
        if scope.startswith("source:") and not state.late
    }
    account.expect(
        "wrong totals of a source",
        [f"{key}: {count} of {sent[key]}" for key, count in by_source.items() if count != sent[key]],
    )


def _of_alerts(account: Account, client: dict[str, str], truth: Truth, receiver: Receiver) -> None:
    found = incidents(alerts(client))
    account.sums["incidents"] = len(found)
    account.expect(
        "incidents whose records are not 1, 2, 3 … to the end",
        [
            (name, [(alert.sequence, alert.status.value) for alert in records])
            for name, records in found.items()
            if not is_wellformed(records)
        ],
    )
    damage = Counter(records[0].brand for records in found.values() if records[0].name == DAMAGE)
    account.sums["scripted incidents"] = truth.storms * len(STORMY)
    account.expect("scripted incidents fired never", [brand for brand in STORMY if damage[brand] < truth.storms])
    account.expect("scripted incidents fired twice", [brand for brand in STORMY if damage[brand] > truth.storms])
    account.expect(
        "incidents never resolved",
        [
            (records[0].brand, records[0].name)
            for records in found.values()
            if records[-1].status is not AlertStatus.RESOLVED and records[0].name == DAMAGE
        ],
    )
    account.sums["notifications"] = len(receiver.bodies)
    account.sums["notifications repeated with the same key"] = sum(len(b) - 1 for b in receiver.bodies.values())
    account.sums["of these, with newer figures"] = sum(len(set(bodies)) - 1 for bodies in receiver.seen.values())
    account.expect(
        "notifications that differ under one key",
        [key for key, bodies in receiver.seen.items() if len(set(map(_about, bodies))) > 1],
    )
    missing = [
        f"{name}-{status}"
        for name, records in found.items()
        for status in ("firing", *(("resolved",) if records[-1].status is AlertStatus.RESOLVED else ()))
        if not any(key.startswith(f"{name}-{status}-") for key in receiver.bodies)
    ]
    account.expect("notifications missing", missing)
    account.expect("notifications of nothing", [key for key in receiver.seen if key.split("-")[0] not in found])


def _of_learning(account: Account, client: dict[str, str], truth: Truth) -> None:
    found = lessons(client)
    counts = Counter(lesson.id for lesson in found)
    account.sums["said by departments"] = len(truth.taught)
    account.sums["lessons"] = len(found)
    account.expect("said, and never learned", [one for one in truth.taught if not counts[one]])
    account.expect("learned twice", [one for one, count in counts.items() if count > 1])
    account.expect("learned, and never said", list(counts.keys() - set(truth.taught)))
    numbers = [lesson.number for lesson in found]
    account.expect(
        "lessons out of order", [pair for pair in enumerate(numbers, 1) if pair[0] != pair[1]] if numbers else []
    )
    account.expect("dead letters of feedback", [record.value() for record in read(client, f"{FEEDBACK}-dlq")])


def _about(body: bytes) -> tuple[str, ...]:
    """Return what a notification is about: what is told again after a death may have newer figures of the incident."""
    alert = json.loads(body)["data"]["alert"]
    return tuple(str(alert[name]) for name in ("fingerprint", "name", "brand", "status", "started_at"))
