"""The plan of one partition of `alerts`: what every receiver has still to be told, in order, and what is finished.

A shell reads records and calls `take`, sends what `due` returns and reports each outcome with `delivered`, `failed`
or `refused`; then it collects what is `finished` and commits `position`. Promises, held by tests:

- At least once: the position never passes a record before every receiver has it, or it was given up.
- A repeated delivery has the same key. An incident fires once and is resolved once at each receiver.
- Resolved follows firing: who was not told that an incident fires is not told that it is over, and the other way round.
- Nobody is told of an alert that is held, and nobody of an old one that is over already.
- Receivers do not wait for each other, and incidents of one receiver do not wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pipeline.contract.events import Alert, AlertStatus, Reason, Severity
from pipeline.core.notifying import log as logs
from pipeline.core.notifying import pacing
from pipeline.core.notifying.values import RANK, Became, Notification, Occasion, Receiver, Record, Told, key_of
from pipeline.core.notifying.work import Fate, Finished, Incident, Work

MAX_AGE: Final = 86_400.0  # seconds; what is older and over already is told to nobody


class Plan:
    """See the module. `position` is the offset to begin at."""

    def __init__(self, receivers: Sequence[Receiver], waits: pacing.Waits | None = None, *, position: int = 0) -> None:
        self.receivers = {receiver.name: receiver for receiver in receivers}
        self.position_read = position
        self._waits = waits or pacing.Waits()
        self._incidents: dict[str, Incident] = {}
        self._seen: dict[str, tuple[int, bool]] = {}  # the newest record of every incident, also of those over
        self._ahead: dict[str, tuple[int, bool]] = {}
        self._fates: dict[int, Fate] = {}
        self._finished: list[Finished] = []

    @classmethod
    def restored(
        cls,
        receivers: Sequence[Receiver],
        waits: pacing.Waits,
        *,
        position: int,
        past: Iterable[Record],
        ahead: Iterable[Record],
        log: logs.Log,
        now: datetime,
    ) -> Plan:
        """Return the plan of a partition as another worker left it.

        `past` are the records before `position`, `ahead` those from there on, as they stand on the compacted topic;
        `log` was committed with the position. Where it is silent, everybody is assumed to have been told as usual.
        """
        plan = cls(receivers, waits, position=position)
        last: dict[str, int] = {}
        for record in ahead:
            last[record.alert.fingerprint] = record.offset
            found = plan._ahead.get(record.alert.fingerprint, record.order)
            plan._ahead[record.alert.fingerprint] = max(found, record.order)
        newest: dict[str, Record] = {}
        for record in past:
            known = newest.get(record.alert.fingerprint)
            if known is None or known.order < record.order:
                newest[record.alert.fingerprint] = record
        for fingerprint, record in newest.items():
            plan._seen[fingerprint] = record.order
            if record.alert.status is AlertStatus.FIRING:
                told = log.told.get(fingerprint)
                if told is None:
                    told = {} if log.is_whole or record.alert.held else plan._as_usual(record.alert)
                plan._reopen(
                    fingerprint, record, {name: one for name, one in told.items() if name in plan.receivers}, now
                )
        for fingerprint, told in log.told.items():
            if fingerprint not in plan._incidents:
                # Told of records that will be read again: kept until the last of them has been.
                plan._incidents[fingerprint] = Incident(last.get(fingerprint, position), told=dict(told))
        return plan

    def _as_usual(self, alert: Alert) -> dict[str, Told]:
        told = Told(alert.sequence, alert.severity, alert.severity)
        return {name: told for name, one in self.receivers.items() if alert.severity in one.severities}

    def _reopen(self, fingerprint: str, record: Record, told: dict[str, Told], now: datetime) -> None:
        incident = Incident(record.offset, record, told)
        for name, receiver in self.receivers.items():
            incident.again_at[name] = now
            if not receiver.keeps_state:
                incident.repeated[name] = pacing.repetition(record.at, receiver.repeat_every, now)
            else:
                incident.repeated[name] = -1
        self._incidents[fingerprint] = incident

    # ------------------------------------------------------------------------------------------------- records

    def take(self, record: Record, now: datetime) -> None:
        """Plan what a record asks for. Records come in the order of their offsets."""
        alert = record.alert
        fingerprint = alert.fingerprint
        self.position_read = record.offset + 1
        if fingerprint in self._seen and record.order <= self._seen[fingerprint]:
            self._finish(Finished(record.offset, Became.DISCARDED, Reason.DUPLICATE))
            return
        self._seen[fingerprint] = record.order
        incident = self._incidents.get(fingerprint)
        if incident is None:
            incident = self._incidents[fingerprint] = Incident(record.offset)
        incident.last_offset = record.offset
        incident.newest = record
        self._fates[record.offset] = fate = Fate()
        if alert.status is AlertStatus.RESOLVED:
            held = self._resolve(incident, record, fate)
        else:
            held = self._fire(incident, record, fate, now)
        if fate.waiting == 0:
            del self._fates[record.offset]
            if held is None:
                self._finish(Finished(record.offset, Became.PROCESSED))
            else:
                reason = Reason.TOO_OLD if held == "too_old" else Reason.MUTED
                self._finish(Finished(record.offset, Became.DISCARDED, reason, held))

    def pass_over(self, offset: int) -> None:
        """Move on past a record that is no alert."""
        self.position_read = offset + 1

    def forget(self, fingerprint: str) -> None:
        """Stop telling of an incident whose record was erased from the topic (a tombstone)."""
        incident = self._incidents.get(fingerprint)
        if incident is not None:
            incident.newest = None

    def _fire(self, incident: Incident, record: Record, fate: Fate, now: datetime) -> str | None:
        """Plan for a firing record; return why nobody is told, None when somebody is or knows already."""
        alert = record.alert
        is_old = (now - record.at).total_seconds() > MAX_AGE and self._ahead.get(alert.fingerprint, (0, False))[1]
        held = "held" if alert.held else "too_old" if is_old else None
        concerned = False
        for name, receiver in self.receivers.items():
            told, queue = incident.knows(name), incident.work.get(name)
            before = incident.told.get(name)
            if queue and not queue[-1].offsets and not queue[-1].is_sending:
                queue.pop()  # a repetition gives way to news
            if before is not None and before.sequence >= alert.sequence:
                concerned = True  # delivered before a crash, and in the log
            elif told is not None or queue:
                concerned = True
                latest = queue[-1].notification.alert.severity if queue else told.severity if told else alert.severity
                if receiver.keeps_state or RANK[alert.severity] > RANK[latest]:
                    self._news(incident, record, receiver, fate)
            elif held is None and alert.severity in receiver.severities:
                concerned = True
                self._queue(incident, record, receiver, Occasion.FIRING, alert.severity, fate)
        if concerned:
            return None
        return held or "severity"

    def _news(self, incident: Incident, record: Record, receiver: Receiver, fate: Fate) -> None:
        queue = incident.work.get(receiver.name)
        if queue and queue[-1].tries == 0 and not queue[-1].is_sending and queue[-1].offsets:
            last = queue[-1]  # not tried yet: say the newer thing instead, under the key it has
            occasion, first = last.notification.occasion, last.notification.opened_as
            key = key_of(record.alert, occasion, receiver.name)
            last.notification = Notification(key, receiver.name, occasion, record.alert, first)
            last.offsets.append(record.offset)
            fate.waiting += 1
            return
        told = incident.knows(receiver.name)
        first = queue[-1].notification.opened_as if queue else told.opened_as if told else record.alert.severity
        self._queue(incident, record, receiver, Occasion.UPDATED, first, fate)

    def _resolve(self, incident: Incident, record: Record, fate: Fate) -> str | None:
        is_known = False
        for name, receiver in self.receivers.items():
            queue = incident.work.get(name)
            if queue and not queue[-1].offsets and not queue[-1].is_sending:
                queue.pop()
            told = incident.knows(name)
            if told is not None or queue:
                first = queue[-1].notification.opened_as if queue else told.opened_as if told else record.alert.severity
                self._queue(incident, record, receiver, Occasion.RESOLVED, first, fate)
            is_known = is_known or name in incident.told
        if fate.waiting or is_known:
            return None
        return "held" if record.alert.held else "not_told"

    def _queue(
        self, incident: Incident, record: Record, receiver: Receiver, occasion: Occasion, first: Severity, fate: Fate
    ) -> None:
        key = key_of(record.alert, occasion, receiver.name)
        notification = Notification(key, receiver.name, occasion, record.alert, first)
        work = Work(notification, record.at, datetime.min.replace(tzinfo=record.at.tzinfo), [record.offset])
        incident.work.setdefault(receiver.name, deque()).append(work)
        fate.waiting += 1

    # ------------------------------------------------------------------------------------------------- sending

    def due(self, now: datetime) -> list[Work]:
        """Return what is to be sent now; each is marked as being sent until its outcome is reported."""
        found: list[Work] = []
        for incident in self._incidents.values():
            if incident.is_firing:
                self._repeat(incident, now)
            for name, queue in incident.work.items():
                if queue and self._may_go(queue[0], name, now):
                    queue[0].is_sending = True
                    found.append(queue[0])
        return found

    def _may_go(self, work: Work, receiver: str, now: datetime) -> bool:
        return not work.is_sending and work.not_before <= now and self._waits.is_over(receiver, now)

    def _repeat(self, incident: Incident, now: datetime) -> None:
        record = incident.newest
        assert record is not None
        for name, receiver in self.receivers.items():
            if incident.work.get(name):
                continue
            told = incident.knows(name)
            number = pacing.repetition(record.at, receiver.repeat_every, now)
            if told is not None:
                if receiver.repeat_every > 0 and number > incident.repeated.get(name, 0):
                    incident.repeated[name] = number
                    self._remind(incident, record, receiver, Occasion.REPEATED, told.opened_as, number, now)
            elif name in incident.again_at and incident.again_at[name] <= now and self._wants(receiver, record):
                first = record.alert.severity
                self._remind(incident, record, receiver, Occasion.FIRING, first, number, now)

    @staticmethod
    def _wants(receiver: Receiver, record: Record) -> bool:
        return not record.alert.held and record.alert.severity in receiver.severities

    @staticmethod
    def _remind(
        incident: Incident,
        record: Record,
        receiver: Receiver,
        occasion: Occasion,
        first: Severity,
        number: int,
        now: datetime,
    ) -> None:
        key = key_of(record.alert, occasion, receiver.name, number)
        notification = Notification(key, receiver.name, occasion, record.alert, first)
        incident.work.setdefault(receiver.name, deque()).append(Work(notification, now, now))

    def delivered(self, work: Work, now: datetime) -> None:
        """Note that a receiver has it."""
        incident, name, alert = self._done(work)
        if incident is None:
            return
        told = incident.told.get(name)
        if work.notification.occasion is Occasion.RESOLVED:
            incident.told[name] = replace(told, sequence=alert.sequence, is_over=True) if told else _over(work)
        else:
            first = told.opened_as if told and not told.is_over else work.notification.opened_as
            incident.told[name] = Told(alert.sequence, first, alert.severity)
            every = self.receivers[name].repeat_every
            if incident.newest is not None and work.notification.occasion is not Occasion.REPEATED:
                incident.repeated[name] = pacing.repetition(incident.newest.at, every, now)
        for offset in work.offsets:
            self._advance(offset)

    def failed(self, work: Work, why: str, now: datetime, *, chance: float, retry_after: float | None = None) -> bool:
        """Note that a receiver could not be reached; return whether that was given up. `why` quotes nothing."""
        work.tries += 1
        work.is_sending = False
        receiver = self.receivers[work.notification.receiver]
        if retry_after is not None:
            self._waits.ask(receiver.name, retry_after, now)
        patience = receiver.give_up_after if work.offsets else max(receiver.repeat_every, pacing.AGAIN)
        if pacing.is_exhausted(work.tries, work.since, patience, now):
            self._give_up(work, f"given up after {work.tries} attempts: {why}", now)
            return True
        work.not_before = now + timedelta(seconds=pacing.backoff(work.tries, chance))
        return False

    def refused(self, work: Work, why: str, now: datetime) -> None:
        """Note that a receiver refuses it for good. `why` quotes nothing."""
        work.tries += 1
        self._give_up(work, f"refused at attempt {work.tries}: {why}", now)

    def _give_up(self, work: Work, why: str, now: datetime) -> None:
        incident, name, _ = self._done(work)
        if incident is None:
            return
        occasion = work.notification.occasion
        if occasion is Occasion.FIRING:
            incident.again_at[name] = now + timedelta(seconds=pacing.AGAIN)
            self._after_no_firing(incident, name)
        for offset in work.offsets:
            self._advance(offset, f"{name}: {why}")

    def _after_no_firing(self, incident: Incident, name: str) -> None:
        """What was to follow a firing that never arrived: news becomes the firing, an end is not told."""
        queue = incident.work.get(name, deque())
        if not queue:
            return
        following, alert = queue[0], queue[0].notification.alert
        if following.notification.occasion is Occasion.RESOLVED:
            queue.popleft()
            for offset in following.offsets:
                self._advance(offset)
        else:
            key = key_of(alert, Occasion.FIRING, name)
            following.notification = replace(following.notification, key=key, occasion=Occasion.FIRING)

    def _done(self, work: Work) -> tuple[Incident | None, str, Alert]:
        notification = work.notification
        work.is_sending = False
        incident = self._incidents.get(notification.alert.fingerprint)
        queue = incident.work.get(notification.receiver) if incident else None
        if queue and queue[0] is work:
            queue.popleft()
        return incident, notification.receiver, notification.alert

    def _advance(self, offset: int, given_up: str | None = None) -> None:
        fate = self._fates[offset]
        fate.waiting -= 1
        if given_up is not None:
            fate.given_up.append(given_up)
        if fate.waiting == 0:
            del self._fates[offset]
            if fate.given_up:
                error = "; ".join(fate.given_up)
                self._finish(Finished(offset, Became.DEAD_LETTER, Reason.FAILED, error=error))
            else:
                self._finish(Finished(offset, Became.PROCESSED))

    # -------------------------------------------------------------------------------------------------- accounts

    def _finish(self, finished: Finished) -> None:
        self._finished.append(finished)

    def finished(self) -> list[Finished]:
        """Return the records that nothing is left to do for, each once."""
        found, self._finished = self._finished, []
        return found

    def firing(self) -> Iterator[Alert]:
        """Yield the alerts that fire, as far as they were read."""
        for incident in self._incidents.values():
            if incident.is_firing and incident.newest is not None:
                yield incident.newest.alert

    def waiting(self) -> int:
        """Return how many notifications are on their way."""
        return sum(len(queue) for incident in self._incidents.values() for queue in incident.work.values())

    def position(self) -> tuple[int, str]:
        """Return the offset to commit and the log that goes with it; forgets what nobody needs any more."""
        offset = min(self._fates, default=self.position_read)
        kept = []
        for fingerprint, incident in list(self._incidents.items()):
            is_open = incident.is_firing or any(incident.work.values())
            if not is_open and incident.last_offset < offset:
                del self._incidents[fingerprint]
            elif incident.told:
                kept.append((incident.last_offset, fingerprint, incident.told))
        kept.sort(key=lambda one: one[0])
        return offset, logs.encode([(fingerprint, told) for _, fingerprint, told in kept])


def _over(work: Work) -> Told:
    notification = work.notification
    return Told(notification.alert.sequence, notification.opened_as, notification.alert.severity, is_over=True)
