"""Settings of notifiers: read from their part of `earshot.yaml`, wrong ones named with advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from pipeline.config.model import Duration, Secret
from pipeline.config.model import Notifier as Common
from pipeline.config.secrets import resolve
from pipeline.contract.errors import ConfigError

_HOW: Final = "write {env: NAME} or {file: PATH}"


def _secret(value: object) -> object:
    """Return the secret that `{env: NAME}` or `{file: PATH}` names."""
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, Mapping) or not set(value) <= {"env", "file"}:
        raise ValueError(f"secrets are not written into this file; {_HOW}")
    if not all(isinstance(one, str) for one in value.values()):
        raise ValueError(f"a name or a path is text; {_HOW}")
    try:
        return resolve(Secret(**value), where="")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix(": ").replace(" — ", "; ", 1)) from None


def http_address(value: str) -> str:
    """Return a web address without what stands in its way. Raises ValueError with advice, without the address."""
    text = value.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_right = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise ValueError("is no address; write https://host/path")
    if "@" in parts.netloc:
        raise ValueError("holds a user and a password; write them as settings of their own")
    if any(ord(char) <= 32 or ord(char) == 127 for char in text):
        raise ValueError("holds a space or a control character; write https://host/path")
    return text


def _address(value: object) -> object:
    return http_address(value) if isinstance(value, str) else value


SecretValue = Annotated[SecretStr, BeforeValidator(_secret, json_schema_input_type=Secret)]
"""A secret: in the file, where it is; here, what it is, which prints as stars."""
Address = Annotated[str, BeforeValidator(_address)]


class Settings(BaseModel):
    """Base of a notifier's own settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class HttpSettings(Settings):
    """Settings of a receiver that is called over HTTP."""

    timeout: Duration = Field(default=10.0, gt=0, le=60)
    """How long one attempt may take."""
    ca_file: str | None = None
    """PEM file with the authority of the receiver's certificate, when it is not a public one."""


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(settings_type: type[SettingsT], name: str, given: Mapping[str, Any]) -> SettingsT:
    """Return a notifier's own settings. Raises ConfigError with one line for each wrong one, never with its value."""
    try:
        return settings_type.model_validate(dict(given))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise ConfigError("\n".join(_words(settings_type, name, one) for one in found)) from None


def _words(settings_type: type[Settings], name: str, error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in ("notifiers", name, *error["loc"][:1]))
    if error["type"] == "extra_forbidden":
        there = sorted({*settings_type.model_fields, *Common.model_fields})
        return f"{where}: there is no such setting; there are {', '.join(there)}"
    if error["type"] == "missing":
        return f"{where}: is missing; this receiver needs it"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}"
