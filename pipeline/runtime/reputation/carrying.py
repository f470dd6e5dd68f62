"""From a record of `pulse` to the fold and back: states change, alerts and heartbeats are set down for the commit.

Synchronous from end to end, so that a commit never sees half of an event. Received = processed + discarded +
dead-lettered, counted when committed: a record that an ended worker had read but not committed counts once, with the
worker that does commit it. What a state knows already (an offset it has, seen again after somebody put the group's
offsets back) is discarded as a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from pipeline.config.model import AlertRules, Config
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Alert, Heartbeat, Pulse, Reason, Severity, Tick
from pipeline.contract.metrics import Metrics
from pipeline.core.reputation import fold
from pipeline.core.reputation.state import Brand, total
from pipeline.core.reputation.symptoms import usual, window
from pipeline.runtime import dead_letters
from pipeline.runtime.reputation.partitions import STAGE, Partition, Record
from pipeline.topology import ALERTS, HEARTBEATS, PULSE

DEAD: Final = PULSE + "-dlq"
SOURCE: Final = "/earshot/reputation"
AHEAD: Final = 300.0  # seconds a pulse's minute may be ahead of our clock: clocks of machines differ

log = structlog.get_logger(__name__)


class FoldFailedError(Exception):
    """The fold raised in the middle of an event: the partition must go back to what is committed."""


class Carrier:
    """Carries one record at a time. `config` and `metrics` are the role's."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self.config = config
        self.metrics = metrics
        metrics.declare(STAGE, reasons=[reason.value for reason in Reason], topics=[ALERTS, HEARTBEATS, DEAD])
        metrics.transactions.labels(STAGE, "fenced")
        self._gauges = (metrics.brand_mentions, metrics.brand_baseline, metrics.brand_negative, metrics.brand_reach)
        self._shown: set[str] = set()

    def rules(self, brand: str) -> AlertRules:
        """Return the alert rules of a brand: its own, else those of all."""
        return self.config.alerts.brands.get(brand, self.config.alerts)

    def carry(self, partition: Partition, message: Any, now: datetime) -> None:
        """Fold one record. Raises FoldFailedError on an error of ours; the second time the record is a dead letter."""
        partition.messages.append(message)
        partition.next = message.offset + 1
        partition.received += 1
        partition.counts[self.metrics.received.labels(STAGE)] += 1
        if message.offset in partition.poison:
            self._dead_letter(partition, message, Reason.FAILED, "the fold raised an error; see the worker's log", now)
            return
        try:
            is_known = self._dispatch(partition, message, now)
        except InvalidMessageError as error:
            self._dead_letter(partition, message, error.reason, str(error), now)
        except Exception as error:
            log.exception("reputation failed", stage=STAGE, partition=partition.number, offset=message.offset)
            partition.poison.add(message.offset)
            raise FoldFailedError from error
        else:
            done = self.metrics.discarded.labels(STAGE, Reason.DUPLICATE.value) if is_known else None
            partition.counts[done or self.metrics.processed.labels(STAGE)] += 1

    def _dispatch(self, partition: Partition, message: Any, now: datetime) -> bool:
        kind = codec.header(_headers(message), "ce_type")
        if kind == codec.TYPES[Tick]:
            return self._time_passes(partition, codec.decode(Tick, message.value), message.offset)
        if kind == codec.TYPES[Heartbeat]:
            self._pass_on(partition, codec.decode(Heartbeat, message.value), now)
            return False
        return self._count(partition, codec.decode(Pulse, message.value), message.offset, _latest(message, now))

    def _count(self, partition: Partition, pulse: Pulse, offset: int, latest: float) -> bool:
        if not 0 <= pulse.minute * 60 <= latest + AHEAD:
            raise InvalidMessageError("the minute is before 1970 or in the future")
        if not pulse.brand:
            raise InvalidMessageError("the brand is empty")
        key = pulse.brand.encode("utf-8", "replace")
        state = partition.brand(key)
        if not fold.is_new(state, partition.number, offset):
            return True
        late = state.late
        told = fold.pulse(state, pulse, self.rules(pulse.brand))
        if state.late > late:
            partition.counts[self.metrics.late.labels(pulse.brand)] += 1
        self._tell(partition, key, told)
        return False

    def _time_passes(self, partition: Partition, tick: Tick, offset: int) -> bool:
        minute = int(tick.at.timestamp() // 60)
        is_known = False
        for key in partition.known():
            state = partition.brand(key)
            before = (state.watermark, state.quiet_ticks)
            if not fold.is_new(state, partition.number, offset):
                is_known = True
                continue
            told = fold.tick(state, minute, self.rules(state.brand))
            if told or (state.watermark, state.quiet_ticks) != before:
                self._tell(partition, key, told)
        return is_known

    def _tell(self, partition: Partition, key: bytes, told: list[Alert]) -> None:
        for alert in told:
            headers: Any = codec.headers(
                Alert, event_id=f"{alert.fingerprint}-{alert.sequence}", source=SOURCE, at=alert.updated_at
            )
            name = f"{alert.brand}/{alert.fingerprint}".encode()
            partition.records.append(Record(ALERTS, name, codec.encode(alert), headers, partition.number))
            partition.counts[self.metrics.alerts.labels(alert.brand, alert.name, alert.status.value)] += 1
            partition.counts[self.metrics.sent.labels(STAGE, ALERTS)] += 1
            log.info(
                "alert", brand=alert.brand, alert=alert.name, status=alert.status.value, severity=alert.severity.value
            )
        partition.changed.add(key)

    def _pass_on(self, partition: Partition, beat: Heartbeat, now: datetime) -> None:
        passed = msgspec.structs.replace(beat, stage=STAGE, passed_at=now)
        name = f"heartbeat-{beat.partition}"
        headers: Any = codec.headers(
            Heartbeat, event_id=f"{name}-{beat.sent_at.timestamp():.3f}", source=SOURCE, at=now
        )
        partition.records.append(Record(HEARTBEATS, name.encode(), codec.encode(passed), headers, partition.number))
        self.metrics.heartbeat.labels(STAGE).set(now.timestamp())
        self.metrics.heartbeat_seconds.labels(STAGE).set((now - beat.sent_at).total_seconds())
        partition.counts[self.metrics.sent.labels(STAGE, HEARTBEATS)] += 1

    def _dead_letter(self, partition: Partition, message: Any, reason: Reason, error: str, now: datetime) -> None:
        headers = dead_letters.mark(
            _headers(message),
            topic=PULSE,
            partition=message.partition,
            offset=message.offset,
            reason=reason.value,
            error=error,
            stage=STAGE,
            now=now,
        )
        partition.records.append(Record(DEAD, message.key, message.value, headers, None))
        partition.dead += 1
        partition.counts[self.metrics.dead_letters.labels(STAGE, reason.value)] += 1
        partition.counts[self.metrics.sent.labels(STAGE, DEAD)] += 1

    def show(self, partitions: Iterable[Partition]) -> None:
        """Set the gauges of these partitions' brands to the current windows; those of brands that have gone go, too."""
        had, self._shown = self._shown, set()
        for partition in partitions:
            for key in partition.known():
                state = partition.brand(key)
                if "brand" in state.series:
                    self._show(state)
                    self._shown.add(state.brand)
        for brand in had - self._shown:  # another worker shows them now
            for gauge in self._gauges:
                gauge.remove(brand)
            for severity in Severity:
                self.metrics.incidents.remove(brand, severity.value)

    def _show(self, state: Brand) -> None:
        rules = self.rules(state.brand)
        length = window(rules)
        counts = total(state.series["brand"], state.watermark - length + 1, state.watermark)
        normal = usual(state, "brand", rules, state.watermark - length)
        expected = normal.rate * length if normal else float("nan")
        for gauge, value in zip(
            self._gauges, (counts[0], expected, counts[1] / counts[0] if counts[0] else 0.0, counts[4]), strict=True
        ):
            gauge.labels(state.brand).set(value)
        for severity in Severity:
            firing = sum(incident.severity == severity.value for incident in state.incidents.values())
            self.metrics.incidents.labels(state.brand, severity.value).set(firing)


def windows(state: Brand, rules: AlertRules) -> dict[str, Any]:
    """Return the current window of each scope beside its baseline, and the open incidents, for a person."""
    length = window(rules)
    first = state.watermark - length + 1
    scopes = {}
    for scope, series in state.series.items():
        counts = total(series, first, state.watermark)
        normal = usual(state, scope, rules, state.watermark - length)
        scopes[scope] = {
            "mentions": int(counts[0]),
            "negative": int(counts[1]),
            "positive": int(counts[2]),
            "usually": round(normal.rate * length, 1) if normal else None,
        }
    incidents = {incident.name: incident.fingerprint for incident in state.incidents.values()}
    until = datetime.fromtimestamp((state.watermark + 1) * 60, UTC).isoformat()
    return {"until": until, "minutes": length, "counted": state.counted, "scopes": scopes, "incidents": incidents}


def _latest(message: Any, now: datetime) -> float:
    """Return the later of our clock and the record's, in epoch seconds: one clock that is behind refuses nothing sound."""
    return max(now.timestamp(), message.timestamp or 0.0)


def _headers(message: Any) -> list[tuple[str, bytes | None]]:
    headers = message.headers or {}
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)
