"""The published contract: JSON Schemas and the AsyncAPI page, made from `events.py` and the map.

`python -m pipeline.contract.publish` writes them, with `--check` it says whether they are as they would be written.
The schemas in the folder are what readers rely on: a change that breaks them is not written unless the event's
version in `codec.TYPES` was raised.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.contract.asyncapi import SHIPPED, document
from pipeline.contract.codec import TYPES
from pipeline.contract.compatibility import breaking
from pipeline.contract.schema import file_name, schema
from pipeline.topology import topics

FOLDER: Final = Path(__file__).parent
SCHEMAS: Final = "schemas"
ASYNCAPI: Final = "asyncapi.yaml"
_HEAD: Final = "# Made by `make generate` from pipeline/contract/events.py and pipeline/topology.py.\n"


class _Plain(yaml.SafeDumper):
    """YAML without anchors: every part can be read where it stands."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def made() -> dict[str, str]:
    """Return every generated file: path within the folder, and text."""
    files = {
        f"{SCHEMAS}/{file_name(event)}": json.dumps(schema(event), indent=2, ensure_ascii=False) + "\n"
        for event in TYPES
    }
    page = yaml.dump(document(topics(SHIPPED)), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return {**files, ASYNCAPI: _HEAD + page}


def refused(folder: Path, files: dict[str, str]) -> list[str]:
    """Return what in the new schemas breaks readers of the schemas in the folder, each line with its file."""
    found = []
    for name, text in files.items():
        before = folder / name
        if name.startswith(SCHEMAS) and before.exists():
            changes = breaking(json.loads(before.read_text(encoding="utf-8")), json.loads(text))
            found += [f"{name}: {change}" for change in changes]
    return found


def stale(folder: Path, files: dict[str, str]) -> list[str]:
    """Return the names of files that are missing or not as they would be written."""
    return [
        name
        for name, text in files.items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str], folder: Path = FOLDER, files: dict[str, str] | None = None) -> int:
    """Write what is stale, or with `--check` only say so. Returns 1 when something is, or when a change breaks."""
    files = made() if files is None else files
    broken = refused(folder, files)
    if broken:
        sys.stderr.write(
            "".join(f"{change}\n" for change in broken)
            + "This breaks who reads or writes by the published schema: take it back, add an optional field instead, or "
            "raise the event's version in pipeline/contract/codec.py.\n"
        )
        return 1
    old = stale(folder, files)
    if arguments == ["--check"]:
        if old:
            sys.stderr.write(f"pipeline/contract is not what the types say ({', '.join(old)}): run make generate\n")
        return 1 if old else 0
    for name in old:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(files[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
