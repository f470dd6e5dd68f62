"""What `earshot connectors list` knows: from a running `earshot up`, its metrics and its reasons, and from Kafka."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.runtime.lines import safe

if TYPE_CHECKING:
    from pipeline.config.model import Config

HTTP_TIMEOUT: Final = 3.0
BROKER_TIMEOUT: Final = 3.0
LAST_COVERAGE: Final = 500  # records of each partition that are looked at for the last news of a source
MAX_PAGE: Final = 16_000_000
HEADINGS: Final = ("source", "type", "state", "quota", "last mention", "checkpoint", "why")
QUOTA: Final = "earshot_source_quota_remaining_ratio"
_TIMES: Final = {
    "earshot_source_last_mention_timestamp_seconds": "last_mention",
    "earshot_source_last_success_timestamp_seconds": "last_success",
}


@dataclass(slots=True)
class About:
    """What is known of one source. Everything may be unknown."""

    state: str | None = None
    reason: str | None = None
    quota: float | None = None
    last_mention: datetime | None = None
    last_success: datetime | None = None
    checkpoint: datetime | None = None


@dataclass(slots=True)
class Found:
    """What is known of all sources; `no_http` and `no_broker` say why something is not known, in words."""

    sources: dict[str, About] = field(default_factory=dict)
    no_http: str | None = None
    no_broker: str | None = None

    def about(self, name: str) -> About:
        """Return what is known of one source, to be added to."""
        return self.sources.setdefault(name, About())


def gather(config: Config, broker: str | None, http: str) -> Found:
    """Return what can be learned now. Raises ConfigError when an address is none."""
    found = Found()
    _from_http(found, http)
    _from_broker(found, config, broker)
    return found


def _from_http(found: Found, http: str) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    from pipeline.runtime.health import endpoint

    host, port = endpoint(http)
    host = f"[{host}]" if ":" in host else host
    try:
        text = _page(f"http://{host}:{port}/metrics")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except (OSError, ValueError):
        found.no_http = f"no `earshot up` answers at {host}:{port}: states and rate limits are not known (--http)"
        return
    for sample in samples:
        name = sample.labels.get("connector")
        if name is None:
            continue
        about = found.about(name)
        if sample.name == "earshot_source_state":
            # A worker that has handed a source over still says of it that it is stopped.
            if sample.value == 1 and about.state in (None, "stopped"):
                about.state = sample.labels.get("state")
        elif sample.name == QUOTA:
            about.quota = sample.value
        elif sample.name in _TIMES:
            at, told = _time(sample.value), getattr(about, _TIMES[sample.name])
            setattr(about, _TIMES[sample.name], max((one for one in (at, told) if one is not None), default=None))

    _reasons(found, f"http://{host}:{port}/sources")


def _page(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # our own: never through a proxy
    with opener.open(url, timeout=HTTP_TIMEOUT) as answer:
        text: str = answer.read(MAX_PAGE).decode("utf-8", "replace")
    return text


def _reasons(found: Found, url: str) -> None:
    """Add why a source is in its state; an `earshot up` of before this page was there gives none."""
    with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        for name, told in json.loads(_page(url))["sources"].items():
            about = found.about(name)
            about.state = about.state or told["state"]
            if told["state"] == about.state and isinstance(told["reason"], str):
                about.reason = told["reason"]


def _time(seconds: float) -> datetime | None:
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    return None


def _from_broker(found: Found, config: Config, broker: str | None) -> None:
    from pipeline.contract import codec
    from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
    from pipeline.contract.events import Checkpoint, Coverage
    from pipeline.runtime.reading import Reader
    from pipeline.topology import CHECKPOINTS, COVERAGE

    client = _client(config, broker)
    if client is None:
        found.no_broker = "no broker runs here: checkpoints are not known (`earshot up` starts one)"
        return
    try:
        with Reader(client, [CHECKPOINTS], "beginning", timeout=BROKER_TIMEOUT) as reader:
            for message in reader.until_end():
                with contextlib.suppress(InvalidMessageError):
                    saved = codec.decode(Checkpoint, message.value())
                    found.about(saved.connector).checkpoint = saved.saved_at
        with Reader(client, [COVERAGE], LAST_COVERAGE, timeout=BROKER_TIMEOUT) as reader:
            for message in reader.until_end():
                with contextlib.suppress(InvalidMessageError):
                    told = codec.decode(Coverage, message.value())
                    about = found.about(told.connector)
                    if told.seen and (about.last_mention is None or about.state is None):
                        about.last_mention = max(told.at, about.last_mention or told.at)
    except BrokerUnavailableError as error:
        found.no_broker = f"{error}: checkpoints are not known"


def _client(config: Config, broker: str | None) -> dict[str, Any] | None:
    """Return how to reach Kafka; None when it would have to be started first."""
    from pipeline.broker.client import confluent, quiet
    from pipeline.broker.embedded import running
    from pipeline.cli.broker import data_folder
    from pipeline.cli.options import broker_address

    address = broker_address(broker, config)
    if address == "memory":
        return None
    if address == "embedded":
        here = running(data_folder() / "kafka")
        return quiet({"bootstrap.servers": here.bootstrap}) if here is not None else None
    return quiet(confluent(address))


def as_object(config: Config, found: Found) -> dict[str, Any]:
    """Return it for programs: times in RFC 3339, null for what is not known."""
    return {
        "sources": [
            {
                "name": name,
                "type": source.type,
                "enabled": source.enabled,
                "state": _state(source.enabled, about),
                "reason": about.reason if source.enabled else None,
                "quota": about.quota,
                "last_mention": _iso(about.last_mention),
                "last_success": _iso(about.last_success),
                "checkpoint": _iso(about.checkpoint),
            }
            for name, source in config.sources.items()
            for about in [found.sources.get(name, About())]
        ],
        "up": found.no_http is None,
        "broker": found.no_broker is None,
    }


def rows(config: Config, found: Found) -> list[tuple[str, ...]]:
    """Return the lines of the table with its headings; empty when no source is configured."""
    lines = [
        (
            name,
            source.type,
            _state(source.enabled, about) or "?",
            "-" if about.quota is None else f"{about.quota:.0%}",
            _shown(about.last_mention),
            _shown(about.checkpoint),
            safe(about.reason, 160) if about.reason and source.enabled else "",
        )
        for name, source in config.sources.items()
        for about in [found.sources.get(name, About())]
    ]
    return [HEADINGS, *lines] if lines else []


def _state(enabled: bool, about: About) -> str | None:
    return about.state if enabled else "off"


def said(found: Found) -> list[str]:
    """Return in words what could not be learned."""
    return [line for line in (found.no_http, found.no_broker) if line is not None]


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _shown(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"
