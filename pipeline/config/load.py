"""Read `earshot.yaml` into a checked `Config`."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.config.model import Config
from pipeline.contract.errors import ConfigError


def read(path: Path) -> Config:
    """Return the configuration in that file. Raises ConfigError with advice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str = "earshot.yaml") -> Config:
    """Return the configuration in that text; `name` is what errors call the file. Raises ConfigError with advice."""
    try:
        return Config.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{name}: {error}") from None
