"""THE MAP. A mention's way through earshot, top to bottom. No logic here.

    sources ── connectors ──> mentions ── triage ──┬─> mentions-enriched       (every relevant mention, once)
                   │                               ├─> department-<name>       (who can act on it)
                   ├─> connector-checkpoints       ├─> department-review       (not sure, or quarantined)
                   ├─> connector-memory            ├─> pulse ── reputation ──> alerts ── notify ──> on-call
                   ├─> mentions-raw (if wanted)    ├─> erasures          └──> heartbeats ──┘
                   └─> coverage                    ├─> mentions-dlq
                                                   └─> feedback ── learning ──> lessons ──> every triage worker
    departments ── command, webhook ──────────────────────^

Read `STAGES` for who reads and writes what, `topics()` for how each topic is kept. `earshot topics show` prints both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.contract import events

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

MENTIONS: Final = "mentions"
ENRICHED: Final = "mentions-enriched"
DEPARTMENT: Final = "department-"  # followed by the department's name
REVIEW: Final = "review"
PULSE: Final = "pulse"
ALERTS: Final = "alerts"
HEARTBEATS: Final = "heartbeats"
ERASURES: Final = "erasures"
COVERAGE: Final = "coverage"
CHECKPOINTS: Final = "connector-checkpoints"
MEMORY: Final = "connector-memory"
RAW: Final = "mentions-raw"
BRANDS: Final = "reputation-brands"
FEEDBACK: Final = "feedback"
LESSONS: Final = "lessons"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step between topics: a verb, its engine, what it reads and what it writes."""

    name: str
    engine: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    does: str


STAGES: Final = (
    # A page of mentions and its checkpoint in one transaction; the connector instance is the transactional id.
    Stage(
        "connectors",
        "aiokafka",
        (CHECKPOINTS, MEMORY, ERASURES),
        (MENTIONS, CHECKPOINTS, MEMORY, COVERAGE, RAW),
        "fetch, publish, checkpoint, read again, erase what was kept raw",
    ),
    # Mention in, JudgedMention out; offsets in the same transaction with the group's metadata (KIP-447).
    Stage(
        "triage",
        "confluent-kafka",
        (MENTIONS, LESSONS),
        (ENRICHED, DEPARTMENT + "*", PULSE, ERASURES, FEEDBACK, MENTIONS + "-dlq"),
        "match, deduplicate, judge, route, count",
    ),
    # Pulse and Tick in, Alert out; states, alerts and the offset in one transaction a partition.
    Stage(
        "reputation",
        "Faust",
        (PULSE, BRANDS),
        (ALERTS, HEARTBEATS, BRANDS, PULSE + "-dlq"),
        "fold windows, find incidents",
    ),
    # Feedback in, Lesson out; lessons and offset in one transaction. Feedback also comes from outside: the command
    # `earshot feedback` and the webhook that this role serves.
    Stage(
        "learning",
        "confluent-kafka",
        (FEEDBACK, LESSONS, ERASURES),
        (LESSONS, FEEDBACK + "-dlq"),
        "take labels, learn, compare, keep versions",
    ),
    # Alert in, notification out; at least once, with a key that lets receivers drop repeats.
    Stage("notify", "aiokafka", (ALERTS, HEARTBEATS), (ALERTS + "-dlq",), "tell on-call, repeat until resolved"),
)


@dataclass(frozen=True, slots=True)
class Topic:
    """How one topic is kept. `retention` is in seconds, None is forever; `key` is part of the contract.

    `event` is what its values are, None where they are the writing stage's own business. `also` are other events on
    it, told apart by the header `ce_type`.
    """

    name: str
    event: type | None
    key: str
    means: str
    partitions: int
    cleanup: Literal["delete", "compact", "compact,delete"] = "delete"
    retention: float | None = 7 * DAY
    replication: int = 1
    max_message_bytes: int = 2_000_000
    also: tuple[type, ...] = ()


def topics(
    departments: Sequence[str],
    *,
    partitions: int = 4,
    replication: int = 1,
    retention: float = 30 * DAY,
    raw_retention: float = 7 * DAY,
) -> tuple[Topic, ...]:
    """Every topic of an installation with these departments; retentions in seconds, of mentions and of raw payloads."""

    def topic(name: str, event: type | None, key: str, means: str, **kept: object) -> Topic:
        return Topic(name, event, key, means, **{"partitions": partitions, "replication": replication, **kept})  # type: ignore[arg-type]

    thread, brand = "conversation, else id", "brand"
    mentions, judged = events.Mention, events.JudgedMention
    return (
        topic(MENTIONS, mentions, thread, "what connectors heard", retention=retention),
        topic(ENRICHED, judged, thread, "every relevant mention, once, with its decision", retention=retention),
        *(
            topic(DEPARTMENT + name, judged, thread, f"what {name} can act on", retention=retention)
            for name in dict.fromkeys((*departments, REVIEW))
        ),
        topic(
            PULSE,
            events.Pulse,
            brand,
            "counts by brand, source and minute",
            retention=2 * DAY,
            also=(events.Tick, events.Heartbeat),
        ),
        topic(ALERTS, events.Alert, "brand/fingerprint", "incidents", cleanup="compact,delete", retention=90 * DAY),
        topic(BRANDS, None, brand, "what reputation remembers", cleanup="compact", retention=None),
        topic(
            HEARTBEATS,
            events.Heartbeat,
            "heartbeat-partition",
            "heartbeats that came",
            cleanup="compact,delete",
            retention=HOUR,
        ),
        topic(ERASURES, events.Erasure, "id", "what must be erased", cleanup="compact,delete", retention=90 * DAY),
        topic(COVERAGE, events.Coverage, "connector", "what was heard and what was not", retention=90 * DAY),
        topic(CHECKPOINTS, events.Checkpoint, "connector", "where connectors go on", cleanup="compact", retention=None),
        topic(
            MEMORY,
            events.Remembered,
            "connector/number",  # in the partition of the connector's name, so that one is read to know it all
            "what connectors will read again",
            cleanup="compact",
            retention=None,
        ),
        topic(
            RAW,
            events.RawPayload,
            "id",
            "what sources sent, where it is kept",
            cleanup="compact,delete",
            retention=raw_retention,
        ),
        # One partition each: labels are learned in one order, and everybody reads the same one.
        topic(FEEDBACK, events.Feedback, "id", "what people say about decisions", partitions=1, retention=retention),
        topic(
            LESSONS,
            events.Lesson,
            "lesson/number",
            "what was learned, in order, and the models that came of it",
            partitions=1,
            cleanup="compact",
            retention=None,
            also=(events.KeptModel,),
        ),
        *(
            topic(f"{name}-dlq", event, "as received", f"dead letters of {name}", partitions=1, retention=90 * DAY)
            for name, event in (
                (MENTIONS, mentions),
                (PULSE, events.Pulse),
                (ALERTS, events.Alert),
                (FEEDBACK, events.Feedback),
            )
        ),
    )
