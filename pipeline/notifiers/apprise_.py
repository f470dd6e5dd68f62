"""Apprise: some hundred places that people read (https://github.com/caronc/apprise/wiki).

Apprise is synchronous, so it runs in a thread, one at a time for a receiver. Of a failure it says a status at best,
so everything but a refusal by status is tried again. Where a receiver has several targets, those that have a
notification are left out when it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, Final

import apprise
from pydantic import Field

from pipeline.config.model import Duration
from pipeline.contract.errors import ConfigError, ReceiverRefusedError, ReceiverUnavailableError
from pipeline.contract.events import AlertStatus, Severity
from pipeline.core.notifying import wording
from pipeline.core.notifying.values import Notification
from pipeline.notifiers.base import Clock, Notifier, utc_now
from pipeline.notifiers.settings import SecretValue, Settings

MAX_BODY: Final = 8_000  # characters, where a target takes more
MAX_TITLE: Final = 200
REMEMBERED: Final = 500  # notifications of which it is known which targets have them
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_LATER: Final = frozenset({408, 425, 429})

# Apprise's own lines hold addresses and answers of services; what they say is told by the errors below.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())


class AppriseSettings(Settings):
    """Settings of Apprise targets."""

    targets: SecretValue
    """Apprise addresses, separated by spaces or lines. They hold credentials, so they are a secret altogether."""
    timeout: Duration = Field(default=30.0, gt=0, le=300)
    """How long one attempt may take for all targets together."""


class Apprise(Notifier[AppriseSettings]):
    """Tells people through Apprise."""

    kind: ClassVar[str] = "apprise"
    settings_type: ClassVar[type[AppriseSettings]] = AppriseSettings

    def __init__(self, name: str, settings: AppriseSettings, *, clock: Clock = utc_now) -> None:
        super().__init__(name, settings, clock=clock)
        self._targets = targets_in(settings.targets.get_secret_value(), name)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"apprise-{name}")
        self._running: Future[None] | None = None
        self._have: OrderedDict[str, set[int]] = OrderedDict()

    async def notify(self, notification: Notification) -> None:
        if self._running is not None and not self._running.done():
            raise ReceiverUnavailableError("the targets are still busy with what was sent before")
        self._running = running = self._thread.submit(self._send, notification)
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(running)), self.settings.timeout)
        except TimeoutError:
            running.add_done_callback(_look_away)
            raise ReceiverUnavailableError(f"the targets do not answer within {self.settings.timeout:g} s") from None

    def _send(self, notification: Notification) -> None:
        """Send to every target that has not had it; raise for those that did not take it. Runs in the thread."""
        have = self._have.setdefault(notification.key, set())
        while len(self._have) > REMEMBERED:
            self._have.popitem(last=False)
        refused, unavailable = [], []
        for number, target in enumerate(self._targets):
            if number in have:
                continue
            status = _send_one(target, notification)
            if status is None:
                have.add(number)
            elif 400 <= status < 500 and status not in _LATER:
                refused.append(f"target {number + 1} ({status})")
            else:
                unavailable.append(f"target {number + 1}" + (f" ({status})" if status else ""))
        if unavailable:
            raise ReceiverUnavailableError(
                f"of {len(self._targets)} targets, there is no getting through to: {', '.join(unavailable)}"
            )
        if refused:
            raise ReceiverRefusedError(
                f"of {len(self._targets)} targets, these refuse: {', '.join(refused)}; look at their credentials"
            )

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _look_away(running: Future[None]) -> None:
    running.cancelled() or running.exception()


def targets_in(text: str, name: str) -> list[Any]:
    """Return Apprise's objects for the addresses in a text. Raises ConfigError that counts, and quotes none."""
    addresses = text.split()
    if not addresses:
        raise ConfigError(f"notifiers.{name}.targets: is empty; write Apprise addresses, such as mailto://…")
    found = []
    for number, address in enumerate(addresses, 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what its plug-ins import, at the first address
            target = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        if target is None:
            raise ConfigError(
                f"notifiers.{name}.targets: address {number} of {len(addresses)} is none that Apprise knows; "
                "see https://github.com/caronc/apprise/wiki for how it is written"
            )
        found.append(target)
    return found


def _send_one(target: Any, notification: Notification) -> int | None:
    """Return None when the target has it, else the status it answered with, 0 where that is not known."""
    title, body = texts(notification, int(target.title_maxlen), int(target.body_maxlen))
    sender = apprise.Apprise()
    sender.add(target)
    try:
        result = sender.notify(
            body=body, title=title, notify_type=kind_of(notification), body_format=apprise.NotifyFormat.TEXT
        )
    except Exception:  # plug-ins raise what their libraries raise
        return 0
    return None if result else _status(result)


def _status(result: Any) -> int:
    """Return the last status that Apprise's log of an attempt names, 0 where there is none."""
    found = 0
    for one in getattr(result, "results", ()):
        logs: Callable[[], Any] | None = getattr(one, "logs", None)
        for entry in logs() if callable(logs) else ():
            match = _STATUS.search(str(getattr(entry, "message", "")))
            found = int(match[1]) if match else found
    return found


def texts(notification: Notification, title_limit: int, body_limit: int) -> tuple[str, str]:
    """Return title and body within a target's limits. A target without titles gets it as the first line."""
    title, body = wording.title(notification), wording.body(notification)
    if title_limit <= 0:
        title, body = "", f"{title}\n{body}"
    limit = min(body_limit, MAX_BODY) if body_limit > 0 else MAX_BODY
    return wording.cut(title, min(title_limit, MAX_TITLE)) if title else "", wording.cut_bytes(body, limit)


def kind_of(notification: Notification) -> Any:
    """Return Apprise's kind, which decides on colour and sign."""
    alert = notification.alert
    if alert.status is AlertStatus.RESOLVED:
        return apprise.NotifyType.SUCCESS
    kinds = {Severity.CRITICAL: apprise.NotifyType.FAILURE, Severity.WARNING: apprise.NotifyType.WARNING}
    return kinds.get(alert.severity, apprise.NotifyType.INFO)
