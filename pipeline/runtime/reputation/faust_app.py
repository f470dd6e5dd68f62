"""The Faust app of reputation: what Faust does here, and where we hold it to more than it promises.

Faust carries: group membership, fetching, the stream and its agent, timers, the web view. Its own tables are not used:
with `exactly_once` (Faust 0.15) recovery waits ten seconds for a changelog that ends, as all of them do, with the mark
of a transaction, takes a changelog whose end is not known yet for empty, and keeps the open transaction of a partition
that stays over a rebalance, so that what is read again is written twice. `Transactions` below puts `partitions.py` in
their place; it is what Faust calls when partitions come and go.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from typing import Any, Final

import faust
from faust.transport.consumer import TransactionManager
from faust.transport.drivers.aiokafka import Transport
from yarl import URL

from pipeline.broker import memory
from pipeline.broker.client import aiokafka
from pipeline.contract.errors import ConfigError
from pipeline.runtime.reputation.partitions import Partitions
from pipeline.topology import PULSE

SESSION: Final = 6.0  # seconds after which a worker that is silent has lost its partitions
REBALANCE: Final = 15.0  # seconds a member may take to join again


class Transactions(TransactionManager):
    """What Faust calls when partitions come and go; the rest is done by `Partitions`."""

    app: ReputationApp

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - Faust's signature
        """Commit and let go of everything: after a rebalance partitions are taken anew."""
        await self.app.partitions.leave()

    async def on_rebalance(self, assigned: Any, revoked: Any, newly_assigned: Any) -> None:  # noqa: ARG002
        """Take the partitions, before Faust reads where their streams go on."""
        await self.app.partitions.take({place.partition for place in assigned if place.topic == PULSE})

    async def commit(self, offsets: Any, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Do nothing: the agent does not acknowledge, `Partitions.commit` commits."""
        return True


class ReputationTransport(Transport):
    """Faust's transport over aiokafka with our transactions."""

    TransactionManager = Transactions


class ReputationApp(faust.App):
    """A Faust app that reads committed records only and leaves committing to `partitions`."""

    partitions: Partitions
    in_worker = True  # without a Faust worker around it, Faust would take `exactly_once` for nothing

    def _create_directories(self) -> None:
        """Make none: what is kept is in Kafka, and a killed worker could not take them away."""

    def _new_transport(self) -> Any:
        return ReputationTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return ReputationTransport(self.conf.broker_producer, self)


def make(name: str, client: Mapping[str, Any], partitions: Partitions, *, instance: str) -> ReputationApp:
    """Return the app. `client` are confluent-kafka settings."""
    settings = aiokafka(client)
    port = web_port()
    app = ReputationApp(
        name,
        broker=[URL(f"aiokafka://{address}") for address in str(settings["bootstrap_servers"]).split(",")],
        broker_credentials=credentials(settings),
        broker_client_id=f"{name}-{instance}",
        processing_guarantee="exactly_once",
        store="memory://",
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_check_crcs=not memory.is_used(),
        broker_session_timeout=SESSION,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=REBALANCE,
        broker_request_timeout=30.0,
        stream_wait_empty=False,  # the agent does not acknowledge: there would be no end of waiting
        stream_buffer_maxsize=1024,
        # Faust's assignor asserts that an assignment bears its own address. A member with a lasting name gets that of
        # its predecessor back, so the address is made of the name, not of a port that changes. Nobody calls it.
        canonical_url=URL(f"http://{_host_name(instance)}"),
        web_enabled=port is not None,
        web_bind="127.0.0.1",
        web_host="127.0.0.1",
        web_port=port or 6066,
        loghandlers=[],
    )
    app.partitions = partitions
    return app


def _host_name(instance: str) -> str:
    """Return a worker's name as one that may stand in an address."""
    return re.sub(r"[^a-z0-9-]+", "-", instance.lower()).strip("-") or "worker"


def credentials(settings: Mapping[str, Any]) -> Any:
    """Return what Faust wants for these aiokafka arguments: SASL, TLS, or None."""
    if settings["security_protocol"].startswith("SASL"):
        return faust.SASLCredentials(
            mechanism=settings["sasl_mechanism"],
            username=settings["sasl_plain_username"],
            password=settings["sasl_plain_password"],
            ssl_context=settings.get("ssl_context"),
        )
    return faust.SSLCredentials(settings["ssl_context"]) if "ssl_context" in settings else None


def web_port() -> int | None:
    """Return the port of the web view: EARSHOT_FAUST_WEB (a number, or off), else a free one."""
    wanted = os.environ.get("EARSHOT_FAUST_WEB", "")
    if wanted == "off":
        return None
    if wanted:
        if not wanted.isdigit() or not 0 < int(wanted) < 65_536:
            raise ConfigError(f"EARSHOT_FAUST_WEB={wanted}: write a port, or off")
        return int(wanted)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
