"""Names to connectors: the folders shipped here, and what other packages declare in the entry points of this group.

A package ships a connector with, in its pyproject.toml:

    [project.entry-points."earshot.connectors"]
    myforum = "my_package.connector:MyForum"

The name is the `type` in earshot.yaml and must be the class's `name`. A name belongs to one connector: a package cannot
take a shipped one's, nor two packages the same.
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.contract.errors import ConfigError

if TYPE_CHECKING:
    from connectors.base import Connector

GROUP: Final = "earshot.connectors"
TEMPLATE: Final = "template"
HERE: Final = Path(__file__).resolve().parent
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
    """Return the class of a connector; `app-store` and `appstore` are the same name.

    Raises ConfigError that lists the names there are, or says which package fails.
    """
    name = _known_as(name)
    points = list(entry_points(group=GROUP, name=name))
    is_shipped = name == TEMPLATE or name in shipped()
    if len(points) + is_shipped > 1:
        owners = [*(["earshot itself"] if is_shipped else []), *map(_package, points)]
        raise ConfigError(f"several connectors are called {name}, of {' and '.join(owners)}: uninstall all but one")
    if points:
        return _installed(points[0])
    if not is_shipped:
        raise ConfigError(f"there is no source {name!r}; there are: {', '.join(names())}")
    return load(f"connectors.{module_name(name)}.connector")


def _known_as(name: str) -> str:
    """Return the name as it is known: hyphens are easily left out or put in."""
    there = [TEMPLATE, *names()]
    alike = [one for one in there if one.replace("-", "") == name.replace("-", "")]
    return name if name in there or len(alike) != 1 else alike[0]


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist else point.value


def _installed(point: EntryPoint) -> type[Connector[Any]]:
    from connectors.base import Connector

    try:
        loaded = point.load()
    except Exception as error:  # code of others: whatever it does on import, the other sources go on
        raise ConfigError(
            f"the connector {point.name} of {_package(point)} cannot be loaded ({type(error).__name__}): "
            "install it again, or take its sources out of the configuration"
        ) from None
    if not (inspect.isclass(loaded) and issubclass(loaded, Connector)):
        raise ConfigError(f"{point.value} is declared as the connector {point.name}, but is no Connector")
    if getattr(loaded, "name", None) != point.name:
        raise ConfigError(f"{point.value} must have the name it is declared with: name = {point.name!r}")
    return loaded


def load(module: str) -> type[Connector[Any]]:
    """Return the one connector class that a module defines. Raises ConfigError where it defines none or several."""
    from connectors.base import Connector

    loaded = importlib.import_module(module)
    found = [
        kind
        for _, kind in inspect.getmembers(loaded, inspect.isclass)
        if issubclass(kind, Connector) and kind.__module__ == module
    ]
    if len(found) != 1:
        raise ConfigError(f"{module} must define exactly one connector class, it defines {len(found)}")
    return found[0]
