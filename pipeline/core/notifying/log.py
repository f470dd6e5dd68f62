"""The log of notifications: who was told what of the incidents that are not over, as text.

It is stored as the metadata of the consumer group's committed offset, so offset and log move together, in one write,
and a restarted or other worker knows what was delivered. Kafka takes 4,096 bytes there by default: some 150 incidents
of one partition. Of more, the oldest are left out and the text says so; the reader then assumes what is usual.

    1|alertmanager,pager|9f86d081884c7d65:0.2wc,1.0cc|…
       receivers          fingerprint:    receiver.sequence, severity first told, severity last told, ! when over
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from pipeline.contract.events import Severity
from pipeline.core.notifying.values import Told

VERSION: Final = "1"
MAX_BYTES: Final = 4000
LEFT_OUT: Final = "…"
_LETTERS: Final = {Severity.CRITICAL: "c", Severity.WARNING: "w", Severity.INFO: "i"}
_SEVERITIES: Final = {letter: severity for severity, letter in _LETTERS.items()}
_ENTRY: Final = re.compile(r"(\d+)\.(\d+)([cwi])([cwi])(!?)")


@dataclass(frozen=True, slots=True)
class Log:
    """What was read. `is_whole` is false when incidents are missing from it, or there was none."""

    told: Mapping[str, Mapping[str, Told]] = field(default_factory=dict)  # fingerprint -> receiver -> what
    is_whole: bool = False


def encode(told: Sequence[tuple[str, Mapping[str, Told]]]) -> str:
    """Return the log as text of at most MAX_BYTES; `told` is by fingerprint, the most important last."""
    names = sorted({name for _, by_receiver in told for name in by_receiver})
    numbers = {name: number for number, name in enumerate(names)}
    head = f"{VERSION}|{','.join(names)}"
    room = MAX_BYTES - len(head) - len(LEFT_OUT.encode()) - 1
    lines: list[str] = []
    for fingerprint, by_receiver in reversed(told):
        entries = ",".join(_entry(numbers[name], one) for name, one in sorted(by_receiver.items()))
        line = f"{quote(fingerprint, safe='')}:{entries}"
        room -= len(line) + 1
        if room < 0:
            lines.append(LEFT_OUT)
            break
        lines.append(line)
    return "|".join((head, *lines))


def _entry(number: int, told: Told) -> str:
    letters = _LETTERS[told.opened_as] + _LETTERS[told.severity]
    return f"{number}.{told.sequence}{letters}{'!' if told.is_over else ''}"


def decode(text: str | None) -> Log:
    """Return what a text says. A text that is none of ours is an empty log that is not whole."""
    version, _, rest = (text or "").partition("|")
    if version != VERSION:
        return Log()
    names_text, *lines = rest.split("|")
    names = names_text.split(",")
    told: dict[str, dict[str, Told]] = {}
    is_whole = True
    for line in lines:
        fingerprint, colon, entries = line.partition(":")
        if not colon:
            is_whole = False
            continue
        found = told.setdefault(unquote(fingerprint), {})
        for entry in entries.split(","):
            match = _ENTRY.fullmatch(entry)
            if match is None or int(match[1]) >= len(names):
                is_whole = False
                continue
            number, sequence, first, last, over = match.groups()
            found[names[int(number)]] = Told(int(sequence), _SEVERITIES[first], _SEVERITIES[last], bool(over))
    return Log(told, is_whole)
