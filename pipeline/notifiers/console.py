"""A line in the log, or on the screen of who runs the role: what there is when nothing else is configured."""

from __future__ import annotations

from typing import Any, ClassVar

import structlog

from pipeline.contract.events import AlertStatus, Symptom
from pipeline.core.notifying import wording
from pipeline.core.notifying.values import Notification
from pipeline.notifiers.base import Notifier
from pipeline.notifiers.settings import Settings

log = structlog.get_logger(__name__)


class ConsoleSettings(Settings):
    """The console has no settings of its own."""


class Console(Notifier[ConsoleSettings]):
    """Writes to the log: `warning` when it fires, `info` when it is over. Words from mentions stay out of it."""

    kind: ClassVar[str] = "console"
    settings_type: ClassVar[type[ConsoleSettings]] = ConsoleSettings

    async def notify(self, notification: Notification) -> None:
        is_over = notification.alert.status is AlertStatus.RESOLVED
        (log.info if is_over else log.warning)(wording.title(notification), **facts(notification))


def facts(notification: Notification) -> dict[str, Any]:
    """Return the figures of an alert, without words and addresses of mentions."""
    alert = notification.alert
    sources = {wording.one_line(source): count for source, count in list(alert.sources.items())[:10]}
    found: dict[str, Any] = {
        "summary": wording.one_line(alert.summary),
        "brand": wording.one_line(alert.brand),
        "fingerprint": wording.one_line(alert.fingerprint),
        "since": alert.started_at.isoformat(),
        "figures": [_figure(symptom) for symptom in alert.symptoms[:6]],
        "sources": sources,
        "runbook": wording.link(alert.runbook_url),
    }
    if alert.resolved_at is not None:
        found["until"] = alert.resolved_at.isoformat()
    return {key: value for key, value in found.items() if value}


def _figure(symptom: Symptom) -> str:
    return f"{symptom.kind} {wording.one_line(symptom.scope)}: {symptom.value:.2f}, usually {symptom.baseline:.2f}"
