"""Alertmanager, API v2: one alert an incident, sent again while it fires.

The labels are what Alertmanager knows an alert by, so they never change in an incident: name, brand, fingerprint, the
severity it was first told with, and what the settings add. What changes is in the annotations. An alert that is not
sent again ends by itself at its `endsAt`; see https://prometheus.io/docs/alerting/latest/clients/.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import httpx
import msgspec
from pydantic import Field, field_validator, model_validator

from pipeline.config.model import Duration
from pipeline.contract.events import AlertStatus
from pipeline.core.notifying import wording
from pipeline.core.notifying.values import Notification
from pipeline.notifiers.base import Clock, Notifier, utc_now
from pipeline.notifiers.http import Poster
from pipeline.notifiers.settings import Address, HttpSettings, SecretValue

PATH: Final = "/api/v2/alerts"
MAX_ANNOTATION: Final = 2_900  # characters: a text block of Slack takes 3,000, and Alertmanager sends there untouched
RESERVED: Final = ("alertname", "brand", "fingerprint")


class AlertmanagerSettings(HttpSettings):
    """Settings of an Alertmanager. Name every member of a cluster as a notifier of its own."""

    url: Address
    """Its address, with the path it is served under, without /api/v2: http://alertmanager:9093."""
    keep_firing: Duration = Field(default=900.0, ge=30)
    """How long an alert goes on firing when earshot falls silent. At least three times repeat_every."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels added to every alert, for routing."""
    generator_url: Address | None = None
    """Where the link of an alert leads that has no dashboard of its own."""
    username: str | None = None
    password: SecretValue | None = None
    """With username: basic authentication."""
    token: SecretValue | None = None
    """Bearer token."""

    @field_validator("labels")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name, value in labels.items():
            if not (name.isascii() and name.isidentifier()) or name.startswith("__"):
                raise ValueError("a label's name has letters, digits and underscores, and begins with a letter")
            if name in RESERVED:
                raise ValueError(f"{name} is set by earshot; choose another name")
            if not value or len(value) > 200:
                raise ValueError(f"the label {name} needs a value of at most 200 characters")
        return labels

    @model_validator(mode="after")
    def _authentication(self) -> AlertmanagerSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together; write both or neither")
        if self.username is not None and self.token is not None:
            raise ValueError("there are two ways of authentication; write username and password, or token")
        return self


class Alertmanager(Notifier[AlertmanagerSettings]):
    """Tells an Alertmanager."""

    kind: ClassVar[str] = "alertmanager"
    settings_type: ClassVar[type[AlertmanagerSettings]] = AlertmanagerSettings
    keeps_state: ClassVar[bool] = True
    repeat_every: ClassVar[float] = 60.0

    def __init__(
        self,
        name: str,
        settings: AlertmanagerSettings,
        *,
        clock: Clock = utc_now,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(name, settings, clock=clock)
        self._poster = Poster(name, settings, clock, transport)
        self._headers: dict[str, str] = {}
        self._auth: httpx.BasicAuth | None = None
        if settings.token is not None:
            self._headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        if settings.username is not None and settings.password is not None:
            self._auth = httpx.BasicAuth(settings.username, settings.password.get_secret_value())

    async def notify(self, notification: Notification) -> None:
        body = msgspec.json.encode([alert(notification, self.settings, self.clock())])
        await self._poster.post(self.settings.url + PATH, body, self._headers, self._auth)

    async def close(self) -> None:
        await self._poster.close()


def alert(notification: Notification, settings: AlertmanagerSettings, now: datetime) -> dict[str, Any]:
    """Return the alert as API v2 takes it. A start in the future, as a simulation has, becomes now."""
    told = notification.alert
    starts = min(told.started_at, now)
    if told.status is AlertStatus.RESOLVED:
        ends = max(starts, min(told.resolved_at or now, now))
    else:
        ends = now + timedelta(seconds=settings.keep_firing)
    annotations = {
        "summary": wording.one_line(told.summary, 500),
        "description": wording.cut(wording.body(notification), MAX_ANNOTATION),
        "severity": told.severity.value,
        "sequence": str(told.sequence),
        **({"runbook_url": url} if (url := wording.link(told.runbook_url)) else {}),
        **({"dashboard_url": url} if (url := wording.address(told.dashboard_url)) else {}),
    }
    link = wording.address(told.dashboard_url) or settings.generator_url or wording.address(told.runbook_url)
    return {
        "labels": {
            "severity": notification.opened_as.value,
            **settings.labels,
            "alertname": wording.one_line(told.name, 100),
            "brand": wording.one_line(told.brand, 100),
            "fingerprint": wording.one_line(told.fingerprint, 100),
        },
        "annotations": annotations,
        "startsAt": _rfc3339(starts),
        "endsAt": _rfc3339(ends),
        **({"generatorURL": link} if link else {}),
    }


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
