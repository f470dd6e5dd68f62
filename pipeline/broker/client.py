"""Client settings from the environment: addresses, TLS, SASL. Passwords never appear in a repr or an error.

EARSHOT_KAFKA_SECURITY_PROTOCOL   PLAINTEXT (default), SSL, SASL_PLAINTEXT, SASL_SSL
EARSHOT_KAFKA_SASL_MECHANISM      PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
EARSHOT_KAFKA_SASL_USERNAME
EARSHOT_KAFKA_SASL_PASSWORD       or EARSHOT_KAFKA_SASL_PASSWORD_FILE
EARSHOT_KAFKA_SSL_CA_FILE         PEM, when the brokers' certificate is not of a public authority
EARSHOT_KAFKA_SSL_CERT_FILE, EARSHOT_KAFKA_SSL_KEY_FILE   for mutual TLS
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import libversion

from pipeline.contract.errors import BrokerUnavailableError, ConfigError

PREFIX: Final = "EARSHOT_KAFKA_"
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Settings(dict[str, Any]):
    """confluent-kafka settings that do not show their password when printed."""

    def __repr__(self) -> str:
        shown = {key: "***" if "password" in key else value for key, value in self.items()}
        return f"Settings({shown!r})"


def _logger() -> logging.Logger:
    """Return where librdkafka's own lines go: through the process's logging, never straight to standard error."""
    found = logging.getLogger("librdkafka")
    if not found.handlers and not logging.getLogger().handlers:
        found.addHandler(logging.NullHandler())
    return found


def quiet(client: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for a client whose connection trouble is told by us, not by librdkafka's log lines."""
    silent = logging.getLogger("librdkafka.silent")
    silent.propagate = False
    if not silent.handlers:
        silent.addHandler(logging.NullHandler())
    return {**client, "logger": silent}


def confluent(bootstrap: str, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return confluent-kafka settings for these addresses. Raises ConfigError that names the variable."""
    protocol = _choice(environment, "SECURITY_PROTOCOL", PROTOCOLS, "PLAINTEXT")
    settings = Settings({"bootstrap.servers": _addresses(bootstrap), "logger": _logger()})
    if protocol == "PLAINTEXT":
        return settings
    settings["security.protocol"] = protocol
    for name, key in (
        ("SSL_CA_FILE", "ssl.ca.location"),
        ("SSL_CERT_FILE", "ssl.certificate.location"),
        ("SSL_KEY_FILE", "ssl.key.location"),
    ):
        if path := environment.get(PREFIX + name):
            if not Path(path).is_file():
                raise ConfigError(f"{PREFIX}{name}={path}: there is no such file")
            settings[key] = path
    if protocol.startswith("SASL"):
        settings["sasl.mechanism"] = _choice(environment, "SASL_MECHANISM", MECHANISMS, "PLAIN")
        settings["sasl.username"] = environment.get(PREFIX + "SASL_USERNAME", "")
        settings["sasl.password"] = _secret(environment, "SASL_PASSWORD")
        if not settings["sasl.username"] or not settings["sasl.password"]:
            raise ConfigError(
                f"{PREFIX}SECURITY_PROTOCOL={protocol} needs {PREFIX}SASL_USERNAME and {PREFIX}SASL_PASSWORD (or _FILE)"
            )
    return settings


def steady() -> dict[str, Any]:
    """Return librdkafka settings for workers that outlast a broker: reconnect soon, keep the brokers once known.

    Since 2.10 librdkafka forgets all brokers when none answers and begins anew; in the middle of a transaction its
    records then wait for a leader that it never asks for, and the commit hangs (seen with 2.16). A worker that finds
    no broker any more ends, and a new process asks the given addresses.
    """
    settings: dict[str, Any] = {"reconnect.backoff.max.ms": 1000}
    if libversion()[1] >= 0x020A0000:
        settings["metadata.recovery.strategy"] = "none"
    return settings


def knock(bootstrap: str, timeout: float = 3.0) -> None:
    """Raise BrokerUnavailableError at once when nothing listens at any of these addresses.

    Kafka's clients go on trying for half a minute: right for a worker, too long for a person with a typing error.
    `timeout` is in seconds, for each address.
    """
    reasons = []
    for address in _addresses(bootstrap).split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout).close()
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
        else:
            return
    raise BrokerUnavailableError(f"Kafka does not answer ({'; '.join(reasons)}). Is it running, and is --broker right?")


def aiokafka(client: Mapping[str, Any]) -> dict[str, Any]:
    """Return aiokafka's arguments that say the same as these confluent-kafka settings."""
    protocol = client.get("security.protocol", "PLAINTEXT")
    arguments: dict[str, Any] = {"bootstrap_servers": client["bootstrap.servers"], "security_protocol": protocol}
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=client.get("ssl.ca.location"))
        if certificate := client.get("ssl.certificate.location"):
            context.load_cert_chain(certificate, client.get("ssl.key.location"))
        arguments["ssl_context"] = context
    if protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = client["sasl.mechanism"]
        arguments["sasl_plain_username"] = client["sasl.username"]
        arguments["sasl_plain_password"] = client["sasl.password"]
    return arguments


def _addresses(text: str) -> str:
    addresses = [address.strip() for address in text.split(",") if address.strip()]
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ConfigError(f"--broker {text}: write embedded, memory or HOST:PORT,…; {address!r} is none of these")
    if not addresses:
        raise ConfigError("--broker is empty: write embedded, memory or HOST:PORT,…")
    return ",".join(addresses)


def _choice(environment: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = environment.get(PREFIX + name, default).upper()
    if value not in allowed:
        raise ConfigError(f"{PREFIX}{name}={value}: it must be one of {', '.join(allowed)}")
    return value


def _secret(environment: Mapping[str, str], name: str) -> str:
    if path := environment.get(f"{PREFIX}{name}_FILE"):
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{PREFIX}{name}_FILE={path}: {error.strerror}") from None
    return environment.get(PREFIX + name, "")
