"""`earshot connectors new NAME`: a copy of the template under a new name, which keeps the promises from the start."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from connectors import registry
from pipeline.contract.errors import ConfigError

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,48}")


def make(name: str, into: Path = registry.HERE) -> Path:
    """Copy the template; return the new folder. Raises ConfigError when the name is taken or no name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a connector: lower-case letters, digits and hyphens, such as my-forum"
        )
    target = into / registry.module_name(name)
    if target.exists() or name in registry.names() or name == registry.TEMPLATE:
        raise ConfigError(f"there is a connector {name} already")
    into.mkdir(parents=True, exist_ok=True)
    shutil.copytree(registry.HERE / registry.TEMPLATE, target, ignore=shutil.ignore_patterns("__pycache__"))
    title = "".join(part.capitalize() for part in name.split("-"))
    for file in target.rglob("*"):
        if file.suffix in (".py", ".md", ".json"):
            text = file.read_text("utf-8")
            text = text.replace("What `earshot connectors new` copies.", f"{title}: say what it is.")
            file.write_text(text.replace("Template", title).replace("template", name), "utf-8")
    return target
