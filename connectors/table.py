"""The table of sources in README.md, made from what every connector declares as `facts`.

`python -m connectors.table` writes it; with `--check` it says whether it is as it would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from connectors import registry
from connectors.base import Connector, PushConnector, StreamingConnector
from pipeline.contract.errors import ConfigError

FILE: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- made by `python -m connectors.table` -->"
END: Final = "<!-- end -->"
HEADINGS: Final = ("source", "credentials", "how", "past", "position", "edits and deletions", "tried against")


def row(kind: type[Connector[Any]]) -> tuple[str, ...]:
    """Return a connector's line. Raises ConfigError when it declares no facts."""
    facts = kind.facts
    if facts is None:
        raise ConfigError(f"the connector {kind.name} declares no facts: set `facts = Facts(…)` in its class")
    name = f"[{kind.name}]({registry.module_name(kind.name)}/README.md)"
    past = "no" if kind.cursor_at is Connector.cursor_at else "yes"
    return (name, facts.auth, form_of(kind), past, facts.cursor, facts.changes, facts.tested)


def form_of(kind: type[Connector[Any]]) -> str:
    """Return who begins: we ask, it streams, or it calls us."""
    if issubclass(kind, PushConnector):
        return "push"
    return "stream" if issubclass(kind, StreamingConnector) else "pull"


def table() -> str:
    """Return the table of all shipped connectors, in the order of their names."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row(registry.find(name)) for name in registry.shipped())]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def text(page: str) -> str:
    """Return the page with today's table. Raises ConfigError when the page has no place for it."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{FILE.name} has no place for the table: write {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{table()}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Write the table, or with `--check` say whether it is as it would be written; 1 when it is not."""
    page = FILE.read_text("utf-8")
    try:
        made = text(page)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments == ["--check"]:
        if made == page:
            return 0
        sys.stderr.write(f"the table in {FILE.name} is not what the connectors say: run python -m connectors.table\n")
        return 1
    FILE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
