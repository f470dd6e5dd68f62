"""Names to connectors: the folders shipped here, and what other packages declare in the entry points of this group.

A package ships a connector with, in its pyproject.toml:

    [project.entry-points."earshot.connectors"]
    myforum = "my_package.connector:MyForum"
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from connectors.base import Connector
from pipeline.contract.errors import ConfigError

GROUP: Final = "earshot.connectors"
TEMPLATE: Final = "template"
HERE: Final = Path(__file__).parent
FOLDERS: Final = [HERE]  # where connectors are looked for


def module_name(name: str) -> str:
    """Return the folder of a source: its name with underscores, because Python imports it."""
    return name.replace("-", "_")


def shipped() -> list[str]:
    """Return the names of the connectors in this folder, sorted; the template is none of them."""
    return sorted(
        folder.name.replace("_", "-")
        for place in FOLDERS
        for folder in place.iterdir()
        if (folder / "connector.py").is_file() and folder.name != TEMPLATE
    )


def names() -> list[str]:
    """Return all names that can stand as `type` of a source, sorted."""
    return sorted({*shipped(), *(point.name for point in entry_points(group=GROUP))})


def find(name: str) -> type[Connector[Any]]:
    """Return the class of a connector. Raises ConfigError that lists the names there are.

    Hyphens and underscores do not matter: `app-store` finds `appstore`.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            loaded = point.load()
            if not (inspect.isclass(loaded) and issubclass(loaded, Connector)):
                raise ConfigError(f"{point.value} is declared as the connector {name}, but is no Connector")
            return loaded
    for known in (*shipped(), TEMPLATE):
        if _bare(known) == _bare(name):
            return load(f"connectors.{module_name(known)}.connector")
    raise ConfigError(f"there is no source {name!r}; there are: {', '.join(names())}")


def _bare(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def load(module: str) -> type[Connector[Any]]:
    """Return the one connector class that a module defines. Raises ConfigError where it defines none or several."""
    loaded = importlib.import_module(module)
    found = [
        kind
        for _, kind in inspect.getmembers(loaded, inspect.isclass)
        if issubclass(kind, Connector) and kind.__module__ == module
    ]
    if len(found) != 1:
        raise ConfigError(f"{module} must define exactly one connector class, it defines {len(found)}")
    return found[0]
