"""From the names in `earshot.yaml` to notifiers, and what is wrong with their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from pipeline.config.model import Config
from pipeline.config.model import Notifier as Part
from pipeline.contract.errors import ConfigError
from pipeline.contract.events import Severity
from pipeline.core.notifying.values import Receiver
from pipeline.notifiers.base import Clock, Notifier, utc_now
from pipeline.notifiers.settings import read_settings

KINDS: Final = {
    "alertmanager": ("pipeline.notifiers.alertmanager", "Alertmanager"),
    "apprise": ("pipeline.notifiers.apprise_", "Apprise"),
    "webhook": ("pipeline.notifiers.webhook", "Webhook"),
    "console": ("pipeline.notifiers.console", "Console"),
}
"""Type in the file: where its class is. Apprise alone takes a while to import, so it is only when it is used."""

DEFAULT: Final[Mapping[str, Part]] = {
    "console": Part(type="console", severities=["critical", "warning", "info"]),
}
"""Who is told when nobody is configured."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A receiver, and the code that tells it."""

    receiver: Receiver
    notifier: Notifier[Any]


def find(kind: str) -> type[Notifier[Any]]:
    """Return the class of a type. Raises ConfigError that names those there are."""
    if kind not in KINDS:
        raise ConfigError(f"there is no notifier {kind}; there are {', '.join(KINDS)}")
    module, name = KINDS[kind]
    found: type[Notifier[Any]] = getattr(import_module(module), name)
    return found


def make(name: str, part: Part, clock: Clock = utc_now, **more: Any) -> Configured:
    """Return one configured receiver; `more` is for tests. Raises ConfigError that names notifiers.NAME.setting."""
    kind = find(part.type)
    settings = read_settings(kind.settings_type, name, part.model_extra or {})
    receiver = Receiver(
        name=name,
        severities=frozenset(Severity(severity) for severity in part.severities),
        repeat_every=kind.repeat_every if part.repeat_every is None else part.repeat_every,
        give_up_after=part.give_up_after,
        keeps_state=kind.keeps_state,
    )
    _check(receiver, settings)
    return Configured(receiver, kind(name, settings, clock=clock, **more))


def _check(receiver: Receiver, settings: Any) -> None:
    where = f"notifiers.{receiver.name}"
    if not receiver.severities:
        raise ConfigError(f"{where}.severities: is empty; write those it is told of, such as [critical], or remove it")
    if receiver.keeps_state:
        if receiver.repeat_every <= 0:
            raise ConfigError(f"{where}.repeat_every: is 0; this receiver forgets what is not sent again, write 1m")
        if settings.keep_firing < 3 * receiver.repeat_every:
            raise ConfigError(
                f"{where}.keep_firing: is less than three times repeat_every ({receiver.repeat_every:g} s); "
                "raise it, or one lost attempt resolves what still fires"
            )
    elif 0 < receiver.repeat_every < 60:
        raise ConfigError(f"{where}.repeat_every: is less than a minute; write 4h, or 0 for never")


def make_all(config: Config, clock: Clock = utc_now) -> list[Configured]:
    """Return all receivers of a configuration. Raises ConfigError with a line for each mistake."""
    found, wrong = [], []
    for name, part in (config.notifiers or DEFAULT).items():
        try:
            found.append(make(name, part, clock))
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
    return found


def check(name: str, part: Part) -> list[str]:
    """Return what is wrong with a notifier's settings, a line each; opens no connection."""
    try:
        make(name, part)
    except ConfigError as error:
        return str(error).splitlines()
    return []
