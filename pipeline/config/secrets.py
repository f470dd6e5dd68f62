"""Resolve secrets: where they are is in the file, what they are never is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pipeline.config.model import Secret
from pipeline.contract.errors import ConfigError


def resolve(secret: Secret, environment: Mapping[str, str] = os.environ, *, where: str = "secret") -> SecretStr:
    """Return the value of a secret, which prints as stars.

    `where` names the setting in errors. Raises ConfigError, which never holds the value.
    """
    if (secret.env is None) == (secret.file is None):
        raise ConfigError(f"{where}: write either `env: NAME` or `file: PATH`, exactly one of the two")
    if secret.env is not None:
        value = environment.get(secret.env, "")
        if not value:
            raise ConfigError(f"{where}: the environment variable {secret.env} is not set — export it or use `file:`")
        return SecretStr(value)
    path = Path(secret.file or "")
    try:
        value = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} is not text in UTF-8 — write the secret into it as plain text") from None
    except OSError as error:
        raise ConfigError(
            f"{where}: {path} cannot be read ({error.strerror}) — mount it or make it readable for this user"
        ) from None
    if not value:
        raise ConfigError(f"{where}: {path} is empty — write the secret into it")
    return SecretStr(value)
