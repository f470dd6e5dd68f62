"""The published examples: every event, every case."""

import json
from pathlib import Path

from pipeline.contract import publish
from pipeline.contract.codec import TYPES
from pipeline.contract.schema import slug

FOLDER = publish.FOLDER / "examples"
EVENTS = {slug(event): event for event in TYPES}


def examples(event: str = "*") -> list[Path]:
    """Return the files of one event's examples, or of all."""
    return sorted(FOLDER.glob(f"{event}/*.json"))


def name(file: Path) -> str:
    return f"{file.parent.name}-{file.stem}"


def value(file: Path):
    return json.loads(file.read_text(encoding="utf-8"))
