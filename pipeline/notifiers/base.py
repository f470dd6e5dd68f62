"""What a notifier is: it tells one receiver one thing. It never waits, retries or remembers; the stage does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic

from pipeline.core.notifying.values import Notification
from pipeline.notifiers.settings import Settings, SettingsT

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class Notifier(Generic[SettingsT]):
    """Base of all notifiers. Making one opens no connection and raises ConfigError for settings that cannot work.

    Class: `kind` is the type written in `earshot.yaml`; `keeps_state` and `repeat_every` as in `Receiver`. Object:
    `name` is the name under `notifiers:`.
    """

    kind: ClassVar[str]
    settings_type: ClassVar[type[Settings]] = Settings
    keeps_state: ClassVar[bool] = False
    repeat_every: ClassVar[float] = 4 * 3600.0
    """Seconds after which an alert that still fires is told again, unless the file says otherwise."""

    def __init__(self, name: str, settings: SettingsT, *, clock: Clock = utc_now, **_: Any) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock

    async def notify(self, notification: Notification) -> None:
        """Tell the receiver; return when it has it.

        Raises ReceiverUnavailableError (try again, after `retry_after` seconds when it says so) or
        ReceiverRefusedError (it will never take this). Neither holds a secret, an address beyond the host, or a text.
        A repeated call with the same `key` must do no harm: the receiver can tell by the key that it had it.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of connections. Never raises."""
