"""What one transaction of triage does, gathered before anything is sent or counted: an aborted one leaves no trace."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from pipeline.contract.events import JudgedMention, Label, Outcome, Reason
from pipeline.contract.metrics import Metrics
from pipeline.core.pulse import PulseBatch

_DISCARDED: Final = Outcome.DISCARDED  # looked up once: Python 3.11 takes 0.2 µs for it

Record = tuple[str, bytes | None, str | bytes | None, int, Any]
"""Topic, value, key, partition, headers."""


class Batch:
    """What is written, its sums, its pulse, and from where to begin again should it be undone."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.records: list[Record] = []
        self.received = 0
        self.processed = 0
        # Plain dicts that count: a Counter finds what it has not seen yet in Python, not in C.
        self.discarded: defaultdict[str, int] = defaultdict(int)
        self.dead: defaultdict[str, int] = defaultdict(int)
        self.sent: defaultdict[str, int] = defaultdict(int)
        self.departments: defaultdict[str, int] = defaultdict(int)
        self.judged: defaultdict[tuple[str, Label], int] = defaultdict(int)
        self.languages: defaultdict[str, int] = defaultdict(int)
        self.rules: defaultdict[str, int] = defaultdict(int)
        self.ages: list[float] = []  # seconds between collection and `now`
        self.heartbeat: datetime | None = None
        self.pulse = PulseBatch()
        self.marks: dict[int, Any] = {}  # by partition: where its memory stood
        self.first: dict[int, int] = {}  # by partition: the first offset of the batch
        self.next: dict[int, int] = {}  # by partition: the offset to commit

    def send(self, topic: str, value: bytes | None, key: str | bytes | None, headers: Any, partition: int = -1) -> None:
        """Add a record. Partition -1 is the one of its key."""
        self.sent[topic] += 1
        self.records.append((topic, value, key, partition, headers))

    def add(self, judged: JudgedMention, now: datetime, *, is_first: bool) -> None:
        """Count a mention that was judged. One that is not the first of its id is an edit, and no second voice."""
        for department in judged.departments:
            self.departments[department] += 1
        if judged.outcome is _DISCARDED:
            self.discarded[(judged.reason or Reason.FAILED).value] += 1
        else:
            self.processed += 1
            if is_first:
                self.pulse.add(judged)
            label = judged.sentiment.label
            for brand in judged.brands or ("all",):
                own = judged.towards.get(brand) if judged.towards else None
                self.judged[brand, label if own is None else own.label] += 1
            self.languages[judged.language or "und"] += 1
            for rule in judged.decision.rules:
                self.rules[rule.name] += 1
        if not judged.backfill:
            self.ages.append((now - judged.collected_at).total_seconds())

    def count(self, metrics: Metrics, stage: str) -> None:
        """Move the counters, once the transaction is committed."""
        seconds = time.monotonic() - self.began
        metrics.received.labels(stage).inc(self.received)
        metrics.processed.labels(stage).inc(self.processed)
        metrics.transactions.labels(stage, "committed").inc()
        metrics.stage_seconds.labels(stage).observe(seconds)
        for reason, count in self.discarded.items():
            metrics.discarded.labels(stage, reason).inc(count)
        for reason, count in self.dead.items():
            metrics.dead_letters.labels(stage, reason).inc(count)
        for topic, count in self.sent.items():
            metrics.sent.labels(stage, topic).inc(count)
        for department, count in self.departments.items():
            metrics.routed.labels(department).inc(count)
        for (brand, label), count in self.judged.items():
            metrics.judged.labels(brand, label.value).inc(count)
        for language, count in self.languages.items():
            metrics.languages.labels(language).inc(count)
        for rule, count in self.rules.items():
            metrics.rule_hits.labels(rule).inc(count)
        metrics.mention_age.labels(stage).observe_all([age + seconds for age in self.ages])
        if self.heartbeat:
            metrics.heartbeat.labels(stage).set(self.heartbeat.timestamp())
