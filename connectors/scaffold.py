"""`earshot connectors new NAME`: a copy of the template under a new name, which keeps the promises from the start."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors import registry
from pipeline.contract.errors import ConfigError

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LENGTH: Final = range(2, 49)
_PYPROJECT: Final = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "earshot-{name}"
version = "0.1.0"
description = "A connector for earshot."
requires-python = ">=3.11"
dependencies = ["earshot"]

[project.entry-points."earshot.connectors"]
{name} = "{module}.connector:{kind}"

[tool.setuptools]
packages = ["{module}"]

[tool.setuptools.package-data]
{module} = ["README.md", "example/*"]
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A new connector: its folder, and what to do next, in words."""

    folder: Path
    steps: tuple[str, ...]


def is_checkout(folder: Path = registry.HERE) -> bool:
    """Whether the connectors lie in a checkout, where new ones belong beside them, and not in an installed package."""
    return (folder.parent / "pyproject.toml").is_file()


def new(name: str, into: Path | None = None) -> Made:
    """Make a connector in the folder `into`; None is this checkout, or a package of its own where there is none.

    Raises ConfigError when the name is taken or no name.
    """
    shipped = registry.HERE if into is None and is_checkout() else None
    place = shipped or into or Path(f"earshot-{name}")
    is_ours = place.resolve() == registry.HERE
    folder = make(name, place)
    kind = _title(name)
    steps = [f"write down in {folder / 'README.md'} what it hears, what it does not, and what it takes"]
    steps.append(f"put an answer of the source into {folder / 'example'} and make `to_mention` read it")
    if is_ours:
        steps.append(f"run the promises: pytest tests/contract/test_every_connector.py -k {name}")
    else:
        entry = f'{name} = "{folder.name}.connector:{kind}"'
        if (place / "pyproject.toml").exists():
            steps.append(f'add to [project.entry-points."{registry.GROUP}"] in {place / "pyproject.toml"}: {entry}')
        else:
            text = _PYPROJECT.format(name=name, module=folder.name, kind=kind)
            (place / "pyproject.toml").write_text(text, "utf-8")
        steps.append(f"install it beside earshot: pip install -e {place}")
        steps.append(
            f"in a checkout of earshot, run the promises: pytest tests/contract/test_every_connector.py -k {name}"
        )
    steps.append(f"configure it: sources: {{{name}: {{type: {name}, …}}}}; then earshot connectors check {name}")
    return Made(folder, tuple(steps))


def make(name: str, into: Path = registry.HERE) -> Path:
    """Copy the template; return the new folder. Raises ConfigError when the name is taken or no name."""
    module = registry.module_name(name)
    if not _NAME.fullmatch(name) or len(name) not in _LENGTH:
        raise ConfigError(
            f"{name!r} is no name for a connector: lower-case letters, digits and hyphens, such as my-forum"
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or (registry.HERE / f"{module}.py").exists():
        raise ConfigError(f"{name!r} means something else to Python already: take another name, such as {name}-site")
    target = into / module
    if target.exists() or name in registry.names() or name == registry.TEMPLATE:
        raise ConfigError(f"there is a connector {name} already")
    into.mkdir(parents=True, exist_ok=True)
    shutil.copytree(registry.HERE / registry.TEMPLATE, target, ignore=shutil.ignore_patterns("__pycache__"))
    title = _title(name)
    for file in target.rglob("*"):
        if file.suffix in (".py", ".md", ".json"):
            text = file.read_text("utf-8")
            text = text.replace("What `earshot connectors new` copies.", f"{title}: say what it is.")
            file.write_text(text.replace("Template", title).replace("template", name), "utf-8")
    return target


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
