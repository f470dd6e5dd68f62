"""What a connector is. Nothing here sleeps, retries, logs or publishes: the runner does.

A connector is one of three: it is asked (`PollingConnector`), it holds a connection open (`StreamingConnector`), or it
is called (`PushConnector`). Each gives `Page`s: mentions, oldest first, and the cursor to go on from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from pipeline.config.model import Secret
from pipeline.config.secrets import resolve
from pipeline.contract.errors import ConfigError
from pipeline.contract.events import Mention

if TYPE_CHECKING:
    import asyncio

    from connectors.http import Http

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time at the source that was not heard and will not be. `reason` is for a person."""

    since: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a source: its mentions, oldest first, and where to go on from.

    `cursor` is kept as it is by the runner and means something to the connector only. `is_full` says that there is
    more at once, so the runner asks again without waiting. `gap` is what is known to have been missed.
    """

    mentions: Sequence[Mention]
    cursor: str | None
    is_full: bool = False
    gap: Gap | None = None


class Settings(BaseModel):
    """Base of a connector's settings.

    A secret is a field of type `SecretStr`, say `token`. In `earshot.yaml` it is never written itself: `token_env`
    names an environment variable or `token_file` a file (or `token: {env: NAME}`), read when the settings are made. Raises ConfigError, which
    never holds a value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = dict(given)
        for name, field in cls.model_fields.items():
            if "SecretStr" not in str(field.annotation):
                continue
            if isinstance(found.get(name), str):
                raise ConfigError(f"{name}: secrets are not written into the file — use {name}_env or {name}_file")
            env, file = found.pop(f"{name}_env", None), found.pop(f"{name}_file", None)
            if isinstance(found.get(name), Mapping):
                env, file = found[name].get("env", env), found[name].get("file", file)
            if env is not None or file is not None:
                found[name] = resolve(Secret(env=env, file=file), where=name)
        return found


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(settings_type: type[SettingsT], instance: str, given: Mapping[str, Any]) -> SettingsT:
    """Return a source's settings. Raises ConfigError that names the setting and says what is possible."""
    try:
        return settings_type.model_validate(dict(given))
    except ConfigError as error:
        raise ConfigError(f"sources.{instance}.{error}") from None
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])
        if wrong["type"] == "extra_forbidden":
            known = ", ".join(_written_names(settings_type)) or "none"
            raise ConfigError(f"sources.{instance}.{where}: there is no such setting; there are: {known}") from None
        if wrong["type"] == "missing":
            raise ConfigError(f"sources.{instance}.{where} is missing: this source needs it") from None
        raise ConfigError(f"sources.{instance}.{where}: {wrong['msg']}") from None


def _written_names(settings_type: type[Settings]) -> Iterator[str]:
    for name, field in settings_type.model_fields.items():
        if "SecretStr" in str(field.annotation):
            yield from (f"{name}_env", f"{name}_file")
        else:
            yield name


def reveal(secret: SecretStr | None) -> str | None:
    """Return the value of a secret at the one place where it goes into a request."""
    return None if secret is None else secret.get_secret_value()


class Connector(Generic[SettingsT]):
    """What all connectors share. Making one opens no connection.

    Class: `name` is the type written in `earshot.yaml` and the `source` of its mentions. Object: `instance` is the
    name under `sources:`; several instances of a type may exist.
    """

    name: ClassVar[str]
    settings_type: type[SettingsT]

    def __init__(self, name: str, settings: SettingsT, http: Http, clock: Clock = utc_now) -> None:
        self.instance = name
        self.settings = settings
        self.http = http
        self.clock = clock

    def parse(self, body: bytes, now: datetime) -> Iterator[Mention]:
        """Yield the mentions of one recorded answer, oldest first, as `earshot parse` and the tests use it.

        `now` becomes `collected_at`. Raises SourceUnavailableError when the body is not this source's format.
        """
        raise NotImplementedError


class PollingConnector(Connector[SettingsT]):
    """A source that is asked every `poll_interval` seconds."""

    poll_interval: ClassVar[float] = 60.0

    async def fetch(self, cursor: str | None) -> Page:
        """Return what the source has at or after `cursor`; from the newest when it is None.

        Repeats are allowed, the runner drops what was published already. An empty answer keeps the cursor. Raises
        SourceUnavailableError, RateLimitedError or SourceRefusedError.
        """
        raise NotImplementedError

    def cursor_at(self, since: datetime) -> str | None:  # noqa: ARG002 - most sources cannot
        """Return the cursor from which `fetch` gives what is newer than `since`, None where there is no past."""
        return None

    @property
    def interval(self) -> float:
        """Seconds between two requests: the setting `poll_interval` where the connector has one."""
        return float(getattr(self.settings, "poll_interval", None) or self.poll_interval)


class StreamingConnector(Connector[SettingsT]):
    """A source that sends by itself over a connection that is held open."""

    def listen(self, cursor: str | None) -> AsyncIterator[Page]:
        """Yield pages from `cursor` on (from now when it is None) until the connection ends.

        One broken frame is skipped, never a reason to reconnect. A lost connection raises SourceUnavailableError; the
        runner comes back with the last cursor.
        """
        raise NotImplementedError


Publish = Callable[[Page], Awaitable[None]]


class PushConnector(Connector[SettingsT]):
    """A source that calls us."""

    async def serve(self, publish: Publish, stop: asyncio.Event) -> None:
        """Listen until `stop` is set. `publish` returns when the broker has the page: only then answer with 2xx."""
        raise NotImplementedError
