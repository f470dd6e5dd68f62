"""The JSON Schema of `earshot.yaml` for editors. Made from the model: `python -m pipeline.config.schema` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from pipeline.config.model import Config

FILE: Final = Path(__file__).with_name("earshot.schema.json")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration."""
    made = Config.model_json_schema()
    made["title"] = "earshot.yaml"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def text() -> str:
    """Return the schema as it is in the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` say whether it is as it would be written; 1 when it is not."""
    if arguments == ["--check"]:
        if FILE.exists() and FILE.read_text(encoding="utf-8") == text():
            return 0
        sys.stderr.write(f"{FILE.name} is not what the model says: run python -m pipeline.config.schema\n")
        return 1
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
