"""The table of sources in README.md, made from what every connector declares as `facts`.

`python -m connectors.table` writes it; with `--check` it says whether it is as it would be written. How many tests of the
contract a source has passed stays as it stands there, unless they are run: `python -m connectors.table --contract`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from connectors import registry
from connectors.base import Connector, PollingConnector, PushConnector, StreamingConnector
from pipeline.contract.errors import ConfigError

FILE: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- made by `python -m connectors.table` -->"
END: Final = "<!-- end -->"
HEADINGS: Final = (
    *(
        "source",
        "credentials",
        "how",
        "past",
        "position",
        "edits and deletions",
        "contract tests passed",
        "tried against",
    ),
)
CONTRACT: Final = Path(__file__).parents[1] / "tests" / "contract" / "test_every_connector.py"
NOT_RUN: Final = "not run"


def row(kind: type[Connector[Any]], passed: str = NOT_RUN) -> tuple[str, ...]:
    """Return a connector's line; `passed` is how many tests of the contract it has passed. Raises ConfigError when it declares no facts."""
    facts = kind.facts
    if facts is None:
        raise ConfigError(f"the connector {kind.name} declares no facts: set `facts = Facts(…)` in its class")
    name = f"[{kind.name}]({registry.module_name(kind.name)}/README.md)"
    past = "no" if kind.cursor_at is Connector.cursor_at else "yes"
    return (name, facts.auth, form_of(kind), past, facts.cursor, facts.changes, passed, facts.tested)


def form_of(kind: type[Connector[Any]]) -> str:
    """Return who begins: we ask, it streams, or it calls us."""
    if issubclass(kind, PushConnector):
        return "push and pull" if issubclass(kind, PollingConnector) else "push"
    return "stream" if issubclass(kind, StreamingConnector) else "pull"


def passed_in(page: str) -> dict[str, str]:
    """Return what the page says of the tests of the contract, by source."""
    rows = (line.strip("|\n ").split(" | ") for line in page.splitlines() if line.startswith("| ["))
    place = HEADINGS.index("contract tests passed")
    return {cells[0][1:].partition("]")[0]: cells[place] for cells in rows if len(cells) == len(HEADINGS)}


def run_contract() -> dict[str, str]:
    """Run the tests of the contract; return by source how many passed. Raises ConfigError where one failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            str(CONTRACT),
        ]
        done = subprocess.run(command, cwd=CONTRACT.parents[2], stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if done.returncode:
            raise ConfigError(f"not all tests of the contract pass: run pytest {CONTRACT.name}")
        found = Counter(
            source_of(str(test.get("name")))
            for test in ET.parse(report).iter("testcase")  # noqa: S314 - written by pytest a moment ago
            if test.find("skipped") is None
        )
    return {name: str(found[name]) for name in registry.shipped()}


def source_of(test: str) -> str:
    """Return the source in a test's name, the longest that fits; empty where there is none."""
    given = test.partition("[")[2].rstrip("]")
    fitting = [name for name in registry.shipped() if re.search(rf"(?:^|-){re.escape(name)}(?:-|$)", given)]
    return max(fitting, key=len, default="")


def table(passed: Mapping[str, str]) -> str:
    """Return the table of all shipped connectors, in the order of their names."""
    names = registry.shipped()
    lines = [HEADINGS, ("---",) * len(HEADINGS)]
    lines += [row(registry.find(name), passed.get(name, NOT_RUN)) for name in names]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def text(page: str, passed: Mapping[str, str] | None = None) -> str:
    """Return the page with today's table; `passed` is new of the tests of the contract. Raises ConfigError when the page has no place for it."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{FILE.name} has no place for the table: write {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{table(passed_in(page) if passed is None else passed)}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Write the table, or with `--check` say whether it is as it would be written; 1 when it is not."""
    page = FILE.read_text("utf-8")
    try:
        made = text(page, run_contract() if arguments == ["--contract"] else None)
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
