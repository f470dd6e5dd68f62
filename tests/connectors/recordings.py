"""Recorded answers of platforms, where they lie beside the project: taken apart, and held against what is read of them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connectors.base import Connector
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Mention
from tests.connectors.kit import NOW


def answers(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the body of every recorded answer; specifications are none."""
    for file in sorted(found for found in folder.rglob("*") if found.is_file() and found.name != "README.md"):
        if "spec" in file.relative_to(folder).parts:
            continue
        raw = file.read_bytes()
        if not file.name.endswith(".exchanges.json"):
            yield file.name, raw
            continue
        for number, exchange in enumerate(json.loads(raw)["exchanges"]):
            text = exchange["response"]["body"]
            if text and exchange["response"]["status"] < 300:
                yield f"{file.name}#{number}", text.encode()


def read(kind: type[Connector[Any]], body: bytes) -> list[Mention]:
    """What a connector reads in an answer, having been on the wire; nothing where it says it is no answer of its."""
    try:
        found = list(kind.parse(body, NOW))
    except InvalidMessageError:
        return []
    return [codec.decode(Mention, codec.encode(mention)) for mention in found]


def words(text: str | None) -> set[str]:
    """The words of a text, in whose HTML some tags end a word and some stand inside one."""
    joined = re.sub(r"</?(?:span|a|b|i|em|strong|code|font)\b[^>]*>", "", text or "")
    return set(re.findall(r"\w+", html.unescape(re.sub(r"<[A-Za-z/!][^>]*>", " ", joined)).lower()))


def missing(wanted: dict[str, str], found: list[Mention]) -> list[str]:
    """The ids of texts of which no mention has the id and the words."""
    have = {mention.native_id: mention for mention in found}

    def is_there(native: str, text: str) -> bool:
        mention = have.get(native)
        return mention is not None and words(text) <= words(f"{mention.title or ''} {mention.text}")

    return [native for native, text in wanted.items() if not is_there(native, text)]
