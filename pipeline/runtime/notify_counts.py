"""What the stage notify counts: every series from the start, so that what never happened is a zero and not a gap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pipeline.contract.events import Reason
from pipeline.contract.metrics import Metrics
from pipeline.core.notifying.values import Became, Occasion
from pipeline.core.notifying.work import Finished
from pipeline.topology import ALERTS, HEARTBEATS

STAGE: Final = "notify"
DEAD: Final = ALERTS + "-dlq"
FAILURES: Final = ("unavailable", "refused", "failed")
HELD: Final = ("held", "severity", "too_old", "not_told")


def declare(metrics: Metrics, receivers: Iterable[str]) -> None:
    """Make every series of the stage exist."""
    metrics.declare(STAGE, reasons=[reason.value for reason in Reason], topics=[DEAD])
    for name in receivers:
        for occasion in Occasion:
            metrics.notifications.labels(name, occasion.value)
        for reason in FAILURES:
            metrics.notifications_failed.labels(name, reason)
    for reason in HELD:
        metrics.notifications_held.labels(reason)
    for topic in (ALERTS, HEARTBEATS):
        metrics.lag.labels(STAGE, topic)


def count(metrics: Metrics, finished: Iterable[Finished]) -> None:
    """Count what has become of records, once their offsets are committed."""
    for one in finished:
        metrics.received.labels(STAGE).inc()
        if one.became is Became.PROCESSED:
            metrics.processed.labels(STAGE).inc()
        elif one.became is Became.DISCARDED:
            metrics.discarded.labels(STAGE, (one.reason or Reason.MUTED).value).inc()
        else:
            metrics.dead_letters.labels(STAGE, (one.reason or Reason.FAILED).value).inc()
            metrics.sent.labels(STAGE, DEAD).inc()
        if one.held is not None:
            metrics.notifications_held.labels(one.held).inc()
