"""Decisions about mentions that are only named: the last records of each partition first, then all that are kept."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import JudgedMention
from pipeline.runtime.reading import Message, Reader, Start
from pipeline.topology import ENRICHED

WINDOWS: Final = (2_000, 20_000)  # last records of each partition that are looked through before everything is
PATIENCE: Final = 60.0  # seconds for all; what was not found by then counts as not kept


def newest(client: Mapping[str, Any], ids: Collection[str], *, patience: float = PATIENCE) -> dict[str, JudgedMention]:
    """Return the newest decision about each of these mentions, of those that are kept. Reads committed records only.

    A decision that cannot be read counts as not kept. Raises BrokerUnavailableError.
    """
    missing = set(ids)
    found: dict[str, JudgedMention] = {}
    deadline = time.monotonic() + patience
    starts: tuple[Start, ...] = (*WINDOWS, "beginning")
    for start in starts:
        if not missing or time.monotonic() > deadline:
            break
        values: dict[str, bytes] = {}
        with Reader(client, [ENRICHED], start) as reader:
            message: Message
            for message in reader.until_end(lambda: time.monotonic() > deadline):
                event, _, _revision = (codec.header(message.headers(), "ce_id") or "").rpartition("@")
                if event in missing and message.value() is not None:
                    values[event] = message.value()  # one conversation is in one partition, in order
        for name, value in values.items():
            missing.discard(name)
            try:
                found[name] = codec.decode(JudgedMention, value)
            except InvalidMessageError:
                continue
    return found
