"""What a source sent for each mention, as the records of `mentions-raw`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connectors.base import Connector
from pipeline.contract.events import Mention, RawPayload


def raw_of(connector: Connector[Any], mentions: Sequence[Mention], now: datetime) -> dict[str, RawPayload | None]:
    """Return what the source sent for each mention, where it is kept; what is withdrawn is kept no more: None."""
    if not connector.keeps_raw:
        return {}
    sent = connector.raw
    found: dict[str, RawPayload | None] = {one.id: None for one in mentions if one.is_withdrawn}
    for one in mentions:
        if not one.is_withdrawn and one.id in sent:
            text = sent[one.id].decode("utf-8", "replace")
            found[one.id] = RawPayload(id=one.id, connector=connector.instance, at=now, payload=text)
    return found
