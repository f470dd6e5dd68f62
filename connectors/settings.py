"""Settings of a source: what may be written in `earshot.yaml`, and where its secrets come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from pipeline.config.model import Duration, Secret
from pipeline.config.secrets import resolve
from pipeline.contract.errors import ConfigError


class Settings(BaseModel):
    """Base of a connector's settings.

    A secret is a field of type `SecretStr`, say `token`. In `earshot.yaml` it is never written itself:
    `token: {env: NAME}` names an environment variable, `token: {file: PATH}` a file; it is read when the settings are
    made. `token_env: NAME` and `token_file: PATH` say the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = dict(given)
        for name in _secret_names(cls):
            value = found.pop(name, None)
            env, file = found.pop(f"{name}_env", None), found.pop(f"{name}_file", None)
            if isinstance(value, SecretStr):
                found[name] = value
            elif isinstance(value, Mapping) and set(value) <= {"env", "file"}:
                found[name] = resolve(Secret(env=value.get("env", env), file=value.get("file", file)), where=name)
            elif value is not None:
                raise ConfigError(f"{name}: secrets are not written into this file — write {{env: NAME}}")
            elif env is not None or file is not None:
                found[name] = resolve(Secret(env=env, file=file), where=name)
        return found


def _with_scheme(given: str) -> str:
    return (given if "://" in given else f"https://{given}").rstrip("/")


Server = Annotated[str, Field(min_length=1), AfterValidator(_with_scheme)]
"""Address of a server; a name alone is one, too."""


class PollingSettings(Settings):
    """Settings of a source that is asked."""

    poll_interval: Duration = Field(default=60.0, ge=0.05)
    """How often to ask while there is something new."""
    slowest_poll: Duration = Field(default=600.0, ge=0.05)
    """How seldom to ask at the least, when nothing has been new for long."""


def _secret_names(settings_type: type[Settings]) -> Iterator[str]:
    for name, one in settings_type.model_fields.items():
        if one.annotation is SecretStr or SecretStr in getattr(one.annotation, "__args__", ()):
            yield name


SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(settings_type: type[SettingsT], instance: str, given: Mapping[str, Any]) -> SettingsT:
    """Return a source's settings. Raises ConfigError that names every wrong setting and says what is possible."""
    try:
        return settings_type.model_validate(dict(given))
    except ConfigError as error:
        raise ConfigError(f"sources.{instance}.{error}") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise ConfigError("\n".join(_words(settings_type, instance, one) for one in found)) from None


def _words(settings_type: type[Settings], instance: str, error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in ("sources", instance, *error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such setting; there are: {', '.join(sorted(settings_type.model_fields))}"
    if error["type"] == "missing":
        return f"{where} is missing: this source needs it"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def secrets_of(settings: Settings) -> list[SecretStr]:
    """Return the secrets in settings, for those who must keep them out of what they say."""
    found = (getattr(settings, name) for name in _secret_names(type(settings)))
    return [value for value in found if isinstance(value, SecretStr)]


def reveal(secret: SecretStr | None) -> str | None:
    """Return the value of a secret at the one place where it goes into a request."""
    return None if secret is None else secret.get_secret_value()
