"""What goes wrong at the start is told in words that help, with a code that a service manager understands."""

from __future__ import annotations

import socket

import pytest

from tests.monitoring.real_prometheus import free_port
from tests.running import earshot

BROKEN = {
    "broken YAML": ("version: 1\nbrands: {acme: {query: 'acme'\n", ("earshot.yaml:3:1", "not YAML")),
    "an unknown department": (
        "version: 1\nroutes:\n  - {name: a, when: refund, to: [sales]}\n",
        ("earshot.yaml:3", "sales", "service, support, design, marketing"),
    ),
    "a secret in the file": (
        "version: 1\nnotifiers:\n  hook: {type: webhook, url: 'http://127.0.0.1:9/', secret: whsec_c2VjcmV0}\n",
        ("notifiers.hook",),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_configuration_is_named_with_its_place(tmp_path, case):
    text, expected = BROKEN[case]
    file = tmp_path / "earshot.yaml"
    file.write_text(text, "utf-8")
    done = earshot("up", "--config", str(file), "--data", str(tmp_path / "data"))
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert "Traceback" not in said
    for words in expected:
        assert words in said, said
    assert "c2VjcmV0" not in said
    assert not (tmp_path / "data").exists()


def test_an_unreachable_broker_is_named():
    address = f"127.0.0.1:{free_port()}"
    for command in (["up", "--http", "off"], ["tail", "support"], ["replay", "mentions-dlq"], ["topics", "apply"]):
        done = earshot(*command, "--broker", address)
        said = done.stderr.decode()
        assert done.returncode == 1, (command, said)
        assert "Traceback" not in said
        assert address in said, (command, said)
        assert "--broker" in said, (command, said)


@pytest.mark.kafka
def test_a_port_in_use_is_named(kafka, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = earshot("up", "--broker", kafka, "--http", address, "--data", str(tmp_path / "data"))
    said = done.stderr.decode()
    assert done.returncode != 0
    assert "Traceback" not in said
    assert f"port {address.rpartition(':')[2]} on 127.0.0.1 is in use" in said
    assert "--http" in said


def test_a_folder_without_space_is_named(tmp_path):
    """A full disk, played by a folder in which no file can be made."""
    blocked = tmp_path / "data"
    blocked.write_text("a file where a folder should be")
    done = earshot("up", "--data", str(blocked))
    said = done.stderr.decode()
    assert done.returncode in (1, 2)
    assert "Traceback" not in said
    assert "--data" in said
