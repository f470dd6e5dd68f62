"""Fixtures of all tests. The network is loopback only: any other address fails the test."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():  # the first import in an environment writes the grammar's tables and leaves a file open
    warnings.simplefilter("ignore")
    import luqum.parser  # noqa: F401

pytest_plugins = ["tests.kafka"]

SHARED = Path(__file__).parents[1].parent / "shared"
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """Let no test reach beyond this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(address):
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {address[0]}")

    def guarded(self, address):
        check(address)
        return connect(self, address)

    def guarded_ex(self, address):
        check(address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of labelled sets and recordings beside the project; tests that need it skip where it is absent."""
    if not SHARED.exists():
        pytest.skip("the labelled sets and recordings are not beside this checkout")
    return SHARED
